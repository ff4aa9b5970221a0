"""The planted faults: what each is, the edits that make it, and the script that must show it."""

from typing import Final

import msgspec

from chaos.plants.edits import Edit

ONE_IN_SIX: Final = "sum(one.job_id.encode()) % 6 == 0"


class Plant(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of the product.

    Attributes:
        what: the fault in words.
        script: the name of the script that must show it.
        on: the deployments on which it bites.
        expects: the kinds of anomaly one of which must be found.
        fast: whether it is one of the few that every test run tries.
    """

    name: str
    what: str
    on: tuple[str, ...]
    script: str
    expects: tuple[str, ...]
    edits: tuple[Edit, ...]
    fast: bool = False


_SQL: Final = "ferryman.stores.sql."
_HYBRID: Final = "ferryman.stores.hybrid."
_WORKER: Final = "ferryman.worker."

_NO_HEADS: Final = Edit(
    f"{_HYBRID}sweep:Sweep._compare",
    "if still:",
    "if still and False:",
)

PLANTS: Final = (
    # -- deliveries ------------------------------------------------------------------------------
    Plant(
        name="acknowledged before it runs",
        what="a worker says that a job succeeded as soon as it has it",
        on=("sqlite",),
        script="process killed",
        expects=("lost",),
        edits=(
            Edit(
                f"{_WORKER}running:RunningJobs._run",
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
        fast=True,
        edits=(
            Edit(
                f"{_WORKER}running:RunningJobs.start",
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
        edits=(Edit(f"{_SQL}deliveries:claimable", " & in_time & ~paused", " & in_time"),),
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
        edits=(Edit(f"{_SQL}deliveries:claimable", " & in_time & ~paused", " & ~paused"),),
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
    # -- endings ---------------------------------------------------------------------------------
    Plant(
        name="no token at the end (SQL)",
        what="an ending does not look at the token",
        on=("postgresql",),
        script="zombies",
        expects=("stale",),
        edits=(
            Edit(
                f"{_SQL}endings:_under_token",
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
                "if s.state ~= STATE.running or s.token ~= token then",
                "if s.state ~= STATE.running then",
            ),
        ),
    ),
    Plant(
        name="endings dropped",
        what="one ending in six is acknowledged, and not written",
        on=("sqlite",),
        script="long jobs",
        expects=("unexplained", "lost"),
        fast=True,
        edits=(
            Edit(
                f"{_SQL}endings:Endings.finish",
                "batch = self.batch(endings)",
                f"batch = self.batch(one for one in endings if not {ONE_IN_SIX})",
            ),
        ),
    ),
    Plant(
        name="run again after success",
        what="one success in six leads to another run",
        on=("valkey",),
        script="calm",
        expects=("unexplained",),
        edits=(
            Edit(
                "ferryman.domain.outcomes:settle",
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
                "ferryman.domain.outcomes:_settle_failed",
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
                f"{_SQL}moves:Moves.queue",
                "self.tell(connection, ids, source)",
                "self.tell(connection, ids if source is not JobState.SCHEDULED else (), source)",
            ),
        ),
    ),
    # -- leases, hand-backs, the reaper ----------------------------------------------------------
    Plant(
        name="heartbeat revives (SQL)",
        what="a renewal makes anew a lease that was over",
        on=("sqlite",),
        script="zombies revived",
        expects=("revived",),
        edits=(
            Edit(
                f"{_SQL}deliveries:Deliveries.renew",
                "return Renewal(live=False)",
                "self.register(connection, worker, lease)",
            ),
        ),
    ),
    Plant(
        name="heartbeat revives (Valkey)",
        what="a renewal extends a lease that was over",
        on=("valkey",),
        script="zombies revived",
        expects=("revived",),
        edits=(
            Edit(
                "lua/shared/extend",
                "if tonumber(redis.call('ZSCORE', LEASES, ARGV[2]) or 0) <= now then",
                "if now < 0 then",
            ),
            Edit("lua/queue/renew", "elseif tonumber(lease) <= now then", "elseif now < 0 then"),
        ),
    ),
    Plant(
        name="the worker's clock",
        what="a worker's own clock, which is two hours ahead, says until when its lease holds",
        on=("sqlite",),
        script="host lost",
        expects=("lost", "drain"),
        edits=(
            Edit(
                f"{_SQL}deliveries:Deliveries.renew",
                'extension = {"lease": milliseconds(lease)',
                "import time\n    ahead = (time.time() + 7200) * 1000\n"
                "    moment = connection.execute(select(self._dialect.now)).scalar_one()\n"
                '    extension = {"lease": int(ahead - moment) + milliseconds(lease)',
            ),
        ),
    ),
    Plant(
        name="no reaper",
        what="nobody looks for jobs whose worker is gone",
        on=("postgresql",),
        script="host lost",
        expects=("lost", "drain"),
        edits=(
            Edit(
                f"{_SQL}returns:Returns.any_to_reap",
                "return bool(connection.execute(self._any_to_reap).one().any)",
                "return False",
            ),
        ),
    ),
    Plant(
        name="reaper without compare-and-set",
        what="the reaper looks for jobs, and sends them back later whatever they are by then",
        on=("sqlite",),
        script="host lost",
        expects=("unexplained", "overlap", "transition"),
        edits=(
            Edit(
                f"{_SQL}store:SqlStore.reap",
                "return self._announced(await self._engines.write.run(self._returns.reap, limit))",
                "returns, write = self._returns, self._engines.write\n"
                "    await write.run(lambda c: c.execute(returns._forget) and None)\n"
                "    found = await write.run(\n"
                "        lambda c: c.execute(returns._orphans, {'limit': limit}).all()\n"
                "    )\n"
                "    await asyncio.sleep(1.0)\n"
                "    work = returns._send_back\n"
                "    return self._announced(await write.run(work, found, kill=True, spare=()))",
            ),
        ),
    ),
    Plant(
        name="kills not counted (SQL)",
        what="nobody counts how many processes a job has killed",
        on=("sqlite",),
        script="poison",
        expects=("restless",),
        edits=(Edit(f"{_SQL}returns:_fate", "kills = int(charged)", "kills, charged = 0, False"),),
    ),
    Plant(
        name="kills not counted (Valkey)",
        what="nobody counts how many processes a job has killed",
        on=("valkey",),
        script="poison",
        expects=("restless",),
        edits=(Edit("lua/include/send_back", "s.kills = s.kills + 1", "s.kills = s.kills + 0"),),
    ),
    Plant(
        name="hand-back charged",
        what="a job that a leaving worker gives back is charged an attempt",
        on=("sqlite",),
        script="terminated",
        expects=("charged",),
        edits=(
            Edit(
                "ferryman.domain.outcomes:settle",
                "return ending(JobState.QUEUED, Reason.HANDED_BACK)",
                "return ending(JobState.QUEUED, Reason.HANDED_BACK, charge=1)",
            ),
        ),
    ),
    Plant(
        name="hand-back of what runs",
        what="a worker that looks for lost deliveries hands back those that it does run",
        on=("sqlite", "valkey"),
        script="long jobs",
        expects=("unexplained",),
        fast=True,
        edits=(Edit(f"{_WORKER}exchange:Exchange._clear_doubt", "keep=held()", "keep=()"),),
    ),
    Plant(
        name="hand-back of what ended",
        what="a hand-back takes all jobs of a worker, those that have ended too",
        on=("sqlite",),
        script="long jobs",
        expects=("terminal",),
        edits=(
            Edit(
                f"{_SQL}returns:Returns.__init__",
                "running = running.where(one_of(JobState.RUNNING))",
                "running = running.where(jobs.c.started_at.is_not(None))",
            ),
        ),
    ),
    # -- producers -------------------------------------------------------------------------------
    Plant(
        name="acknowledged before it is written",
        what="an enqueue is acknowledged at once, and written a moment later",
        on=("sqlite", "postgresql"),
        script="client killed",
        expects=("lost",),
        fast=True,
        edits=(
            Edit(
                f"{_SQL}store:SqlStore.submit",
                "return [await self._singles.submit(jobs[0])]",
                "loop, one = asyncio.get_running_loop(), jobs[0]\n"
                "        loop.call_later(\n"
                "            2.0, lambda: asyncio.ensure_future(self._singles.submit(one))\n"
                "        )\n"
                "        return [Submitted(one.id, one.queue, True)]",
            ),
        ),
    ),
    Plant(
        name="submitted again under a new id",
        what="one submit in six is made again, and gives the job another id",
        on=("sqlite",),
        script="calm",
        expects=("unexpected",),
        edits=(
            Edit(
                f"{_SQL}store:SqlStore._submit_each",
                "self._announce_intake(intake, jobs)",
                "import msgspec\n"
                "    again = [one for one in jobs if sum(one.id.encode()) % 6 == 0]\n"
                "    again = [msgspec.structs.replace(one, id=f'{one.id}-2') for one in again]\n"
                "    if again:\n"
                "        await self._engines.alone.run(self._producers.submit_each, again)\n"
                "    self._announce_intake(intake, jobs)",
            ),
        ),
    ),
    Plant(
        name="a transaction of its own",
        what="an enqueue within a caller's transaction commits by itself",
        on=("sqlite", "postgresql"),
        script="rolled back",
        expects=("phantom",),
        edits=(
            Edit(
                f"{_SQL}store:SqlStore._submit_in_async",
                "intake = await join_async(transaction, self._dialect.kind, self._joining(jobs))",
                "intake = await self._engines.write.run(self._joining(jobs))",
            ),
        ),
    ),
    Plant(
        name="unique key kept",
        what="a job that has ended still holds its unique key",
        on=("valkey",),
        script="unique",
        expects=("unique",),
        edits=(
            Edit(
                "lua/include/moves",
                "if job.unique ~= '' then\n    defer('HDEL', UNIQUE, job.unique)\n  end\n",
                "",
            ),
        ),
    ),
    Plant(
        name="unique key ignored",
        what="a job is taken in although a live one holds its unique key",
        on=("valkey",),
        script="unique",
        expects=("unique",),
        edits=(
            Edit(
                "lua/queue/submit",
                "redis.call('HSETNX', UNIQUE, job.unique, job.id) == 0 then",
                "redis.call('HSET', UNIQUE, job.unique, job.id) == 2 then",
            ),
        ),
    ),
    Plant(
        name="cancellation lost",
        what="a job that waits is said to be cancelled, and is not",
        on=("sqlite",),
        script="cancelled",
        expects=("cancelled",),
        edits=(
            Edit(
                f"{_SQL}steering:Steering._cancel_at_once",
                "self._moves.move(connection, chosen, state, values)",
                "pass",
            ),
        ),
    ),
    Plant(
        name="cancellation unheard",
        what="the worker of a running job is not told that it was cancelled",
        on=("valkey",),
        script="cancelled",
        expects=("unheard",),
        edits=(
            Edit("lua/queue/cancel", "redis.call('HSET', STOP_ .. s.worker, job.id, s.token)", ""),
        ),
    ),
    # -- upkeep ----------------------------------------------------------------------------------
    Plant(
        name="due job lost",
        what="one due job in two leaves the schedule, and joins no queue",
        on=("valkey",),
        script="calm",
        expects=("lost",),
        edits=(
            Edit(
                "lua/queue/promote",
                "    if job then",
                "    if job and string.byte(id, -1) % 2 == 0 then",
            ),
        ),
    ),
    Plant(
        name="due too soon",
        what="jobs are queued a second before they are due",
        on=("postgresql",),
        script="calm",
        expects=("early",),
        edits=(
            Edit(
                f"{_SQL}upkeep:Upkeep.__init__",
                "jobs.c.due_at <= now)",
                "jobs.c.due_at <= now + 1000)",
            ),
            Edit(f"{_SQL}upkeep:Upkeep.next_due", "max(0, int(left))", "max(0, int(left) - 1000)"),
        ),
    ),
    # -- the lane --------------------------------------------------------------------------------
    Plant(
        name="no sweep",
        what="nobody sees to it that the lane has what it should",
        on=("hybrid-sqlite",),
        script="lane flushed",
        expects=("lane",),
        fast=True,
        edits=(
            Edit(f"{_HYBRID}sweep:Sweep._round", "await self.once()", "await asyncio.sleep(0)"),
        ),
    ),
    Plant(
        name="epoch ignored",
        what="a lane that was filled once counts as filled, whatever it lost since",
        on=("hybrid-sqlite",),
        script="lane flushed",
        expects=("lane",),
        edits=(
            Edit(
                f"{_HYBRID}sweep:Sweep.once",
                "if run != filled:",
                "was_filled, self._filled = getattr(self, '_filled', False), True\n"
                "    if run != filled and not was_filled:",
            ),
        ),
    ),
    Plant(
        name="pushed before the commit",
        what="the lane is told of a job before the database has it, and nobody sweeps",
        on=("hybrid-postgresql",),
        script="urgent among many",
        expects=("overtaken",),
        edits=(
            _NO_HEADS,
            Edit(
                f"{_SQL}store:SqlStore._submit_each",
                "intake = await self._engines.alone.run_repeatable("
                "self._producers.submit_each, jobs)",
                "def work(connection):\n"
                "            intake = self._producers.submit_each(connection, jobs)\n"
                "            self._courier.add(intake.places)\n"
                "            time.sleep(1.0)\n"
                "            return intake\n"
                "        intake = await self._engines.write.run(work)\n"
                "        return intake.answers",
            ),
        ),
    ),
    Plant(
        name="taken for good",
        what="what a worker took from the lane, and then said no more, is gone, and nobody sweeps",
        on=("hybrid-sqlite",),
        script="urgent among many",
        expects=("overtaken",),
        edits=(
            _NO_HEADS,
            Edit(
                "lua/queue/lane_take",
                "redis.call('ZADD', TAKEN, unpack(held, first, "
                "math.min(first + 2 * SETTLED - 1, #held)))",
                "",
            ),
            Edit(
                "lua/queue/lane_take",
                "entries[#entries + 1] = entry",
                "if not string.find(popped[at], 'urgent') then entries[#entries + 1] = entry end",
            ),
        ),
    ),
    Plant(
        name="breaker never closes",
        what="a lane that was down is never used again",
        on=("hybrid-sqlite",),
        script="lane restarted",
        expects=("lane",),
        edits=(Edit(f"{_HYBRID}breaker:Breaker._recover", "if steady:", "if steady and False:"),),
    ),
)

ALL: Final = {plant.name: plant for plant in PLANTS}
"""Every planted fault by its name."""
