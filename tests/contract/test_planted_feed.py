"""The suite notices faults of what is told to those who look on."""

from typing import Any

import msgspec
import pytest

from ferryman.domain.job import JobEvent
from ferryman.domain.operators import ActionPage, ApiKey
from ferryman.stores.base import FeedPage, ProgressUpdate, Verdict
from tests.clock import FakeClock
from tests.contract import test_feed, test_figures, test_logs, test_operators
from tests.contract.model import ModelStore
from tests.contract.test_planted import Planted, run


class FeedRepeats(ModelStore):
    """The last event of a page comes again."""

    async def feed(self, cursor: str | None, *, limit: int = 500) -> FeedPage:
        page = await super().feed(cursor, limit=limit)
        if len(page.events) < 2:
            return page
        return FeedPage(page.events, f"feed-{int(page.cursor[5:]) - 1}")


class FeedLeavesOut(ModelStore):
    """A page that is full loses the event behind it."""

    async def feed(self, cursor: str | None, *, limit: int = 500) -> FeedPage:
        page = await super().feed(cursor, limit=limit)
        if len(page.events) < limit:
            return page
        return FeedPage(page.events, f"feed-{int(page.cursor[5:]) + 1}")


class FeedEndsTooSoon(ModelStore):
    """A page that is full says that nothing follows."""

    async def feed(self, cursor: str | None, *, limit: int = 500) -> FeedPage:
        page = await super().feed(cursor, limit=limit)
        return msgspec.structs.replace(page, more=False)


class FeedNeverEnds(ModelStore):
    """A page with anything in it says that more follows."""

    async def feed(self, cursor: str | None, *, limit: int = 500) -> FeedPage:
        page = await super().feed(cursor, limit=limit)
        return msgspec.structs.replace(page, more=bool(page.events))


class FeedFromTheBeginning(ModelStore):
    """Who asks for what happens from now on gets what happened before."""

    async def feed(self, cursor: str | None, *, limit: int = 500) -> FeedPage:
        return await super().feed(cursor or "feed-0", limit=limit)


class EveryProgressKept(ModelStore):
    """Older progress is not replaced."""

    async def events(self, job_id: str, **options: Any) -> list[JobEvent]:
        events = await super().events(job_id, **options)
        return [one for event in events for one in [event] * (2 if event.progress else 1)]


class ReportsUnderAnyToken(ModelStore):
    """A zombie's report is told."""

    def _progress(self, update: ProgressUpdate) -> Verdict:
        record = self.data.records.get(update.job_id)
        token = record.job.token if record else 0
        super()._progress(msgspec.structs.replace(update, token=token))
        return super()._progress(update)


class EndlessLogs(ModelStore):
    """All lines are kept."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.data._too_many = lambda lines: False  # type: ignore[method-assign]


class RepeatsCount(ModelStore):
    """A submit that met its own job counts again."""

    async def submit(self, jobs: Any, **options: Any) -> Any:
        answers = await super().submit(jobs, **options)
        again = [msgspec.structs.replace(one, created=not one.created) for one in answers]
        self.tally.submitted(jobs, again)
        return answers


class KeysOverwritten(ModelStore):
    """A second key of an id takes the place of the first."""

    async def add_key(self, key: ApiKey) -> ApiKey:
        self.data.keys.pop(key.id, None)
        return await super().add_key(key)


class RevokedForget(ModelStore):
    """A revoked key is gone, and may be revoked again."""

    async def revoke_key(self, id: str) -> bool:
        key = self.data.keys.get(id)
        if key is not None:
            self.data.keys[id] = msgspec.structs.replace(key, revoked_at=None)
        return await super().revoke_key(id)


class ActionsRepeat(ModelStore):
    """The last action of a page is the first of the next."""

    async def actions(self, *, limit: int = 50, cursor: str | None = None) -> ActionPage:
        page = await super().actions(limit=limit, cursor=cursor)
        if page.cursor is None or limit == 1:
            return page
        return ActionPage(page.actions, str(int(page.cursor) + 1))


PLANTED = [
    Planted(FeedRepeats, test_feed.test_pages_join_without_gap_or_repeat, (3,)),
    Planted(FeedRepeats, test_feed.test_changes_in_several_processes_are_all_told),
    Planted(FeedLeavesOut, test_feed.test_pages_join_without_gap_or_repeat, (3,)),
    Planted(FeedEndsTooSoon, test_feed.test_a_page_says_whether_there_is_more),
    Planted(FeedNeverEnds, test_feed.test_a_page_says_whether_there_is_more),
    Planted(FeedFromTheBeginning, test_feed.test_the_feed_tells_what_happens_from_now_on),
    Planted(EveryProgressKept, test_feed.test_progress_is_told_and_the_newest_is_kept),
    Planted(ReportsUnderAnyToken, test_feed.test_a_report_under_an_old_token_is_not_told),
    Planted(ReportsUnderAnyToken, test_logs.test_a_stale_holder_writes_no_line),
    Planted(EndlessLogs, test_logs.test_the_latest_lines_are_kept),
    Planted(EndlessLogs, test_logs.test_long_lines_are_cut_and_make_older_ones_go),
    Planted(RepeatsCount, test_figures.test_refused_and_repeated_calls_do_not_count),
    Planted(KeysOverwritten, test_operators.test_an_id_is_given_once),
    Planted(RevokedForget, test_operators.test_a_key_is_revoked_once),
    Planted(ActionsRepeat, test_operators.test_actions_are_listed_latest_first),
]


@pytest.mark.parametrize(
    "planted", PLANTED, ids=lambda one: f"{one.store.__name__}-{one.case.__name__}"
)
async def test_a_fault_is_noticed(planted: Planted, clock: FakeClock) -> None:
    await run(ModelStore, planted, clock)
    with pytest.raises((Exception, pytest.fail.Exception)) as caught:
        await run(planted.store, planted, clock)
    assert isinstance(caught.value, AssertionError | pytest.fail.Exception), caught.getrepr()
