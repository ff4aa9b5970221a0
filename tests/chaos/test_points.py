"""The crash points are complete: each verb of the protocol that changes something has its own."""

import pytest
from chaos.points import Point, Report
from chaos.stage import DEPLOYMENTS

from chaos import instruments, points
from ferryman.stores.hybrid.relay import Relay
from ferryman.stores.hybrid.store import HybridStore
from ferryman.stores.hybrid.sweep import Sweep
from ferryman.stores.sql.store import SqlStore
from ferryman.stores.valkey.store import ValkeyStore

AIMED = {verb for verbs in points.VERBS.values() for verb in verbs}

NOT_AIMED = {"admit", "register", "unregister", "expire", "prune"}
"""Held jobs, and the life of workers: others do what they do, or nobody waits for it."""


def test_each_verb_is_aimed_at_or_left_out_by_name() -> None:
    assert set(instruments.VERBS) == AIMED | NOT_AIMED
    assert not AIMED & NOT_AIMED


@pytest.mark.parametrize("store", [SqlStore, HybridStore, ValkeyStore])
def test_each_verb_is_one_of_every_store(store: type) -> None:
    for verb in AIMED | NOT_AIMED:
        assert callable(getattr(store, verb))


def test_what_a_lane_adds_is_within_the_instruments() -> None:
    lane = {verb for verbs in points.LANE_VERBS.values() for verb in verbs}
    inside = {name: owner for owner, _, name in instruments.INSIDE}
    assert lane == {"push", "sweep"}
    assert (inside["push"], inside["sweep"]) == (Relay, Sweep)


def seen(name: str) -> list[str]:
    wanted = points.wanted(DEPLOYMENTS[name])
    verbs = [f"{role}.{verb}" for role, some in wanted.items() for verb in some]
    return [f"{verb}:call:{where}" for verb in verbs for where in ("before", "after")]


def test_a_verb_without_a_point_is_missing() -> None:
    hybrid = DEPLOYMENTS["hybrid-sqlite"]
    all_of_them = seen("hybrid-sqlite")
    assert points.missing(hybrid, all_of_them) == []
    for point in all_of_them:
        others = [one for one in all_of_them if one != point]
        assert points.missing(hybrid, others) == [point.partition(":")[0]]
    assert "supervisor.sweep" in points.missing(hybrid, seen("sqlite"))


def test_what_nobody_aims_at_is_not_enumerated() -> None:
    mine = seen("valkey")
    assert points.enumerated(DEPLOYMENTS["valkey"], [*mine, "supervisor.prune:x:after"]) == sorted(
        mine
    )


def report(*made: Point, missing: tuple[str, ...] = ()) -> Report:
    return Report(
        deployment="sqlite",
        points=list(made),
        missing=list(missing),
        anomalies={},
        jobs=1,
        kills=1,
        seconds=1.0,
    )


def test_a_point_that_was_never_reached_is_a_failure() -> None:
    good = Point(names=("process.claim:x:after",), reached=True)
    never = Point(names=("process.claim:x:before",), reached=False)
    wrong = Point(names=("process.finish:x:before",), reached=True, anomalies=("lost: j: x",))
    assert report(good).good
    assert not report(good, never).good
    assert not report(good, wrong).good
    assert not report(good, missing=("process.finish",)).good
    assert "never reached" in report(good, never).told()
    table = points.table([report(good, never, wrong)])
    assert "| `process.claim` | 1 of 2 |" in table
    assert "| all | **1 of 3** |" in table
