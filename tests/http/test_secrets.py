"""What is secret is seen nowhere; what is not ours is escaped, or only data."""

import dataclasses
import json
from typing import Any, NamedTuple

import httpx
import msgspec
import pydantic
import pytest

from ferryman import Cancel, Ferryman, JobContext, Secret, masking
from ferryman.domain.errors import InvalidArguments
from ferryman.domain.job import LINE_LENGTH
from ferryman.http import create_app
from ferryman.worker.failures import MESSAGE_LIMIT
from tests.backends import BACKENDS
from tests.http.conftest import caller_of
from tests.http.serving import Events, serving

PIN = "8731-geheim"
SAME = {"origin": "http://localhost"}


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


STORED: dict[str, Any] = {
    "name": "n",
    "pin": PIN,
    "list": [{"token": "t"}, 2],
    "logins": [{"user": "a", "token": "1st"}, {"user": "b", "token": "2nd"}],
    "secrets": ["one", "two"],
}
KINDS: dict[str, Any] = {"secrets": list[Secret[str]]}
SHOWN = {name: masking.mask(value, KINDS.get(name, Any), name) for name, value in STORED.items()}
SECOND = {"user": "b", "token": "***"}


@pytest.mark.parametrize(
    ("edited", "meant"),
    [
        ({"name": "m", "pin": "***"}, {"name": "m", "pin": PIN}),
        ({"list": [{"token": "***"}, 3, 4]}, {"list": [{"token": "t"}, 3, 4]}),
        ({"logins": [SECOND]}, {"logins": [{"user": "b", "token": "2nd"}]}),
        ({"logins": SHOWN["logins"][::-1]}, {"logins": STORED["logins"][::-1]}),
        (
            {"logins": [{"user": "c", "token": "***"}, SECOND]},
            {"logins": [{"user": "c", "token": "1st"}, {"user": "b", "token": "2nd"}]},
        ),
        ({"secrets": ["***", "***"]}, {"secrets": ["one", "two"]}),
        ({"secrets": ["new"]}, {"secrets": ["new"]}),
    ],
)
def test_what_was_shown_as_a_mask_keeps_its_value_when_it_is_sent_back(
    edited: Any, meant: Any
) -> None:
    assert masking.unmask(SHOWN | edited, SHOWN, STORED) == STORED | meant


@pytest.mark.parametrize(
    ("edited", "place"),
    [
        ({"name": "***"}, "name"),
        ({"new": "***"}, "new"),
        ({"pin": {"a": "***"}}, "pin"),
        ({"list": "***"}, "list"),
        ({"list": [{"token": "***"}, "***"]}, "list[1]"),
        ({"list": [{"user": "***", "token": "***"}, 2]}, "list[0].user"),
        ({"secrets": ["***"]}, "secrets[0]"),
        ({"secrets": ["***", "new"]}, "secrets[0]"),
        ({"secrets": ["***", "***", "***"]}, "secrets[0]"),
        ({"logins": [SECOND, SECOND]}, "logins[0]"),
        ({"logins": [{"user": "c", "token": "***"}]}, "logins[0]"),
        ({"logins": [{"user": "c", "token": "***"}, {"user": "d", "token": "x"}]}, "logins[0]"),
    ],
)
def test_a_mask_that_stands_for_no_certain_secret_is_refused(edited: Any, place: str) -> None:
    with pytest.raises(InvalidArguments, match="write the value anew") as refused:
        masking.unmask(SHOWN | edited, SHOWN, STORED)
    assert str(refused.value).startswith(f"arguments.{place}")


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


NEW_PIN = "2245-anders"


async def test_neither_the_old_secret_nor_the_new_one_is_seen_after_an_edit(app: Ferryman) -> None:
    @app.task(queue="safe")
    def enter(pin: Secret[str], context: JobContext) -> Cancel:
        context.progress(1, 2, f"with {pin}")
        context.log.info("x" * (LINE_LENGTH - 6) + pin)  # which cuts it in two
        if pin == PIN:
            raise PermissionError("x" * (MESSAGE_LIMIT - 6) + pin)
        return Cancel(f"{pin} is new")

    served = create_app(app, auth="off")
    async with serving(served) as port, app.worker(queues=["safe"]) as worker:
        base = f"http://127.0.0.1:{port}/api/v1"
        async with httpx.AsyncClient(base_url=base) as client:
            made = await client.post("/tasks/enter/jobs", json={"arguments": {"pin": PIN}})
            job = f"/jobs/{made.json()['id']}"
            events = Events(f"{base}{job}/events")
            await worker.drain()
            await events.until(lambda one: "failed" in str(one.told))
            failed = (await client.get(job)).text
            edited = await client.post(f"{job}/retry", json={"arguments": {"pin": NEW_PIN}})
            assert edited.status_code == 200, edited.text
            before = (await client.get(job)).text
            await worker.drain()
            await events.until(lambda one: "cancelled" in str(one.told))
            await events.close()
            after = (await client.get(job)).text
            page = (await client.get(f"http://127.0.0.1:{port}{job}")).text
        handle = await app.jobs.aget(made.json()["id"])
        kept = await (await app.store()).events(handle.id)
    assert "PermissionError" in failed
    assert "*** is new" in after
    seen = failed + before + after + page + json.dumps(events.told)
    kept_text = str([kept, handle.record.detail, handle.record.failure, handle.record.progress])
    for secret in (PIN, NEW_PIN, PIN[:6], NEW_PIN[:6]):
        assert secret not in seen
        assert secret not in kept_text
    await app.aclose()


@pytest.mark.parametrize("app", [*BACKENDS], indirect=True)
async def test_no_search_tells_of_what_is_masked(app: Ferryman) -> None:
    served = create_app(app, auth="off", rate=0)
    async with caller_of(served) as client:
        for number in range(8):
            arguments = {"name": f"nick-{number}", "pin": f"{PIN}-{number}", "options": {"n": 1}}
            body = {"arguments": arguments | {"options": {"api_key": "zz-key"}}}
            assert (await client.post("/tasks/sign_in/jobs", json=body)).status_code == 201

        async def found(text: str) -> Any:
            where = {"text": text}
            listed = await client.get("/jobs", params={**where, "limit": 3})
            bulk = {"action": "cancel", "where": where, "dry_run": True}
            counted = await client.post("/jobs/bulk", json=bulk)
            page = await client.get("http://localhost/jobs", params=where)
            sure = {"act": "all-cancel", **where}
            asked = await client.post("http://localhost/bulk", data=sure, headers=SAME)
            assert (page.status_code, asked.status_code) == (200, 200), page.text + asked.text
            html = (page.text + asked.text).replace(text, "")
            return listed.json(), counted.json(), html.count("nick-"), "No job matches" in html

        nothing = await found("nowhere")
        for guess in (PIN, PIN[:1] + PIN[1:3], "8731-geheim-3", "zz-key", "z-k"):
            assert await found(guess) == nothing, guess
        listed, counted, _, none = await found("nick-")
        assert (len(listed["jobs"]), counted["matched"], none) == (3, 8, False)
        assert (await found("nick-3"))[1]["matched"] == 1
        assert (await found('"name":"nick-3"'))[1]["matched"] == 0  # it is quoted as text is
        assert (await found("api_key"))[1]["matched"] == 8
        assert (await found("***"))[1]["matched"] == 8
    await served.state.service.close()


async def test_what_is_nested_too_deep_to_be_masked_is_not_shown(app: Ferryman) -> None:
    deep: Any = {"password": "hunter2"}
    for _ in range(600):
        deep = [deep]
    job = await app.tasks["sign_in"].aenqueue("n", PIN, {"deep": deep})
    served = create_app(app, auth="off")
    async with caller_of(served) as client:
        for path in ("/jobs", f"/jobs/{job.id}", "/jobs?text=hunter2"):
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text
            assert "hunter2" not in answer.text
    await served.state.service.close()


async def test_the_secret_items_of_any_number_of_arguments_are_masked(app: Ferryman) -> None:
    @app.task
    def many(*logins: Login, **keys: Secret[str]) -> None: ...

    login = {"name": "n", "pin": PIN}
    served = create_app(app, auth="off")
    async with caller_of(served) as client:
        body = {"arguments": {"logins": [login, login], "first": "zz-1st", "other": "zz-2nd"}}
        shown = (await client.post("/tasks/many/jobs", json=body)).json()["arguments"]
    masked = {"name": "n", "pin": "***"}
    assert shown == {"logins": [masked, masked], "first": "***", "other": "***"}
    await served.state.service.close()


async def test_a_secret_that_a_job_returns_is_not_shown(app: Ferryman) -> None:
    @app.task(queue="safe")
    def echo(pin: Secret[str]) -> dict[str, list[str]]:
        return {"of": [f"the pin is {pin}"]}

    @app.task(queue="safe")
    def make() -> Secret[str]:
        return "zz-made"

    served = create_app(app, auth="off")
    async with caller_of(served) as client, app.worker(queues=["safe"]) as worker:
        jobs = [(await echo.aenqueue(PIN)).id, (await make.aenqueue()).id]
        await worker.drain()
        answers = [(await client.get(f"/jobs/{job}")).json()["result"] for job in jobs]
    assert answers == [{"of": ["the pin is ***"]}, "***"]
    await served.state.service.close()


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


class Account(msgspec.Struct, frozen=True):
    """A secret with a default, and one by its name."""

    host: str = "db.example"
    pin: Secret[str] = "hunter2"
    password: str = "hunter2"
    maybe: Secret[str] | None = "hunter2"
    pair: tuple[Secret[str], int] = ("hunter2", 1)


class Outer(msgspec.Struct):
    """The same within another's default."""

    account: Account = Account()
    sizes: tuple[int, ...] = ()


class Row(NamedTuple):
    """The same without names."""

    host: str
    password: str = "hunter2"


ACCOUNT = Account(host="arg.example")


@dataclasses.dataclass
class Plain:
    """The same as a dataclass."""

    pin: Secret[str] = "hunter2"
    password: str = "hunter2"


class Model(pydantic.BaseModel):
    """The same as a model."""

    host: str = "model.example"
    pin: Secret[str] = "hunter2"
    maybe: Secret[str] | None = "hunter2"
    pins: list[Secret[str]] = ["hunter2"]
    options: dict[str, str] = {"password": "hunter2"}
    password: str = pydantic.Field("hunter2", examples=["hunter2"])


async def test_the_defaults_of_secrets_are_not_published(app: Ferryman) -> None:
    @app.task
    def connect(
        outer: Outer,
        row: Row,
        plain: Plain,
        model: Model,
        account: Account = ACCOUNT,
        maybe: Secret[str] | None = "hunter2",
        sizes: tuple[int, ...] = (4711,),
        password: str = "hunter2",  # noqa: S107
    ) -> None: ...

    served = create_app(app, auth="off")
    async with caller_of(served) as client:
        document, tasks = [await client.get(path) for path in ("/openapi.json", "/tasks")]
    for said in ("db.example", "model.example", "4711", '"writeOnly"'):
        assert said in document.text
    assert "4711" in tasks.text
    assert "hunter2" not in document.text + tasks.text
    assert document.json()["components"]["schemas"]["Account"]["properties"]["pin"]["writeOnly"]
    await served.state.service.close()
