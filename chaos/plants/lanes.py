"""Faults of the lane and of what keeps it filled."""

from typing import Final

from chaos.plants.edits import Edit
from chaos.plants.plant import HYBRID, SQL, Plant

NO_HEADS: Final = Edit(
    f"{HYBRID}sweep:Sweep._compare",
    "if still:",
    "if still and False:",
)

PLANTS: Final = (
    Plant(
        name="no sweep",
        what="nobody sees to it that the lane has what it should",
        on=("hybrid-sqlite",),
        script="lane flushed",
        expects=("lane",),
        edits=(Edit(f"{HYBRID}sweep:Sweep._round", "await self.once()", "await asyncio.sleep(0)"),),
    ),
    Plant(
        name="epoch ignored",
        what="a lane that was filled once counts as filled, whatever it lost since",
        on=("hybrid-sqlite",),
        script="lane flushed",
        expects=("lane",),
        edits=(
            Edit(
                f"{HYBRID}sweep:Sweep.once",
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
            NO_HEADS,
            Edit(
                f"{SQL}store:SqlStore._submit_each",
                "intake = await self._engines.alone.run_repeatable("
                "self._producers.submit_each, jobs)",
                "def work(connection):\n"
                "            intake = self._producers.submit_each(connection, jobs)\n"
                "            self._courier.add(intake.places)\n"
                "            import time\n"
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
            NO_HEADS,
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
        edits=(Edit(f"{HYBRID}breaker:Breaker._recover", "if steady:", "if steady and False:"),),
    ),
)
