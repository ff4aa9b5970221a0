"""The table of transitions, and the diagram that the documentation shows of it."""

from pathlib import Path

import pytest

from ferryman.domain.states import TERMINAL, TRANSITIONS, JobState, Reason, diagram, legal

LIFECYCLE = Path(__file__).parents[2] / "docs" / "explanation" / "lifecycle.md"
S = JobState


def arrows(text: str) -> dict[tuple[str, str], str]:
    """The arrows of a Mermaid state diagram with what is written on them."""
    found = {}
    for line in text.splitlines():
        pair, _, cause = line.strip().partition(": ")
        source, arrow, target = pair.partition(" --> ")
        if arrow:
            found[source, target] = cause
    return found


def test_the_diagram_is_the_table() -> None:
    expected = {
        (source or "[*]", str(target)): cause for (source, target), cause in TRANSITIONS.items()
    }
    expected |= {(str(state), "[*]"): "" for state in TERMINAL}
    assert arrows(diagram()) == expected


def documented(text: str) -> str:
    """The diagram within a page."""
    return text.partition("```mermaid\n")[2].partition("\n```")[0]


def test_the_documentation_shows_the_diagram() -> None:
    assert documented(LIFECYCLE.read_text()) == diagram()


def test_a_page_with_another_diagram_is_noticed() -> None:
    page = LIFECYCLE.read_text().replace("queued --> running: claim", "queued --> failed: claim")
    assert documented(page) != diagram()


def test_the_documentation_explains_every_state() -> None:
    page = LIFECYCLE.read_text()
    assert all(f"| `{state}` |" in page for state in S)


def test_exactly_the_table_is_legal() -> None:
    pairs = {(source, target) for source in (None, *S) for target in S if legal(source, target)}
    assert pairs == set(TRANSITIONS)


@pytest.mark.parametrize("state", list(S))
def test_every_state_is_reached_and_only_the_ended_ones_are_the_end(state: JobState) -> None:
    assert any(target is state for _, target in TRANSITIONS)
    ways_out = {target for source, target in TRANSITIONS if source is state}
    assert state.terminal == (state in {S.SUCCEEDED, S.FAILED, S.CANCELLED})
    if state.terminal:
        assert ways_out <= {S.QUEUED}
    else:
        assert ways_out - {state}
    assert state not in ways_out


def test_only_a_claim_starts_a_job() -> None:
    assert [source for source, target in TRANSITIONS if target is S.RUNNING] == [S.QUEUED]


def test_what_succeeded_stays() -> None:
    assert not any(source is S.SUCCEEDED for source, _ in TRANSITIONS)


def test_states_and_reasons_are_plain_words() -> None:
    for value in (*S, *Reason):
        assert value == value.value == value.name.lower()
