"""What is secret is seen nowhere; what is not ours is escaped, or only data."""

import json
from typing import Any

import httpx
import msgspec
import pytest

from ferryman import Ferryman, Secret, masking
from ferryman.http import create_app
from tests.http.conftest import caller_of
from tests.http.serving import Events, serving

PIN = "8731-geheim"


class Login(msgspec.Struct):
    """A secret within a value."""

    name: str
    pin: Secret[str]


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        ("abc", Secret[str], "***"),
        (None, Secret[str], None),
        (["a", "b"], list[Secret[str]], ["***", "***"]),
        ({"name": "n", "pin": "p"}, Login, {"name": "n", "pin": "***"}),
        ([{"name": "n", "pin": "p"}], list[Login] | None, [{"name": "n", "pin": "***"}]),
        ({"x": {"name": "n", "pin": "p"}}, dict[str, Login], {"x": {"name": "n", "pin": "***"}}),
        (["n", "p"], tuple[str, Secret[str]], ["n", "***"]),
        ({"apiKey": "k", "api-key": 1, "keys": [1]}, Any, {"apiKey": "***", "api-key": "***", "keys": [1]}),  # noqa: E501
        ({"max_tokens": 5, "author": "me", "pinned": True}, Any, None),
        ({"Authorization": "Bearer x", "db_password": ["x"]}, Any, {"Authorization": "***", "db_password": "***"}),  # noqa: E501
    ],
)  # fmt: skip
def test_marks_and_names_hide_a_value_at_any_depth(value: Any, kind: Any, shown: Any) -> None:
    expected = value if shown is None and value is not None else shown
    assert masking.mask(value, kind) == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=hunter2 ok", "password=*** ok"),
        ('{"token": "a b", "n": 1}', '{"token": ***, "n": 1}'),
        ("Authorization: Bearer abcdefgh", "Authorization: ***"),
        ("postgresql://me:pw@host/db", "postgresql://me:***@host/db"),
        ("my 8731-geheim pin", "my *** pin"),
        ("nothing to hide: 5 tokens", "nothing to hide: 5 tokens"),
    ],
)
def test_text_is_shown_without_what_is_secret(text: str, shown: str) -> None:
    assert masking.mask_text(text, [PIN]) == shown


def test_what_was_shown_as_a_mask_keeps_its_value_when_it_is_sent_back() -> None:
    stored = {"name": "n", "pin": PIN, "list": [{"token": "t"}, 2]}
    edited = {"name": "m", "pin": "***", "list": [{"token": "***"}, 3, 4]}
    assert masking.unmask(edited, stored) == {
        "name": "m",
        "pin": PIN,
        "list": [{"token": "t"}, 3, 4],
    }


async def test_a_secret_is_seen_nowhere(app: Ferryman) -> None:
    served = create_app(app, auth="off")
    async with serving(served) as port, app.worker(queues=["safe"]) as worker:
        base = f"http://127.0.0.1:{port}/api/v1"
        async with httpx.AsyncClient() as client:
            body = {"arguments": {"name": "n", "pin": PIN, "options": {"api_key": "zz-key"}}}
            made = await client.post(f"{base}/tasks/sign_in/jobs", json=body)
            events = Events(f"{base}/jobs/{made.json()['id']}/events")
            await worker.drain()
            await events.until(lambda one: "failed" in str(one.told))
            await events.close()
            paths = [f"/jobs/{made.json()['id']}", "/jobs", "/dead-letters", "/jobs?text=api_key"]
            seen = made.text + json.dumps(events.told)
            for path in paths:
                seen += (await client.get(base + path)).text
        record = (await app.jobs.aget(made.json()["id"])).record
    assert record.failure is not None
    assert PIN in record.failure.message + str(record.args), (
        "the store keeps it, or this test is void"
    )
    assert "is not the pin of n" in seen
    for secret in (PIN, "zz-key", "hunter22"):
        assert secret not in seen
    await app.aclose()


XSS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title><svg/onload=alert(1)>",
]


@pytest.mark.parametrize("payload", XSS)
async def test_answers_are_data_that_no_browser_takes_for_a_page(
    app: Ferryman, payload: str
) -> None:
    served = create_app(app, auth="off")
    async with caller_of(served) as client:
        made = await client.post(
            "/jobs/batch",
            json={
                "jobs": [
                    {
                        "task": "ship",
                        "arguments": {"order": {"article": payload}, "to": {"street": payload}},
                        "user": payload,
                        "unique": payload,
                    }
                ]
            },
        )
        assert made.status_code == 201, made.text
        answers = [
            await client.get("/jobs"),
            await client.get("/jobs", params={"user": payload}),
            await client.get("/jobs", params={"state": payload}),
            await client.get(f"/jobs/{made.json()['jobs'][0]['id']}"),
            await client.get(f"/{payload}"),
            await client.post(f"/tasks/{payload}/jobs"),
        ]
    for answer in answers:
        kind = answer.headers["content-type"]
        assert kind in ("application/json", "application/problem+json")
        assert answer.headers["x-content-type-options"] == "nosniff"
    await app.aclose()


async def test_the_default_of_what_is_secret_by_name_is_not_published(app: Ferryman) -> None:
    @app.task
    def connect(host: str = "db.example", password: str = "hunter2") -> None: ...  # noqa: S107

    served = create_app(app, auth="off")
    async with caller_of(served) as client:
        for path in ("/openapi.json", "/tasks"):
            said = (await client.get(path)).text
            assert "db.example" in said
            assert "hunter2" not in said
    await served.state.service.close()
