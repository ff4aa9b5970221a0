"""The checker: judges a history. What goes in must come out, once, under a token that holds.

Its first terms are those of Jepsen's total queue: *lost* is acknowledged and never done,
*unexpected* was never asked for, *recovered* was done although nobody knew whether it had been
taken in. It is stricter in that it asks what explains each duplicate, in that a job which was
refused must not run (*phantom*), and in that it follows each job's states and tokens.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from chaos.faultlines import Faultlines
from chaos.history import Kept, Start
from chaos.lives import NEVER, SECOND, Life, Lives, Running
from ferryman.domain.outcomes import MAX_KILLS
from ferryman.domain.states import JobState, legal

EXAMPLES: Final = 20
"""Anomalies of a kind that are told in full."""

EARLY: Final = int(0.02 * SECOND)
"""How much sooner than due a job may start, by the resolution of clocks that differ."""

HASTE: Final = 1.0
"""Seconds that may pass between a claim and its start, on a machine that does much else."""

TERMINAL: Final = frozenset(state.value for state in JobState if state.terminal)

KINDS: Final = {
    "lost": "acknowledged, and never done",
    "unexpected": "ran or is kept, and nobody asked for it",
    "phantom": "refused, and yet it ran or is kept",
    "unexplained": "started again, and no fault interrupted it",
    "overlap": "two runs under one token",
    "stale": "a write under an old token was accepted",
    "effects": "an effect was taken after the job had ended, or twice under one token",
    "terminal": "more than one terminal state",
    "transition": "its states do not follow from one another",
    "tokens": "its tokens do not grow by one with each claim",
    "charged": "an attempt or a kill was charged that was none",
    "restless": "a job that kills its process ran more often than it may",
    "early": "started before it was due, or sooner again than it had asked for",
    "late": "started after it had expired",
    "cancelled": "started after a cancellation that took effect",
    "revived": "a lease was extended after its jobs had been taken away, for it was over",
    "unique": "two live jobs had one unique key, or an ended one still held it",
    "drain": "the system did not come to rest",
    "lane": "the lane does not agree with the database",
}
"""The kinds of anomaly. None may be found; what a fault explains is counted elsewhere."""


class Judgement(msgspec.Struct, kw_only=True):
    """What a history came to.

    Attributes:
        anomalies: how many of each kind; empty is: the history is good.
        examples: some of them, in words.
        tolerated: how many of each kind are what a power failure of the store may lead to.
        counts: what was counted besides.
        exposures: deliveries in flight on the target, summed over all faults of a name.
        faults: how many of a name.
        again: seconds until an interrupted job ran again, by the name of the fault.
    """

    jobs: int = 0
    lines: int = 0
    anomalies: Counter[str] = msgspec.field(default_factory=Counter)
    examples: dict[str, list[str]] = msgspec.field(default_factory=dict)
    tolerated: Counter[str] = msgspec.field(default_factory=Counter)
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    exposures: Counter[str] = msgspec.field(default_factory=Counter)
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    again: dict[str, list[float]] = msgspec.field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.anomalies

    def found(self, kind: str, job: str, what: str) -> None:
        """Take an anomaly down."""
        assert kind in KINDS  # noqa: S101 - a misspelt kind would be an anomaly that nobody sees
        self.anomalies[kind] += 1
        examples = self.examples.setdefault(kind, [])
        if len(examples) < EXAMPLES:
            examples.append(f"{job}: {what}")


def check(folder: Path, *, lease: float, events: bool = True, power: bool = True) -> Judgement:
    """Judge the history in a folder.

    Args:
        lease: of its workers, in seconds.
        events: the store tells how each job changed; else what follows from that is not asked.
        power: the store must keep what it acknowledged also where a fault makes it forget.
    """
    return judge(Lives.of(folder, slack=2 * lease), events=events, power=power)


def judge(lives: Lives, *, events: bool = True, power: bool = True) -> Judgement:
    """Judge what was gathered."""
    judgement = Judgement(jobs=len(lives.jobs), lines=lives.lines)
    _Judge(lives, judgement, events=events, power=power).run()
    return judgement


class _Judge:
    def __init__(self, lives: Lives, judgement: Judgement, *, events: bool, power: bool) -> None:
        self._lives = lives
        self._into = judgement
        self._events = events
        self._power = power
        self._faults = Faultlines(lives.happenings)
        self._paths: dict[tuple[tuple[str, str, str], ...], list[tuple[str, str]]] = {}
        self._keys: defaultdict[str, list[tuple[str, Life]]] = defaultdict(list)
        self._again: dict[tuple[str, int], int] = {}

    def run(self) -> None:
        """Judge each job, and then all together."""
        rules: list[Callable[[Life], Iterator[tuple[str, str]]]] = [
            self._arrival,
            self._starts,
            self._writes,
            self._ending,
        ]
        for job, life in self._lives.jobs.items():
            for rule in rules:
                for kind, what in rule(life):
                    self._anomaly(job, life, kind, what)
            if life.unique is not None:
                self._keys[life.unique].append((job, life))
        self._unique_keys()
        self._rest()
        self._exposures()

    def _anomaly(self, job: str, life: Life, kind: str, what: str) -> None:
        if not self._power and self._faults.forgotten(*_span(life)):
            self._into.tolerated[kind] += 1
        else:
            self._into.found(kind, job, what)

    # -- what goes in, and whether it comes out ------------------------------------------------

    def _arrival(self, life: Life) -> Iterator[tuple[str, str]]:
        counts = self._into.counts
        if not life.asked:
            yield "unexpected", f"state {life.kept and life.kept.state}"
            return
        counts["enqueued"] += 1
        done = any(leave.how == "done" for leave in life.leaves)
        counts["done"] += done
        if life.acked:
            counts["acknowledged"] += 1
            yield from self._fate(life, done)
        elif life.unknown:
            counts["unknown"] += 1
            counts["recovered"] += done
            if life.kept is not None:
                yield from self._fate(life, done)
        else:
            counts["refused"] += bool(life.refused)
            counts["given back"] += bool(life.given) and not life.refused
            if life.starts or life.kept is not None:
                yield "phantom", f"it was refused, and its state is {life.kept and life.kept.state}"

    def _fate(self, life: Life, done: bool) -> Iterator[tuple[str, str]]:
        kept = life.kept
        if kept is None:
            yield "lost", "the store has no record of it"
        elif kept.state not in TERMINAL:
            yield "lost", f"it is still {kept.state} ({kept.reason})"
        elif kept.state == "succeeded":
            self._into.counts["succeeded"] += 1
            if not done:
                yield "lost", "it is said to have succeeded, and its code never got to its end"
        elif not self._accounted(life, kept.state, kept.reason):
            yield "lost", f"it has {kept.state} ({kept.reason}) for no reason"

    def _accounted(self, life: Life, state: str, reason: str) -> bool:
        """Whether an ending without success is what someone wanted, or has come to deserve."""
        if state == "cancelled":
            self._into.counts["cancelled"] += 1
            return any(verb == "cancel" for verb, *_ in life.steered)
        if reason == "expired":
            self._into.counts["expired"] += 1
            return life.expires > 0
        if reason == "worker_lost":
            self._into.counts["worker_lost"] += 1
            return self._faults.charges(life) >= MAX_KILLS
        self._into.counts["failed"] += 1
        return any(leave.how in ("fail", "error") for leave in life.leaves)

    # -- how often, and why --------------------------------------------------------------------

    def _starts(self, life: Life) -> Iterator[tuple[str, str]]:
        if life.starts and life.delay and not _retried(life, 0, life.starts[0].t):
            soonest = life.asked + int(life.delay * SECOND) - EARLY
            if life.starts[0].t < soonest:
                early = (soonest - life.starts[0].t) / SECOND
                yield "early", f"by {early:.3f} s"
        if life.starts and life.expires and life.acked:
            late = (life.starts[0].t - life.acked) / SECOND - life.expires
            if late > HASTE:
                yield "late", f"by {late:.3f} s"
        for verb, verdict, _, given in life.steered:
            if verb == "cancel" and verdict == "applied" and _restarted(life, given):
                yield "cancelled", "it was cancelled before it ran, and it ran"
        if len(life.starts) < 2:
            return
        self._into.counts["started again"] += 1
        yield from self._restarts(life)
        kills = [leave for leave in life.leaves if leave.how == "kill"]
        # Who dies in an outage may be gone, lease and all, before the store can be told of it.
        told = sum(not self._faults.outage(leave.t) for leave in kills)
        if told > MAX_KILLS:
            yield "restless", f"it has killed {told} processes"

    def _restarts(self, life: Life) -> Iterator[tuple[str, str]]:
        left = {leave.token: leave.how for leave in life.leaves}
        # A worker that was stopped may begin what it had claimed when others have begun it again.
        in_turn = sorted(life.starts, key=lambda start: start.token)
        for before, after in itertools.pairwise(in_turn):
            if after.t > before.t:
                self._again[before.job, before.token] = after.t
            if before.token == after.token:
                yield "overlap", f"token {after.token} in {before.pid} and in {after.pid}"
            elif left.get(before.token) in ("again", "error", "kill"):
                self._into.counts["meant to run again"] += 1
                yield from self._too_soon(life, before, after)
            elif _retried(life, before.t, after.t):
                self._into.counts["retried by hand"] += 1
            elif self._faults.explains(before, after.t):
                self._into.counts["explained duplicates"] += 1
            else:
                seconds = (after.t - before.t) / SECOND
                yield (
                    "unexplained",
                    f"tokens {before.token} and {after.token}, {seconds:.2f} s apart",
                )

    def _too_soon(self, life: Life, before: Start, after: Start) -> Iterator[tuple[str, str]]:
        """A job that was to wait, as its ending was accepted, and did not."""
        token = before.token
        written = any(one.token == token and one.verdict == "applied" for one in life.told)
        if not written or _retried(life, before.t, after.t):
            return
        for leave in life.leaves:
            soonest = leave.t + int(leave.wait * SECOND) - EARLY
            if leave.token == token and leave.wait and after.t < soonest:
                yield "early", f"by {(soonest - after.t) / SECOND:.3f} s, after token {token}"

    # -- writes --------------------------------------------------------------------------------

    def _writes(self, life: Life) -> Iterator[tuple[str, str]]:
        if not _plain(life):
            yield from self._told(life)
        seen: set[int] = set()
        for effect in life.effects:
            if not effect.taken:
                self._into.counts["effects refused"] += 1
            elif effect.token in seen:
                yield "effects", f"two under token {effect.token}"
            elif any(
                one.verdict == "applied" and one.state in TERMINAL and one.given < effect.t
                for one in life.told
                # It may be retried before its worker is told that it has ended.
                if one.token < effect.token and not _retried(life, one.asked, effect.t)
            ):
                yield "effects", f"one under token {effect.token}, and the job had ended"
            seen.add(effect.token)
        self._into.counts["effects repeated"] += len(seen) > 1

    def _told(self, life: Life) -> Iterator[tuple[str, str]]:
        # What is repeated may be accepted late, for it had taken effect, and nobody was told.
        first: dict[tuple[int, str], int] = {}
        for one in life.told:
            ending = one.token, one.state
            first[ending] = min(one.asked, first.get(ending, NEVER))
        ended: set[int] = set()
        for one in life.told:
            if one.verdict != "applied":
                self._into.counts["late endings refused"] += one.verdict != "unknown"
                continue
            if one.state in TERMINAL:
                ended.add(one.token)
            if _overtaken(life, one.token, first[one.token, one.state]):
                yield "stale", f"the ending of token {one.token} as {one.state}"
        if len(ended) > 1 + sum(verb == "retry" for verb, *_ in life.steered):
            yield "terminal", f"endings of the tokens {sorted(ended)} were accepted"
        for one in life.reports:
            if one.verdict != "applied":
                self._into.counts["late reports refused"] += one.verdict != "unknown"
            elif _overtaken(life, one.token, one.asked):
                yield "stale", f"progress of token {one.token}"

    # -- what the store says at the end --------------------------------------------------------

    def _ending(self, life: Life) -> Iterator[tuple[str, str]]:
        kept = life.kept
        if kept is None:
            return
        if kept.result is not None and kept.result != kept.token:
            yield "stale", f"the result is of token {kept.result}, and the last is {kept.token}"
        raised = sum(leave.how in ("error", "fail") for leave in life.leaves)
        if kept.attempts > raised:
            yield "charged", f"{kept.attempts} attempts, and {raised} have failed"
        if kept.kills and kept.kills > self._faults.charges(life):
            yield "charged", f"{kept.kills} kills, and not as many faults"
        if self._events:
            path = tuple((source, target, reason) for source, target, reason, _, _ in kept.changes)
            found = self._paths.get(path)
            if found is None:
                found = self._paths[path] = list(_follow(path))
            yield from found
            yield from _count_tokens(kept)
            yield from self._revived(life, kept)

    def _revived(self, life: Life, kept: Kept) -> Iterator[tuple[str, str]]:
        """A worker whose job was taken away, and had begun elsewhere, before it renewed."""
        if len(life.starts) < 2:
            return
        own = {one.token for one in life.told if one.verdict != "stale"}
        holders: dict[int, str] = {}
        for source, target, reason, token, worker in kept.changes:
            if target == "running":
                holders[token] = worker or ""
            elif (source, reason) == ("running", "lease_lost") and token not in own:
                again = min((one.t for one in life.starts if one.token > token), default=NEVER)
                if self._lives.renewed.get(holders.get(token, ""), 0) > again:
                    yield "revived", f"that of {holders[token]}, which held token {token}"

    # -- all together --------------------------------------------------------------------------

    def _unique_keys(self) -> None:
        jobs = self._lives.jobs
        for key, group in self._keys.items():
            group.sort(key=lambda one: one[1].asked)
            live: tuple[str, Life] | None = None
            for job, life in group:
                holder = jobs.get(life.given) if life.given else None
                if holder is not None and 0 < _ended_by(holder) < life.asked:
                    self._anomaly(job, life, "unique", f"{life.given} had ended, and held {key}")
                if not life.acked:
                    continue
                if live and live[1].acked < life.asked and life.acked < _may_end_from(live[1]):
                    self._anomaly(job, life, "unique", f"{live[0]} was live, and held {key}")
                live = job, life

    def _rest(self) -> None:
        drained = self._lives.drained
        if drained is None:
            self._into.found("drain", "all", "the history has no end")
        elif not drained.ok:
            self._into.found("drain", "all", drained.error)
        elif drained.lane:
            self._into.found("lane", "all", drained.lane)

    def _exposures(self) -> None:
        running = Running(self._lives)
        for one in self._lives.happenings:
            self._into.faults[one.name] += 1
            if one.scope == "process":
                struck = running.on(one.targets, one.begun)
                self._into.exposures[one.name] += len(struck)
                for start in struck:
                    again = self._again.get((start.job, start.token))
                    if again is not None:
                        seconds = (again - one.begun) / SECOND
                        self._into.again.setdefault(one.name, []).append(round(seconds, 3))
            elif one.name != "lag":
                self._into.exposures[one.name] += running.at(one.begun)


def _plain(life: Life) -> bool:
    """Whether one delivery was ended once, which is what nearly all jobs come to."""
    if len(life.told) != 1 or len(life.starts) != 1 or life.reports:
        return False
    [told], [start] = life.told, life.starts
    return told.verdict == "applied" and told.token == start.token


def _ended_by(life: Life) -> int:
    """When it had surely ended, for good; 0 is: nobody knows."""
    if any(verb == "retry" for verb, *_ in life.steered):
        return 0
    ends = [one.given for one in life.told if one.verdict == "applied" and one.state in TERMINAL]
    return min(ends, default=0)


def _may_end_from(life: Life) -> int:
    """The moment before which it surely had not ended; 0 is: nobody knows."""
    if life.kept is not None and life.kept.state not in TERMINAL:
        return NEVER
    ends = [one.asked for one in life.told if one.state in TERMINAL]
    ends += [asked for verb, _, asked, _ in life.steered if verb == "cancel"]
    return min(ends, default=0)


def _span(life: Life) -> tuple[int, int]:
    """From the first moment of a life to the last that is known."""
    moments = [life.asked, life.acked]
    moments += [start.t for start in life.starts]
    moments += [leave.t for leave in life.leaves]
    moments += [one.given for one in life.told]
    moments = [moment for moment in moments if moment]
    return min(moments, default=0), max(moments, default=NEVER)


def _restarted(life: Life, moment: int) -> bool:
    """Whether it started after this moment, and no retry by hand is to blame."""
    return any(start.t > moment and not _retried(life, 0, start.t) for start in life.starts)


def _retried(life: Life, after: int, before: int) -> bool:
    """Whether a retry by hand may have taken effect between two moments."""
    return any(
        verb == "retry" and verdict in ("applied", "info") and given > after and asked < before
        for verb, verdict, asked, given in life.steered
    )


def _overtaken(life: Life, token: int, moment: int) -> bool:
    return any(start.token > token and start.t < moment for start in life.starts)


def _follow(path: tuple[tuple[str, str, str], ...]) -> Iterator[tuple[str, str]]:
    """What is wrong with a chain of changes."""
    state, ends = "", 0
    for source, target, reason in path:
        if source != state:
            yield "transition", f"{source or 'nothing'} to {target}, after {state or 'nothing'}"
        elif not legal(JobState(source) if source else None, JobState(target)):
            yield "transition", f"{source or 'nothing'} to {target} ({reason})"
        ends += target in TERMINAL
        ends -= source in TERMINAL and reason == "retried"
        state = target
    if ends > 1:
        yield "terminal", " ".join(target for _, target, _ in path)


def _count_tokens(kept: Kept) -> Iterator[tuple[str, str]]:
    claims, token, state = 0, 0, ""
    for _, target, _, seen, _ in kept.changes:
        claimed = target == "running"
        if token and seen != token + claimed:
            yield "tokens", f"{token}, then {seen} at {target}"
        claims, token, state = claims + claimed, seen, target
    if kept.changes and (claims, token, state) != (kept.deliveries, kept.token, kept.state):
        known = f"{kept.deliveries}, {kept.token}, {kept.state}"
        yield "transition", f"its events tell of {claims}, {token}, {state}; its record of {known}"
