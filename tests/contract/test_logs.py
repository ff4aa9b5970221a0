"""The lines that a job logs: kept as events, up to a limit."""

from ferryman.domain.job import LINE_LENGTH, LOG_LINES, LOG_SIZE, JobEvent, LogLine, Progress
from ferryman.domain.states import JobState
from ferryman.stores import JobStore
from tests.contract.test_feed import rest, start
from tests.contract.test_progress import update
from tests.contract.world import World

S = JobState


def line(text: str, level: str = "info") -> LogLine:
    """A line of a log."""
    return LogLine(level, text)


async def lines_of(store: JobStore, job_id: str) -> list[str]:
    """The text of each line that is kept of a job."""
    return [_text(event) for event in await store.events(job_id) if event.kind == "log"]


def _text(event: JobEvent) -> str:
    assert event.line is not None
    return event.line.text


async def test_lines_are_told_in_their_order(world: World) -> None:
    delivery = await world.running("a")
    cursor = await start(world.store)
    lines = (line("one"), line("é \U0001f6a2 <b>'\"\n", "error"), line(""))
    assert await world.store.progress([update(delivery, lines=lines)]) == ["applied"]
    await world.store.progress([update(delivery, Progress(1), lines=(line("four"),))])
    events, _ = await rest(world.store, cursor)
    assert [event.line for event in events if event.kind == "log"] == [*lines, line("four")]
    assert [event.kind for event in events] == ["log", "log", "log", "log", "progress"]
    assert {event.target for event in events} == {S.RUNNING}
    assert events == (await world.store.events("a"))[2:]


async def test_a_stale_holder_writes_no_line(world: World) -> None:
    delivery = await world.running("a")
    stale = update(delivery, token=delivery.token - 1, lines=(line("late"),))
    missing = update(delivery, job_id="nobody", lines=(line("late"),))
    assert await world.store.progress([stale, missing]) == ["stale", "missing"]
    assert await lines_of(world.store, "a") == []


async def test_lines_are_kept_across_attempts_and_the_end(world: World) -> None:
    delivery = await world.running("a")
    await world.store.progress([update(delivery, lines=(line("first"),))])
    await world.finish(delivery, S.QUEUED)
    second = await world.again(delivery)
    await world.store.progress([update(second, lines=(line("second"),))])
    await world.finish(second, S.FAILED)
    assert await lines_of(world.store, "a") == ["first", "second"]
    await world.store.retry(["a"])
    third = await world.again(second)
    await world.store.progress([update(third, lines=(line("third"),))])
    await world.finish(third, ttl=60.0)
    assert await lines_of(world.store, "a") == ["first", "second", "third"]
    await world.store.discard(["a"])
    await world.running("a")
    assert await lines_of(world.store, "a") == []


async def test_the_latest_lines_are_kept(world: World) -> None:
    delivery = await world.running("a")
    other = await world.running("b")
    await world.store.progress([update(other, lines=(line("of another"),))])
    for start_at in range(0, LOG_LINES + 20, 40):
        lines = tuple(line(str(number)) for number in range(start_at, start_at + 40))
        await world.store.progress([update(delivery, lines=lines)])
    total = -(-(LOG_LINES + 20) // 40) * 40
    assert await lines_of(world.store, "a") == [
        str(number) for number in range(total - LOG_LINES, total)
    ]
    assert await lines_of(world.store, "b") == ["of another"]


async def test_long_lines_are_cut_and_make_older_ones_go(world: World) -> None:
    delivery = await world.running("a")
    for number in range(50):
        text = f"{number} " + "x" * 3 * LINE_LENGTH
        await world.store.progress([update(delivery, lines=(line(text),))])
    kept = await lines_of(world.store, "a")
    assert {len(text) for text in kept} == {LINE_LENGTH}
    assert 0.8 * LOG_SIZE < sum(map(len, kept)) <= LOG_SIZE
    assert kept[-1].startswith("49 ")
