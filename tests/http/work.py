"""The tasks of the tests' application."""

import asyncio
import dataclasses
from typing import Annotated, Any

import pydantic

from ferryman import Ferryman, JobContext, Resource, Secret


@dataclasses.dataclass
class Address:
    """Where somebody lives."""

    street: str
    city: str = "Here"


class Order(pydantic.BaseModel):
    """What somebody wants."""

    article: str
    pieces: int = 1


def engine() -> Any:
    """Stands for something that the worker fills in."""
    return object()


def declare(app: Ferryman) -> None:
    """Register the tasks."""
    made: Resource = app.resource(engine)

    @app.task(queue="math")
    def add(a: int, b: int = 1) -> int:
        """Add two numbers."""
        return a + b

    @app.task
    def ship(
        order: Order, to: Address, *notes: str, gift: bool = False, engine: Annotated[Any, made]
    ) -> dict[str, str]:
        return {"shipped": order.article, "to": to.city, "notes": " ".join(notes)}

    @app.task(queue="steps")
    async def step(count: int, context: JobContext) -> int:
        for number in range(count):
            context.progress(number + 1, count, f"step {number + 1}")
            await asyncio.sleep(0.15)
        return count

    @app.task(queue="safe")
    def sign_in(
        name: str, pin: Secret[str], context: JobContext, options: dict[str, Any] | None = None
    ) -> None:
        context.progress(1, 2, f"signing in with {pin}")
        raise PermissionError(f"{pin} is not the pin of {name}; password=hunter22")
