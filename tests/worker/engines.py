"""A second application: all of its resources can be loaded."""

from typing import Annotated

from ferryman import INJECT, Ferryman
from tests.worker import jobs

app = Ferryman()
engine = app.resource(jobs.engine.factory)


@app.task(queue="whole")
def whole(*, engine: Annotated[str, engine] = INJECT) -> str:
    return engine


@app.task(queue="whole", isolation="process")
def whole_isolated(*, engine: Annotated[str, engine] = INJECT) -> str:
    return engine
