"""Who is let in: every route, against every kind of caller."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi.dependencies.utils import get_dependant
from fastapi.routing import iter_route_contexts
from starlette.requests import HTTPConnection

from ferryman import Ferryman
from ferryman.http import Principal, Scope, create_app
from ferryman.http.keyring import REMEMBERED
from tests.http.conftest import caller_of
from tests.http.work import declare

PUBLIC = {"/health/live", "/health/ready", "/streams/{token}"}
"""What may be asked for by whoever can reach the service."""

OF_ALL_USERS = re.compile(r"^/(queues|workers|status|figures|metrics|actions|keys)")
"""What a key of one user never gets: it tells of others, or changes what is theirs."""

OPEN_TO_ALL_KEYS = {"/openapi.json", "/tasks"}
"""What says nothing of anybody's jobs."""


class Route(NamedTuple):
    """A route of the API: its method, its path below `/api/v1`, and the scopes that open it."""

    method: str
    path: str
    scopes: tuple[Scope, ...]
    public: bool

    @property
    def filled(self) -> str:
        """The path, about the other user's job."""
        values = {"job_id": "theirs", "task": "add", "queue": "math", "key_id": "a" * 12}
        return self.path.format(**values, token="none")


def routes() -> Iterator[Route]:
    """Every route that the application has below `/api/v1`, found by walking over them."""
    app = Ferryman("sqlite://")
    declare(app)
    for route in iter_route_contexts(create_app(app).routes):
        path = (route.path or "").removeprefix("/api/v1")
        if path == route.path or route.endpoint is None:
            continue
        asks = scopes_of(get_dependant(path=route.path or "", call=route.endpoint))
        for method in (route.methods or {"WEBSOCKET"}) - {"HEAD"}:
            yield Route(method, path, asks, getattr(route.endpoint, "public", False))


def scopes_of(dependant: Any) -> tuple[Scope, ...]:
    """The scopes that a route asks for, wherever among its dependencies."""
    own: tuple[Scope, ...] = getattr(dependant.call, "scopes", ())
    return own + tuple(scope for one in dependant.dependencies for scope in scopes_of(one))


ALL = list(routes())
ASKED = [route for route in ALL if route.method != "WEBSOCKET"]
CLOSED = [route for route in ASKED if not route.public]


def test_every_route_asks_who_it_is_or_is_meant_for_all() -> None:
    assert len(ALL) > 25
    assert {route.path for route in ALL if route.public} == PUBLIC
    assert [route for route in ALL if not route.public and not route.scopes] == []


def test_only_reading_is_done_with_safe_methods() -> None:
    safe = {scope for route in ALL if route.method == "GET" for scope in route.scopes}
    assert {Scope.READ} <= safe
    for route in ALL:
        if route.method == "GET" and not route.public:
            assert {Scope.READ, Scope.ADMIN} & set(route.scopes)
        if route.method in ("POST", "DELETE"):
            assert Scope.READ not in route.scopes or route.path == "/streams"


@pytest.fixture
async def served(app: Ferryman) -> AsyncIterator[Any]:
    """A service that asks for keys, with a job of another user."""
    await app.named("add").using(id="theirs", user="them").aenqueue(1)
    made = create_app(app, rate=0)
    yield made
    await made.state.service.close()


async def ask(served: Any, route: Route, key: str = "") -> httpx.Response:
    """One request with a body that fits, if there is to be one."""
    bodies: dict[str, Any] = {
        "/jobs/batch": {"jobs": [{"task": "add", "arguments": {"a": 1}, "user": "them"}]},
        "/tasks/{task}/jobs": {"arguments": {"a": 1}, "user": "them"},
        "/jobs/bulk": {"action": "cancel", "where": {"user": "them"}},
        "/keys": {"name": "another", "scopes": ["admin"]},
        "/streams": {"user": "them"},
    }
    url, more = route.filled, {}
    if route.path in ("/jobs", "/events"):
        url += "?user=them"
    if route.path in bodies:
        more["json"] = bodies[route.path]
    async with caller_of(served, key) as client:
        return await client.request(route.method, url, **more)


def named(route: Route) -> str:
    """A route as a test's name."""
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", CLOSED, ids=named)
async def test_a_route_refuses_who_may_not(
    served: Any, make_key: Any, route: Route, app: Ferryman
) -> None:
    assert (await ask(served, route)).status_code == 401, "no key"
    key, id = await make_key("admin")
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    assert (await ask(served, route, wrong)).status_code == 401, "a wrong key"
    store = await app.store()
    assert await store.revoke_key(id)
    served.state.service.keyring._clock = lambda: time.monotonic() + REMEMBERED
    assert (await ask(served, route, key)).status_code == 401, "a revoked key"
    lesser = [scope for scope in Scope if scope not in {*route.scopes, Scope.ADMIN}]
    if lesser:  # else any key will do
        key, _ = await make_key(*lesser)
        assert (await ask(served, route, key)).status_code == 403, "too few scopes"


@pytest.mark.parametrize("route", CLOSED, ids=named)
async def test_another_users_key_sees_and_changes_nothing(
    served: Any, make_key: Any, route: Route, app: Ferryman
) -> None:
    key, _ = await make_key("admin", user="me")
    answer = await ask(served, route, key)
    if route.path in OPEN_TO_ALL_KEYS:
        assert answer.status_code == 200
    elif OF_ALL_USERS.match(route.path):
        assert answer.status_code == 403
    elif "{job_id}" in route.path:
        assert answer.status_code == 404
    elif route.path == "/dead-letters":
        assert answer.json()["groups"] == []
    else:
        assert answer.status_code == 403, answer.text
    assert (await app.jobs.aget("theirs")).state == "queued"


async def test_a_revoked_key_is_refused_within_a_second(
    served: Any, make_key: Any, app: Ferryman
) -> None:
    now = 0.0
    served.state.service.keyring._clock = lambda: now
    key, id = await make_key("read")
    route = Route("GET", "/queues", (Scope.READ,), public=False)
    assert (await ask(served, route, key)).status_code == 200
    await (await app.store()).revoke_key(id)
    now += REMEMBERED
    assert (await ask(served, route, key)).status_code == 401


async def test_the_service_forgets_a_key_that_it_revoked_itself_at_once(
    served: Any, make_key: Any
) -> None:
    admin, _ = await make_key("admin")
    key, id = await make_key("read")
    route = Route("GET", "/queues", (Scope.READ,), public=False)
    assert (await ask(served, route, key)).status_code == 200
    revoke = Route("DELETE", f"/keys/{id}", (Scope.ADMIN,), public=False)
    assert (await ask(served, revoke, admin)).status_code == 204
    assert (await ask(served, route, key)).status_code == 401


async def test_a_host_may_say_who_it_is(app: Ferryman) -> None:
    async def somebody(connection: HTTPConnection) -> Principal:
        return Principal(
            name=connection.headers["x-person"], scopes=frozenset({Scope.READ}), user="them"
        )

    made = create_app(app, auth=somebody)
    async with caller_of(made) as client:
        await app.named("add").using(id="theirs", user="them").aenqueue(1)
        found = await client.get("/jobs/theirs", headers={"x-person": "ada"})
        assert found.status_code == 200
        refused = await client.post("/jobs/theirs/cancel", headers={"x-person": "ada"})
        assert refused.status_code == 403
    await made.state.service.close()


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("10.1.2.3", {}),
        ("127.0.0.1", {"x-forwarded-for": "10.1.2.3"}),
        ("127.0.0.1", {"host": "evil.example"}),
    ],
)
async def test_without_keys_only_this_host_is_answered(
    app: Ferryman, host: str, headers: dict[str, str]
) -> None:
    made = create_app(app, auth="off")
    transport = httpx.ASGITransport(made, client=(host, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/api/v1/queues", headers=headers)).status_code == 403
    everyone = httpx.ASGITransport(create_app(app, auth="off", insecure=True), client=(host, 1))
    async with httpx.AsyncClient(transport=everyone, base_url="http://localhost") as client:
        assert (await client.get("/api/v1/queues", headers=headers)).status_code == 200
    await app.aclose()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 204),
        ({"origin": "http://localhost"}, 204),
        ({}, 204),
    ],
)
async def test_a_page_of_another_origin_cannot_write(
    caller: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await caller.post("/queues/math/pause", headers=headers)
    assert answer.status_code == status


async def test_another_origin_is_told_nothing_unless_it_is_allowed(app: Ferryman) -> None:
    for cors, allowed in ((), None), (("http://page.example",), "http://page.example"):
        made = create_app(app, auth="off", cors=cors)
        async with caller_of(made) as client:
            answer = await client.get("/queues", headers={"origin": "http://page.example"})
            assert answer.headers.get("access-control-allow-origin") == allowed
            written = await client.post(
                "/queues/math/pause", headers={"origin": "http://page.example"}
            )
            assert written.status_code == (204 if cors else 403)
    await app.aclose()


async def test_a_key_can_ask_only_so_often(app: Ferryman, make_key: Any) -> None:
    made = create_app(app, rate=1.0, burst=3)
    key, _ = await make_key("read")
    async with caller_of(made, key) as client:
        answers = [await client.get("/tasks") for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    other, _ = await make_key("read")
    async with caller_of(made, other) as client:
        assert (await client.get("/tasks")).status_code == 200
    await made.state.service.close()


async def test_too_large_a_body_is_refused(app: Ferryman) -> None:
    made = create_app(app, auth="off", max_body=1000)
    async with caller_of(made) as client:
        told = await client.post("/tasks/add/jobs", json={"arguments": {"a": "x" * 1000}})
        assert told.status_code == 413

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"x" * 500

        json = {"content-type": "application/json"}
        untold = await client.post("/tasks/add/jobs", content=pieces(), headers=json)
        assert untold.status_code == 413
    await app.aclose()


async def test_who_may_only_enqueue_is_not_shown_the_jobs_of_others(
    app: Ferryman, make_key: Any
) -> None:
    served = create_app(app, rate=0)
    reader, _ = await make_key("read", "enqueue")
    blind, _ = await make_key("enqueue")
    body = {"id": "theirs", "arguments": {"a": 1, "b": 2}}
    async with caller_of(served, reader) as them, caller_of(served, blind) as me:
        assert (await them.post("/tasks/add/jobs", json=body)).status_code == 201
        refused = await me.post("/tasks/add/jobs", json={"id": "theirs", "arguments": {"a": 9}})
        assert refused.status_code == 409
        assert '"b"' not in refused.text
        assert (await me.post("/tasks/add/jobs", json=body)).status_code == 200
    await served.state.service.close()


async def test_a_job_of_another_user_is_not_named_where_it_is_in_the_way(
    app: Ferryman, make_key: Any
) -> None:
    await app.named("add").using(id="theirs", user="them", unique="u").aenqueue(1)
    await app.named("add").using(id="mine", user="me", unique="v").aenqueue(1)
    mine, _ = await make_key("read", "enqueue", user="me")
    blind, _ = await make_key("enqueue")
    served = create_app(app, rate=0)
    for key, unique, named in ((mine, "u", ""), (blind, "u", ""), (mine, "v", "mine")):
        async with caller_of(served, key) as client:
            body = {"arguments": {"a": 1}, "unique": unique}
            refused = await client.post("/tasks/add/jobs", json=body)
            assert refused.status_code == 409
            assert refused.json().get("job_id", "") == named
            assert "theirs" not in refused.text
    await served.state.service.close()


async def test_an_idempotency_key_shows_no_job_of_others(app: Ferryman, make_key: Any) -> None:
    await app.named("add").using(id="theirs", unique="u").aenqueue(1234)
    blind, _ = await make_key("enqueue")
    served = create_app(app, rate=0)
    async with caller_of(served, blind) as client:
        headers = {"idempotency-key": "one"}
        body = {"arguments": {"a": 1}, "unique": "u", "on_conflict": "return"}
        met = await client.post("/tasks/add/jobs", json=body, headers=headers)
        assert met.status_code == 409
        assert "1234" not in met.text
        own = {"arguments": {"a": 5}}
        first = await client.post("/tasks/add/jobs", json=own, headers=headers)
        assert first.status_code == 201
        made_up = await client.post("/tasks/add/jobs", json={**own, "id": first.json()["id"]})
        assert made_up.status_code == 422
    await served.state.service.close()


async def test_callers_of_a_host_have_idempotency_keys_of_their_own(app: Ferryman) -> None:
    async def somebody(connection: HTTPConnection) -> Principal:
        name = connection.headers["x-person"]
        return Principal(name=name, scopes=frozenset({Scope.ENQUEUE, Scope.READ}))

    made = create_app(app, auth=somebody)
    ids = []
    async with caller_of(made) as client:
        for person in ("ada", "bob", "ada"):
            answer = await client.post(
                "/tasks/add/jobs",
                json={"arguments": {"a": 1}},
                headers={"x-person": person, "idempotency-key": "one"},
            )
            ids.append((answer.status_code, answer.json()["id"]))
    assert [status for status, _ in ids] == [201, 201, 200]
    assert ids[0][1] == ids[2][1] != ids[1][1]
    await made.state.service.close()


async def test_who_may_not_read_learns_nothing_of_jobs_by_acting_on_them(
    served: Any, make_key: Any
) -> None:
    blind, _ = await make_key("operate")
    bulk = {"action": "cancel", "where": {"text": "1"}, "dry_run": True}
    async with caller_of(served, blind) as client:
        for id in ("theirs", "none"):
            for act in ("cancel", "retry", "discard"):
                assert (await client.post(f"/jobs/{id}/{act}")).status_code == 403
            page = await client.get(f"http://localhost/jobs/{id}/edit")
            assert page.status_code == 403
        assert (await client.post("/jobs/bulk", json=bulk)).status_code == 403
        asked = await client.get("http://localhost/queues/math/purge")
        assert asked.status_code == 403
        assert (await client.post("/queues/math/pause")).status_code == 204


async def test_a_form_of_endless_fields_is_refused(app: Ferryman, make_key: Any) -> None:
    served = create_app(app, rate=0)
    async with caller_of(served) as client:
        answer = await client.post(
            "http://localhost/sign-in",
            content="a=&" * 5000,
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code == 413
    await served.state.service.close()
