"""The application that the workers of these tests run; its store is named by the environment."""

import os
import time

from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from ferryman import Ferryman, current_job
from ferryman.stores.sql.engine import parse_url

app = Ferryman()

_URL = parse_url(os.environ.get("FERRYMAN_DATABASE_URL") or "sqlite:///unused.db")
_SQLITE = _URL.get_backend_name() == "sqlite"
_engine = create_engine(_URL.set(drivername="sqlite") if _SQLITE else _URL)
_async_engine = create_async_engine(_URL)

WRITE = text("INSERT INTO effects (job_id) VALUES (:job_id)")


def _write_and_complete() -> None:
    with _engine.begin() as connection:
        connection.execute(WRITE, {"job_id": current_job().id})
        current_job().complete(connection, result="completed")


@app.task
def in_thread(pause: float) -> str:
    _write_and_complete()
    time.sleep(pause)
    return "returned"


@app.task(isolation="process")
def in_child(pause: float) -> str:
    _write_and_complete()
    time.sleep(pause)
    return "returned"


@app.task
async def on_loop(pause: float) -> str:
    async with _async_engine.begin() as connection:
        await connection.execute(WRITE, {"job_id": current_job().id})
        await current_job().acomplete(connection, result="completed")
    time.sleep(pause)  # noqa: ASYNC251 - a kill shall meet it here
    return "returned"


@app.task
def rolled_back() -> str:
    with _engine.connect() as connection:
        connection.execute(WRITE, {"job_id": current_job().id})
        current_job().complete(connection, result="completed")
        connection.rollback()
    return "returned"


@app.task
def raises_afterwards() -> None:
    _write_and_complete()
    raise RuntimeError("too late to fail")


@app.task
def plain() -> str:
    return "done"
