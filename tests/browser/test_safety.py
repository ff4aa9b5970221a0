"""What others wrote does nothing in an operator's browser, and who may not does not."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from ferryman import Ferryman, JobState
from ferryman.domain.job import LogLine, NewJob, Progress, WorkerInfo
from ferryman.domain.operators import OperatorAction
from ferryman.domain.outcomes import Ending, Failure
from ferryman.domain.states import Reason
from ferryman.http.keyring import new_key
from ferryman.stores.base import ClaimRequest, ProgressUpdate
from tests.browser.site import Site
from tests.browser.tasks import WORD

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "'-alert(3)-'",
    "javascript:alert(4)",
    "</textarea></title><svg onload=alert(5)>",
    "{{ 7 * 7 }}${alert(6)}",
)
HOSTILE = " ".join(PAYLOADS)
ELEMENTS = (
    "script:not([src]), [onerror], [onload], [href^='javascript' i], [src=x], [style]:not(.plot *)"
)
"""What no page of ours has, and a payload that was not escaped would bring."""

PAGES = ("", "jobs", "dead-letters", "queues", "workers", "actions", "sign-in", "nowhere")


async def _seed(app: Ferryman) -> list[str]:
    """Jobs in many states, with payloads in every text that the store takes."""
    store = await app.store()
    info = WorkerInfo(
        id="w", name=HOSTILE, host=HOSTILE, pid=1, queues=(HOSTILE,), concurrency=9, version=HOSTILE
    )
    await store.register(info, 60)
    jobs = [
        NewJob(
            id=f"job-{number}",
            task=HOSTILE,
            queue=HOSTILE,
            args=app.tasks["read_letter"].new_job((number, HOSTILE), {}).args,
            unique=f"{number}{HOSTILE}",
            user=HOSTILE,
            tags=(HOSTILE.replace(",", ""),),
        )
        for number in range(5)
    ]
    await store.submit(jobs)
    first, second, third, fourth = await store.claim(
        ClaimRequest(worker="w", queues=(HOSTILE,), limit=4)
    )
    progress = Progress(1, 2, HOSTILE)
    lines = (LogLine(HOSTILE, HOSTILE), LogLine("error", HOSTILE))
    update = ProgressUpdate(
        job_id=first.job_id, queue=HOSTILE, token=first.token, progress=progress, lines=lines
    )
    await store.progress([update])
    failure = Failure(kind=HOSTILE, message=HOSTILE, traceback=HOSTILE)
    endings: list[tuple[Any, JobState, Reason, dict[str, Any]]] = [
        (second, JobState.FAILED, Reason.EXHAUSTED, {"failure": failure, "detail": HOSTILE}),
        (third, JobState.SUCCEEDED, Reason.RETURNED, {"result": b'{"a":"%s"}' % _json(HOSTILE)}),
        (fourth, JobState.SCHEDULED, Reason.PARKED, {"detail": HOSTILE, "delay": 60}),
    ]
    await store.finish(
        [
            Ending(
                job_id=one.job_id,
                queue=HOSTILE,
                token=one.token,
                state=state,
                reason=reason,
                **more,
            )
            for one, state, reason, more in endings
        ]
    )
    await store.cancel(["job-4"], by=HOSTILE)
    await store.record(OperatorAction(who=HOSTILE, verb=HOSTILE, target=HOSTILE, detail=HOSTILE))
    return [job.id for job in jobs]


def _json(text: str) -> bytes:
    return text.replace('"', '\\"').encode()


def test_what_others_wrote_does_nothing(
    page: Page, site: Site, app: Ferryman, complaints: list[str]
) -> None:
    ids = site.run(_seed(app))
    query = "&".join(f"{name}={{0}}" for name in ("task", "queue", "user", "tag", "text", "error"))
    asked = query.format(re.sub(r"[&#+%]", "", HOSTILE))
    paths = [*PAGES, *(f"jobs/{id}" for id in ids), *(f"jobs/{id}/edit" for id in ids)]
    paths += [f"jobs?{asked}", f"search?q={HOSTILE}", f"sign-in?next={HOSTILE}"]
    paths += [f"jobs?done={HOSTILE}&n={HOSTILE}", f"actions?cursor={HOSTILE}", f"?range={HOSTILE}"]
    shown = 0
    for path in paths:
        page.goto(site.url + path)
        assert page.locator(ELEMENTS).count() == 0, path
        shown += page.get_by_text("<script>alert(1)</script>").count()
    assert complaints == []
    assert shown > 40  # it is there, as text
    page.goto(f"{site.url}jobs/{ids[1]}")
    page.get_by_role("button", name="Discard").click()
    assert page.locator(ELEMENTS).count() == 0


def test_a_payload_that_is_not_escaped_is_noticed(
    page: Page, site: Site, complaints: list[str]
) -> None:
    page.goto(site.url)
    page.evaluate("text => document.body.insertAdjacentHTML('beforeend', text)", HOSTILE)
    assert page.locator(ELEMENTS).count() > 0
    assert any("Content Security Policy" in one for one in complaints)
    complaints.clear()


def test_the_security_policy_forbids_inline_code(
    page: Page, site: Site, complaints: list[str]
) -> None:
    answer = page.goto(f"{site.url}jobs")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy
    page.evaluate(
        "() => { const code = document.createElement('script'); code.textContent = 'hit = 1';"
        " document.body.append(code); }"
    )
    assert page.evaluate("typeof hit") == "undefined"
    assert any("Content Security Policy" in one for one in complaints)
    complaints.clear()


def test_secrets_are_not_shown(page: Page, site: Site, app: Ferryman) -> None:
    render = app.tasks["render"].enqueue("boat", WORD)
    letter = app.tasks["read_letter"].enqueue(1, "missing.jpg", "open sesame")
    with site.worker():
        page.goto(f"{site.url}jobs/{render.id}")
        expect(page.get_by_role("log")).to_contain_text("the key was ***")
        assert WORD not in page.content()
        page.goto(f"{site.url}jobs/{letter.id}")
        expect(page.locator("#failure")).to_contain_text("password=***")
        for path in ("jobs", f"jobs/{letter.id}", f"jobs/{letter.id}/edit", "dead-letters"):
            page.goto(site.url + path)
            assert "open sesame" not in page.content(), path


@pytest.fixture
def locked(app: Ferryman) -> Iterator[Site]:
    """The pages, of which a key is asked."""
    site = Site(app, auth="keys")
    site.start()
    yield site
    site.close()


async def _key(app: Ferryman, *scopes: str, **more: Any) -> tuple[str, str]:
    text, record = new_key("ann", scopes, **more)
    await (await app.store()).add_key(record)
    return text, record.id


def sign_in(page: Page, site: Site, key: str) -> None:
    """Fill in the form and send it."""
    page.goto(f"{site.url}sign-in")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def test_signing_in_and_out(page: Page, locked: Site, app: Ferryman) -> None:
    app.tasks["read_letter"].enqueue(1)
    key, id = locked.run(_key(app, "operate", "read"))
    page.goto(f"{locked.url}jobs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("API key").fill("fk_nonsense")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{locked.url}jobs")
    [cookie] = page.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert key not in cookie["value"]
    page.goto(f"{locked.url}queues")
    page.get_by_role("button", name="Pause letters").click()
    page.goto(f"{locked.url}actions")
    expect(page.get_by_role("row", name="pause")).to_contain_text(f"ann ({id})")
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{locked.url}jobs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_revoked_key_sees_nothing_more(page: Page, locked: Site, app: Ferryman) -> None:
    key, id = locked.run(_key(app, "read"))
    sign_in(page, locked, key)
    page.goto(f"{locked.url}workers")
    expect(page.get_by_text("No worker runs")).to_be_visible()

    async def revoke() -> None:
        await (await app.store()).revoke_key(id)

    locked.run(revoke())
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_who_may_only_read_can_change_nothing(page: Page, locked: Site, app: Ferryman) -> None:
    job = app.tasks["read_letter"].enqueue(1)
    key, _ = locked.run(_key(app, "read"))
    sign_in(page, locked, key)
    for path in ("jobs", "queues", "dead-letters", f"jobs/{job.id}"):
        page.goto(locked.url + path)
        names = [button.inner_text() for button in page.locator("main button").all()]
        assert not re.search("Cancel|Retry|Discard|Pause|Purge", " ".join(names)), path
    for path in ("queues/letters/pause", f"jobs/{job.id}/cancel", "bulk", "queues/letters/purge"):
        answer = page.request.post(locked.url + path, form={"act": "all-cancel"})
        assert answer.status == 403, path
    assert job.refresh().state is JobState.QUEUED


def test_a_users_key_sees_the_jobs_of_that_user(page: Page, locked: Site, app: Ferryman) -> None:
    mine = app.tasks["read_letter"].using(user="ann").enqueue(1)
    other = app.tasks["read_letter"].using(user="bob").enqueue(2)
    key, _ = locked.run(_key(app, "read", "operate", user="ann"))
    sign_in(page, locked, key)
    page.wait_for_url(f"{locked.url}jobs")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text(mine.id)
    page.goto(f"{locked.url}jobs/{other.id}")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    page.goto(f"{locked.url}search?q={other.id}")
    assert f"jobs/{other.id}" not in page.url
    page.request.post(f"{locked.url}bulk", form={"act": "all-cancel", "confirmed": "yes"})
    assert mine.refresh().state is JobState.CANCELLED
    assert other.refresh().state is JobState.QUEUED


def test_another_sites_form_changes_nothing(
    page: Page, context: BrowserContext, site: Site, app: Ferryman, complaints: list[str]
) -> None:
    app.tasks["read_letter"].enqueue(1)
    form = (
        f'<form method="post" action="{site.url}queues/letters/pause"><button>Win</button></form>'
    )
    context.route(
        "http://elsewhere.test/", lambda route: route.fulfill(body=form, content_type="text/html")
    )
    page.goto("http://elsewhere.test/")
    page.get_by_role("button", name="Win").click()
    expect(page.get_by_text("cross-origin")).to_be_visible()
    assert not app.queues.info("letters").paused


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Page, site: Site, app: Ferryman, scheme: Any) -> None:
    read, render = app.tasks["read_letter"], app.tasks["render"]
    failed = read.using(user="ann", tags=["eu"]).enqueue(1, "missing.jpg")
    read.enqueue(2)
    running = render.enqueue("sloop")
    read.using(delay=900).enqueue(3)
    page.emulate_media(color_scheme=scheme)
    with site.worker():
        page.goto(f"{site.url}jobs/{failed.id}")
        expect(page.locator("#failure")).to_be_visible()
        paths = [*PAGES, f"jobs/{failed.id}", f"jobs/{running.id}", f"jobs/{failed.id}/edit"]
        for path in [*paths, "jobs?user=nobody", "queues/letters/purge"]:
            page.goto(site.url + path)
            found = Axe().run(page).response["violations"]
            serious = [one for one in found if one["impact"] in ("serious", "critical")]
            said = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in serious]
            assert said == [], path


def test_axe_notices_what_is_wrong(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.evaluate("() => document.body.append(document.createElement('input'))")
    found = Axe().run(page).response["violations"]
    assert any(one["impact"] == "critical" for one in found)
