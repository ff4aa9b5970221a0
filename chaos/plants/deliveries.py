"""Faults of claims, and of what a delivery writes."""

from typing import Final

from chaos.plants.edits import Edit
from chaos.plants.plant import OUTCOMES, SQL, WORKER, Plant

ONE_IN_SIX: Final = "sum(one.job_id.encode()) % 6 == 0"

PLANTS: Final = (
    Plant(
        name="acknowledged before it runs",
        what="a worker says that a job succeeded as soon as it has it",
        on=("sqlite",),
        script="process killed",
        expects=("lost",),
        edits=(
            Edit(
                f"{WORKER}running:RunningJobs._run",
                "attempt.conclude(await self._executor.execute(attempt))",
                "outcomes = __import__('ferryman.domain.outcomes', fromlist=['Succeeded'])\n"
                "    attempt.conclude(outcomes.Succeeded(str(attempt.delivery.token).encode()))\n"
                "    await self._executor.execute(attempt)",
            ),
        ),
    ),
    Plant(
        name="run twice",
        what="one delivery in six runs twice",
        on=("sqlite",),
        script="calm",
        expects=("overlap",),
        edits=(
            Edit(
                f"{WORKER}running:RunningJobs.start",
                "for delivery in deliveries:",
                f"for delivery in [one for one in deliveries for _ in range(1 + ({ONE_IN_SIX}))]:",
            ),
        ),
    ),
    Plant(
        name="token stands",
        what="a claim leaves the token as it was",
        on=("valkey",),
        script="process killed",
        expects=("overlap", "tokens"),
        edits=(
            Edit(
                "lua/include/claim",
                "s.token, s.deliveries = s.token + 1, s.deliveries + 1",
                "s.token, s.deliveries = math.max(s.token, job.created + 1), s.deliveries + 1",
            ),
        ),
    ),
    Plant(
        name="claim from a paused queue (SQL)",
        what="a claim does not look whether the queue is paused",
        on=("sqlite", "postgresql"),
        script="paused and expired",
        expects=("paused",),
        edits=(Edit(f"{SQL}deliveries:claimable", " & in_time & ~paused", " & in_time"),),
    ),
    Plant(
        name="claim from a paused queue (Valkey)",
        what="a claim does not look whether the queue is paused",
        on=("valkey",),
        script="paused and expired",
        expects=("paused",),
        edits=(
            Edit(
                "lua/include/claim",
                "if limit < 1 or redis.call('HGET', META, 'paused') then",
                "if limit < 1 then",
            ),
        ),
    ),
    Plant(
        name="claim of an expired job (SQL)",
        what="a claim does not look whether a job has expired",
        on=("sqlite",),
        script="paused and expired",
        expects=("late",),
        edits=(Edit(f"{SQL}deliveries:claimable", " & in_time & ~paused", " & ~paused"),),
    ),
    Plant(
        name="claim of an expired job (Valkey)",
        what="a claim does not look whether a job has expired",
        on=("valkey",),
        script="paused and expired",
        expects=("late",),
        edits=(
            Edit(
                "lua/include/claim",
                "if job.expires == 0 or job.expires > now then",
                "if job then",
            ),
        ),
    ),
    Plant(
        name="no token at the end (SQL)",
        what="an ending does not look at the token",
        on=("postgresql",),
        script="zombies",
        expects=("stale",),
        edits=(
            Edit(
                f"{SQL}endings:_under_token",
                'and_(jobs.c.id == rows.c["id"], jobs.c.token == rows.c["token"])',
                'jobs.c.id == rows.c["id"]',
            ),
        ),
    ),
    Plant(
        name="no token at the end (Valkey)",
        what="an ending does not look at the token",
        on=("valkey",),
        script="zombies",
        expects=("stale",),
        edits=(
            Edit(
                "lua/include/finish",
                "if s.state ~= STATE.running or s.token ~= token then",
                "if s.state ~= STATE.running then",
            ),
        ),
    ),
    Plant(
        name="no token on progress",
        what="a report does not look at the token",
        on=("valkey",),
        script="zombies report",
        expects=("stale",),
        edits=(
            Edit(
                "lua/queue/progress",
                "if job.s.state ~= STATE.running or job.s.token ~= token then",
                "if job.s.state ~= STATE.running then",
            ),
        ),
    ),
    Plant(
        name="endings dropped",
        what="one ending in six is acknowledged, and not written",
        on=("sqlite",),
        script="long jobs",
        expects=("unexplained", "lost"),
        edits=(
            Edit(
                f"{SQL}endings:Endings.finish",
                "batch = self.batch(endings)",
                f"batch = self.batch(one for one in endings if not {ONE_IN_SIX})",
            ),
        ),
    ),
    Plant(
        name="run again after success",
        fast=True,
        what="one success in six leads to another run",
        on=("valkey",),
        script="calm",
        expects=("unexplained",),
        edits=(
            Edit(
                f"{OUTCOMES}settle",
                "case Succeeded(result):\n",
                "case Succeeded() if facts.deliveries == 1 and "
                "sum(facts.job_id.encode()) % 6 == 0:\n"
                "            return ending(JobState.QUEUED, Reason.RETRY)\n"
                "        case Succeeded(result):\n",
            ),
        ),
    ),
    Plant(
        name="retry without back-off",
        what="a retry does not wait as long as it was told to",
        on=("sqlite",),
        script="calm",
        expects=("early",),
        edits=(
            Edit(
                f"{OUTCOMES}_settle_failed",
                "    state = JobState",
                "    delay = 0.0\n    state = JobState",
            ),
        ),
    ),
    Plant(
        name="event not written",
        what="a job that becomes due is queued without an event",
        on=("sqlite",),
        script="calm",
        expects=("transition",),
        edits=(
            Edit(
                f"{SQL}moves:Moves.queue",
                "self.tell(connection, ids, source)",
                "self.tell(connection, ids if source is not JobState.SCHEDULED else (), source)",
            ),
        ),
    ),
)
