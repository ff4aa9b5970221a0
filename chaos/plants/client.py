"""A client that does what it is told, step by step, and writes down what came of it.

python -m chaos.plants.client STEPS
"""

import asyncio
import sys
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from chaos import actor
from chaos.history import Mark, now
from chaos.jobs import app
from chaos.plan import Plan
from chaos.plants.steps import Step
from chaos.producer import Producer
from ferryman.domain.job import NewJob


class Client(Producer):
    """A producer that draws nothing."""

    async def follow(self, steps: list[Step]) -> None:
        """Do all steps, one after the other."""
        for step in steps:
            await self._do(step)
            await asyncio.sleep(step.pause)
        if self._engine is not None:
            await self._engine.dispose()
        await app.aclose()

    async def _do(self, step: Step) -> None:
        match step.do:
            case "enqueue":
                await self._enqueue_all(step)
            case "roll back":
                for job in _jobs(step):
                    await self._roll_back(job)
            case "cancel":
                await self._steer(step.job, "cancel")
            case "pause" | "resume":
                store = await app.store()
                queue = app.named(step.task).policy.queue
                if step.do == "resume":
                    self._recorder.add(Mark(t=now(), what=step.do))
                await (store.pause(queue) if step.do == "pause" else store.resume(queue))
                if step.do == "pause":
                    self._recorder.add(Mark(t=now(), what=step.do))
            case "mark":
                await app.store()  # what comes next takes no time to connect
                self._recorder.add(Mark(t=now(), what=step.name))
            case "wait":
                pass

    async def _enqueue_all(self, step: Step) -> None:
        jobs = _jobs(step)
        for some in [jobs] if step.together else [[job] for job in jobs]:
            number = self._ask(some, step.unique, step.delay, step.expires)
            await self._submit(some, number)

    async def _roll_back(self, job: NewJob) -> None:
        """Enqueue in a transaction that takes it back: the job must not exist."""
        assert self._engine is not None  # noqa: S101 - the script is for a database
        number = self._ask([job])
        store = await app.store()
        async with AsyncSession(self._engine) as session:
            await store.submit([job], transaction=session)
            await session.rollback()
        self._told(number, "fail")


def _jobs(step: Step) -> list[NewJob]:
    options: dict[str, Any] = {"unique": step.unique, "on_conflict": step.conflict}
    options |= {"delay": step.delay, "priority": step.priority}
    options |= {"expires_in": step.expires or None}
    task: Any = app.named(step.task)
    return [
        task.using(id=f"{step.name}-{number}", **options).new_job((step.seconds,), {})
        for number in range(1, step.count + 1)
    ]


if __name__ == "__main__":
    given = msgspec.json.decode(sys.argv[1], type=list[Step])
    plan = Plan(name="client", seed=0, rate=1.0, extras=False)
    asyncio.run(Client(plan, actor.recorder()).follow(given))
