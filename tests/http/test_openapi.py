"""The OpenAPI document: valid, and kept to by the service for whatever is sent to it."""

import asyncio
import re
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from ferryman import Ferryman
from ferryman.http import create_app
from ferryman.http.documents import document
from tests.http.serving import serving
from tests.http.work import declare


async def test_the_document_is_valid(caller: httpx.AsyncClient) -> None:
    document = (await caller.get("/openapi.json")).json()
    validate(document)
    assert document["openapi"].startswith("3.1")


async def test_the_document_lists_each_operation_under_a_name_of_its_own(
    caller: httpx.AsyncClient,
) -> None:
    document = (await caller.get("/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation.get("summary") and operation.get("tags") for operation in operations)


async def test_each_task_has_a_schema_of_its_own(caller: httpx.AsyncClient) -> None:
    document = (await caller.get("/openapi.json")).json()
    body = document["components"]["schemas"]["Request.sign_in"]
    assert body["required"] == ["arguments"]
    arguments = body["properties"]["arguments"]
    assert arguments["required"] == ["name", "pin"]
    assert arguments["properties"]["pin"] == {
        "type": "string",
        "format": "password",
        "writeOnly": True,
    }
    assert "context" not in arguments["properties"]
    assert "/api/v1/tasks/{task}/jobs" not in document["paths"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Any) -> Iterator[str]:
    """Where a service answers that runs in a thread of its own."""
    path = tmp_path_factory.mktemp("openapi") / "jobs.db"
    path.write_bytes(sqlite_template.read_bytes())
    app = Ferryman(f"sqlite:///{path}")
    declare(app)
    up, down, found = threading.Event(), asyncio.Event(), []

    async def run() -> None:
        async with serving(create_app(app, auth="off", rate=0)) as port:
            found.append((f"http://127.0.0.1:{port}", asyncio.get_running_loop()))
            up.set()
            await down.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert up.wait(20)
    [(url, loop)] = found
    yield url
    loop.call_soon_threadsafe(down.set)
    thread.join()


EXAMPLES = 10

ENDLESS = re.compile(r"(/events|/streams/\{token\}|/wait)$")
"""Paths whose answers take their time, or have no end."""


def operations() -> list[Any]:
    """All operations of the document, which is made from the application's own routes."""
    app = Ferryman("sqlite://")
    declare(app)
    schema = schemathesis.openapi.from_dict(document(create_app(app), app, "/api/v1", keys=False))
    found: list[Any] = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    return [one for one in found if not ENDLESS.search(one.path)]


@pytest.mark.parametrize("operation", operations(), ids=lambda one: one.label)
def test_the_service_keeps_to_its_document(operation: Any, address: str) -> None:
    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, database=None)
    @hypothesis.given(case=st.one_of(operation.as_strategy(), negative(operation)))
    def ask(case: Any) -> None:
        # Some rules no schema can say, such as that `delay` and `run_at` exclude each other.
        case.call_and_validate(base_url=address, excluded_checks=[positive_data_acceptance])

    ask()


def negative(operation: Any) -> Any:
    """Requests that the document does not allow."""
    return operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
