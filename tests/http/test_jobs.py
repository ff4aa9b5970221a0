"""Jobs by HTTP: asked for, found, steered; and what is answered where that cannot be."""

from typing import Any

import httpx
import pytest

from ferryman import Ferryman
from ferryman.domain.errors import StoreUnavailable
from ferryman.http import create_app, selection
from ferryman.http.limits import RateLimit
from ferryman.http.problems import Problem
from ferryman.http.tokens import Signer
from tests.http.conftest import caller_of

LARGE = {"order": {"article": "x" * 1_100_000}, "to": {"street": ""}}


async def test_a_job_is_taken_in_once(caller: httpx.AsyncClient) -> None:
    body = {"arguments": {"a": 1}, "id": "mine", "tags": ["x"], "priority": "high"}
    first = await caller.post("/tasks/add/jobs", json=body)
    again = await caller.post("/tasks/add/jobs", json=body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["created"] is True
    assert again.json()["created"] is False
    assert first.json()["arguments"] == {"a": 1}
    assert first.json()["priority"] == 10


async def test_an_idempotency_key_makes_requests_one(caller: httpx.AsyncClient) -> None:
    async def ask(a: int, key: str) -> httpx.Response:
        headers = {"idempotency-key": key}
        return await caller.post("/tasks/add/jobs", json={"arguments": {"a": a}}, headers=headers)

    first, again = await ask(1, "one"), await ask(1, "one")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert (await ask(2, "one")).json()["title"] == "idempotency key reused"
    assert (await ask(1, "two")).status_code == 201
    jobs = {"jobs": [{"task": "add", "arguments": {"a": number}} for number in range(3)]}
    batches = [
        await caller.post("/jobs/batch", json=jobs, headers={"idempotency-key": "many"})
        for _ in range(2)
    ]
    assert [one.status_code for one in batches] == [201, 200]
    assert [job["id"] for job in batches[0].json()["jobs"]] == [
        job["id"] for job in batches[1].json()["jobs"]
    ]


async def test_a_unique_key_refuses_or_gives_back_the_live_job(caller: httpx.AsyncClient) -> None:
    body = {"arguments": {"a": 1}, "unique": "one"}
    first = await caller.post("/tasks/add/jobs", json=body)
    refused = await caller.post("/tasks/add/jobs", json=body)
    assert refused.status_code == 409
    assert refused.json()["job_id"] == first.json()["id"]
    given = await caller.post("/tasks/add/jobs", json={**body, "on_conflict": "return"})
    assert given.status_code == 200
    assert given.json()["id"] == first.json()["id"]


@pytest.mark.parametrize(
    ("path", "more", "status", "title"),
    [
        ("/tasks/nope/jobs", {"json": {}}, 404, "unknown task"),
        ("/tasks/add/jobs", {"json": {"arguments": {"a": "x"}}}, 422, "invalid arguments"),
        ("/tasks/add/jobs", {"json": {"arguments": {"z": 1}}}, 422, "invalid arguments"),
        ("/tasks/add/jobs", {"json": {"argument": {}}}, 422, "invalid request"),
        ("/tasks/add/jobs", {"content": b"a=1"}, 415, "not json"),
        (
            "/tasks/add/jobs",
            {"content": b"{", "headers": {"content-type": "application/json"}},
            400,
            "malformed",
        ),
        ("/tasks/ship/jobs", {"json": {"arguments": LARGE}}, 413, "too large"),
        ("/jobs/none/cancel", {}, 404, "job not found"),
        ("/jobs/bulk", {"json": {"action": "cancel"}}, 422, "invalid request"),
    ],
)  # fmt: skip
async def test_a_refusal_says_what_is_wrong(
    caller: httpx.AsyncClient, path: str, more: Any, status: int, title: str
) -> None:
    answer = await caller.post(path, **more)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == title
    assert len(answer.json()["detail"]) > 10


async def test_a_job_is_steered(app: Ferryman, caller: httpx.AsyncClient) -> None:
    await app.named("sign_in").using(id="one").aenqueue("n", "secret-pin")
    assert (await caller.post("/jobs/one/cancel")).json()["state"] == "cancelled"
    assert (await caller.post("/jobs/one/cancel")).status_code == 409
    body = {"arguments": {"name": "m", "pin": "***"}}
    assert (await caller.post("/jobs/one/retry", json=body)).json()["arguments"]["name"] == "m"
    stored = (await app.jobs.aget("one")).record.args
    assert b"secret-pin" in stored
    assert (await caller.post("/jobs/one/discard")).status_code == 409
    await caller.post("/jobs/one/cancel")
    assert (await caller.post("/jobs/one/discard")).status_code == 204
    assert (await caller.get("/jobs/one")).status_code == 404
    actions = (await caller.get("/actions")).json()["actions"]
    assert [one["verb"] for one in actions] == ["discard", "cancel", "retry", "cancel"]
    assert {one["target"] for one in actions} == {"one"}


async def test_many_jobs_are_steered_at_once(app: Ferryman, caller: httpx.AsyncClient) -> None:
    await app.named("add").aenqueue_many([(number,) for number in range(1200)])
    await app.named("ship").aenqueue({"article": "x"}, {"street": "s"})
    body: dict[str, Any] = {"action": "cancel", "where": {"task": "add"}}
    counted = await caller.post("/jobs/bulk", json={**body, "dry_run": True})
    assert counted.json()["matched"] == 1200
    assert counted.json()["changed"] == 0
    done = await caller.post("/jobs/bulk", json=body)
    assert (done.json()["changed"], done.json()["more"]) == (1200, False)
    assert (await caller.get("/status")).json()["jobs"]["cancelled"] == 1200
    purged = await caller.post("/queues/default/purge")
    assert purged.json() == {"purged": 1}


@pytest.mark.parametrize("recorded", [True, False])
async def test_an_act_that_the_store_interrupts_is_recorded_and_told(
    app: Ferryman, caller: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    await app.named("add").aenqueue_many([(number,) for number in range(25)])
    store, calls = await app.store(), []
    monkeypatch.setattr(selection, "BATCH", 10)
    cancel = store.cancel

    async def failing(ids: Any, **options: Any) -> Any:
        calls.append(ids)
        if len(calls) == 3:
            raise StoreUnavailable("the server is away")
        return await cancel(ids, **options)

    async def refuses(_: Any) -> None:
        raise StoreUnavailable("the server is away")

    with monkeypatch.context() as broken:
        broken.setattr(store, "cancel", failing)
        if not recorded:
            broken.setattr(store, "record", refuses)
        answer = await caller.post("/jobs/bulk", json={"action": "cancel", "where": {}})
    assert answer.status_code == 503
    said = answer.json()
    assert (said["title"], said["matched"], said["changed"]) == ("interrupted", 25, 20)
    assert int(answer.headers["retry-after"]) >= 1
    actions = (await caller.get("/actions")).json()["actions"]
    assert [one["detail"][:16] for one in actions] == (["20 of 25 jobs, t"] if recorded else [])
    rest = await caller.post("/jobs/bulk", json={"action": "cancel", "where": {"state": "queued"}})
    assert rest.json()["changed"] == 5


async def test_pages_of_an_error_are_full(
    app: Ferryman, caller: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.named("add").aenqueue_many([(number,) for number in range(6)])
    odd = iter(range(100))
    monkeypatch.setattr(selection, "error_of", lambda _: ("E", "F")[next(odd) % 2])
    params = {"error": "E", "state": "queued", "limit": "3"}
    page = (await caller.get("/jobs", params=params)).json()
    assert (len(page["jobs"]), page["cursor"], page["partial"]) == (3, None, False)


async def test_pages_go_on_where_the_last_one_ended(
    app: Ferryman, caller: httpx.AsyncClient
) -> None:
    await app.named("add").aenqueue_many([(number,) for number in range(25)])
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": "10", **({"cursor": cursor} if cursor else {})}
        page = (await caller.get("/jobs", params=params)).json()
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 25
    assert (await caller.get("/jobs", params={"cursor": "nonsense"})).status_code == 422


async def test_dead_letters_are_grouped_and_retried_by_group(
    app: Ferryman, caller: httpx.AsyncClient
) -> None:
    await app.named("sign_in").aenqueue_many([("a", "pin-1"), ("b", "pin-2")])
    async with app.worker(queues=["safe"]) as worker:
        await worker.drain()
    [group] = (await caller.get("/dead-letters")).json()["groups"]
    assert (group["task"], group["error"], group["count"]) == ("sign_in", "PermissionError", 2)
    where = {"state": "failed", "task": "sign_in", "error": group["error"]}
    done = await caller.post("/jobs/bulk", json={"action": "retry", "where": where})
    assert done.json()["changed"] == 2
    other = {**where, "error": "ValueError"}
    assert (await caller.post("/jobs/bulk", json={"action": "retry", "where": other})).json()[
        "matched"
    ] == 0


async def test_one_may_wait_for_the_end(app: Ferryman, caller: httpx.AsyncClient) -> None:
    job = await app.named("add").aenqueue(1, 2)
    early = await caller.get(f"/jobs/{job.id}/wait", params={"timeout": 0.05})
    assert early.json()["state"] == "queued"
    async with app.worker(queues=["math"]):
        ended = await caller.get(f"/jobs/{job.id}/wait", params={"timeout": 20})
    assert (ended.json()["state"], ended.json()["result"]) == ("succeeded", 3)


async def test_health_tells_how_workers_get_through(
    app: Ferryman, caller: httpx.AsyncClient
) -> None:
    assert (await caller.get("/health/live")).json() == {"status": "live"}
    async with app.worker(queues=["math"]) as worker:
        await app.named("add").aenqueue(1)
        await worker.drain()
        found: dict[str, Any] = {}
        while found.get("claim_age") is None:
            found = (await caller.get("/health/ready")).json()
    assert (found["status"], found["lane"], found["store"]) == ("ready", "none", "sqlite")
    assert 0 <= found["heartbeat_age"] < 10
    assert 0 <= found["claim_age"] < 60
    assert "at least once" in found["promise"]


async def test_a_store_that_is_away_is_said_so_and_streams_are_not_given_up() -> None:
    made = create_app(Ferryman("postgresql://x:geheim@127.0.0.1:1/none"), auth="off")
    async with caller_of(made) as client:
        answer = await client.get("/jobs")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "geheim" not in answer.text
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/health/live")).status_code == 200
        stream = await client.get("/jobs/x/events")
        assert stream.status_code == 200
        assert stream.text.startswith("retry: ")


async def test_metrics_are_read_by_prometheus(app: Ferryman, caller: httpx.AsyncClient) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    await app.named("add").aenqueue(1)
    text = (await caller.get("/metrics")).text
    samples = {
        (sample.name, sample.labels.get("queue"), sample.labels.get("state")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["ferryman_jobs", "math", "queued"] == 1
    assert samples["ferryman_degraded", None, None] == 0


def test_a_token_is_good_for_its_purpose_and_its_time_alone() -> None:
    now = 1000.0
    signer = Signer("s" * 32, "stream", dict, lambda: now)
    token = signer.sign({"a": 1}, 10)
    assert signer.read(token) == {"a": 1}
    assert Signer("s" * 32, "session", dict, lambda: now).read(token) is None
    assert Signer("t" * 32, "stream", dict, lambda: now).read(token) is None
    body, _, mac = token.partition(".")
    for broken in ("", ".", token[:-2], body, f"{body}.{mac[::-1]}", f"x{token}", "é.é"):
        assert signer.read(broken) is None
    now += 10
    assert signer.read(token) is None


def test_a_bucket_fills_up_again() -> None:
    now = 0.0
    limit = RateLimit(2.0, 2, lambda: now)
    limit.take("me")
    limit.take("me")
    with pytest.raises(Problem, match=r"again in 0\.50 s") as refused:
        limit.take("me")
    assert refused.value.status == 429
    limit.take("you")
    now += 0.5
    limit.take("me")


@pytest.mark.parametrize("name", ["user", "text", "error", "tag", "queue", "task", "cursor"])
@pytest.mark.parametrize("app", ["sqlite", "postgresql"], indirect=True)
async def test_a_filter_that_no_database_takes_is_refused(
    app: Ferryman, caller: httpx.AsyncClient, name: str
) -> None:
    where = {name: "a\x00b"}
    body = {"action": "cancel", "where": where}
    answers = [
        await caller.get("/jobs", params=where),
        await caller.get("http://localhost/jobs", params=where),
        await caller.post("/jobs/bulk", json=body),
        await caller.post(
            "http://localhost/bulk",
            data={"act": "all-cancel", **where},
            headers={"origin": "http://localhost"},
        ),
    ]
    statuses = [answer.status_code for answer in answers]
    if name == "cursor":  # which is no filter, and of no use there
        assert statuses.pop() == 200
    assert set(statuses) == {422}


async def test_a_caller_who_leaves_in_the_middle_of_a_body_is_no_failure_of_the_service(
    app: Ferryman,
) -> None:
    served = create_app(app, auth="off", rate=0)
    said = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/tasks/add/jobs",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "scheme": "http",
        "http_version": "1.1",
    }
    answers: list[Any] = []

    async def receive() -> Any:
        return said.pop(0)

    async def send(message: Any) -> None:
        answers.append(message)

    await served(scope, receive, send)
    assert answers[0]["status"] == 400
    await served.state.service.close()
