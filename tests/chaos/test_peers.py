"""Other systems are judged by what their jobs wrote down, part by part."""

from typing import Any

from chaos.lives import Lives
from chaos.peers.contest import judged

from tests.chaos.story import Story


def gathered(told: Story) -> Lives:
    lives = Lives(slack=0)
    lines: list[Any] = list(told.lines)
    lives.take("process-7-x", lines)
    lives.complete()
    return lives


def told(name: str) -> Story:
    """One job that is done, one that is done twice, one that is not, and one nobody knows of."""
    story = Story().enqueue(f"{name}-1").enqueue(f"{name}-2").enqueue(f"{name}-3")
    story.enqueue(f"{name}-4", "info")
    for job, tokens in (("1", (1,)), ("2", (2, 3))):
        for token in tokens:
            story.start(token, f"{name}-{job}").leave("done", token, f"{name}-{job}")
    return story


def test_only_what_was_acknowledged_and_not_done_is_lost() -> None:
    found = judged(gathered(told("kill")), "kill")
    assert found.counts["acknowledged"] == 3
    assert found.anomalies["lost"] == 1
    assert found.examples["lost"] == ["kill-3: the store has no record of it"]
    assert found.counts["started again"] == 1


def test_a_part_is_judged_without_the_others() -> None:
    assert judged(gathered(told("kill")), "restart").jobs == 0
