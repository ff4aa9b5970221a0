"""Faults of what producers ask for, and of the upkeep."""

from typing import Final

from chaos.plants.edits import Edit
from chaos.plants.plant import SQL, Plant

PLANTS: Final = (
    Plant(
        name="acknowledged before it is written",
        fast=True,
        what="an enqueue is acknowledged at once, and written a moment later",
        on=("sqlite", "postgresql"),
        script="client killed",
        expects=("lost",),
        edits=(
            Edit(
                f"{SQL}store:SqlStore.submit",
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
                f"{SQL}store:SqlStore._submit_each",
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
                f"{SQL}store:SqlStore._submit_in_async",
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
                f"{SQL}steering:Steering._cancel_at_once",
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
        fast=True,
        what="jobs are queued a second before they are due",
        on=("postgresql",),
        script="calm",
        expects=("early",),
        edits=(
            Edit(
                f"{SQL}upkeep:Upkeep.__init__",
                "jobs.c.due_at <= now)",
                "jobs.c.due_at <= now + 1000)",
            ),
            Edit(f"{SQL}upkeep:Upkeep.next_due", "max(0, int(left))", "max(0, int(left) - 1000)"),
        ),
    ),
)
