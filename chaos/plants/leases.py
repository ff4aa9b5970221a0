"""Faults of leases, hand-backs and the reaper."""

from typing import Final

from chaos.plants.edits import Edit
from chaos.plants.plant import OUTCOMES, SQL, WORKER, Plant

PLANTS: Final = (
    Plant(
        name="heartbeat revives (SQL)",
        what="a renewal makes anew a lease that was over",
        on=("sqlite",),
        script="zombies revived",
        expects=("revived",),
        edits=(
            Edit(
                f"{SQL}deliveries:Deliveries.renew",
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
                f"{SQL}deliveries:Deliveries.renew",
                'extension = {\n        "lease": milliseconds(lease)',
                "import time\n    ahead = (time.time() + 7200) * 1000\n"
                "    moment = connection.execute(select(self._dialect.now)).scalar_one()\n"
                '    extension = {\n        "lease": int(ahead - moment) + milliseconds(lease)',
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
                f"{SQL}returns:Returns.any_to_reap",
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
                f"{SQL}store:SqlStore.reap",
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
        edits=(Edit(f"{SQL}returns:_fate", "kills = int(charged)", "kills, charged = 0, False"),),
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
                f"{OUTCOMES}settle",
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
        edits=(Edit(f"{WORKER}exchange:Exchange.look", "keep=held()", "keep=()"),),
    ),
    Plant(
        name="hand-back of what ended",
        what="a hand-back takes all jobs of a worker, those that have ended too",
        on=("sqlite",),
        script="long jobs",
        expects=("terminal",),
        edits=(
            Edit(
                f"{SQL}returns:Returns.__init__",
                "running = running.where(one_of(JobState.RUNNING))",
                "running = running.where(jobs.c.started_at.is_not(None))",
            ),
        ),
    ),
)
