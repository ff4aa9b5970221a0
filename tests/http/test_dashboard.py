"""What the dashboard's pages say, without a browser."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from ferryman import Ferryman
from ferryman.domain.figures import Figures, Spread
from ferryman.domain.job import QueueInfo, WorkerInfo
from ferryman.domain.outcomes import Ending, Failure
from ferryman.domain.states import JobState, Reason
from ferryman.http import create_app, views
from ferryman.http.api import jobs as api
from ferryman.http.dashboard import jobs as pages
from ferryman.http.dashboard.charts import Range, series
from ferryman.http.dashboard.phrases import distance, number, size, span
from ferryman.stores.base import ClaimRequest
from ferryman.stores.sql import readers
from tests.http.conftest import caller_of

NOW = datetime(2026, 5, 17, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
async def visitor(app: Ferryman) -> AsyncIterator[httpx.AsyncClient]:
    """Asks for pages."""
    served = create_app(app, auth="off", rate=0)
    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    await served.state.service.close()


async def _fail(app: Ferryman, kinds: list[str]) -> None:
    """Dead letters with these errors, the first one the oldest."""
    store = await app.store()
    await store.register(
        WorkerInfo(id="w", name="w", host="h", pid=1, queues=("math",), concurrency=1), 600
    )
    await store.submit([app.tasks["add"].new_job((n, 1), {}) for n, _ in enumerate(kinds)])
    claimed = await store.claim(ClaimRequest(worker="w", queues=("math",), limit=len(kinds)))
    await store.finish(
        [
            Ending(
                job_id=one.job_id,
                queue="math",
                token=one.token,
                state=JobState.FAILED,
                reason=Reason.EXHAUSTED,
                failure=Failure(kind=kind, message="m"),
            )
            for one, kind in zip(claimed, kinds, strict=True)
        ]
    )


async def test_jobs_with_an_error_are_all_found_once(
    app: Ferryman, visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "ASK_LIMIT", 90)
    await _fail(app, ["a.Wanted" if n % 3 else "a.Other" for n in range(200)])
    seen: list[str] = []
    path: str | None = "/jobs?state=failed&error=a.Wanted"
    for _ in range(10):
        answer = await visitor.get(str(path))
        rows = re.findall(r'id="job-([^"]+)"', answer.text)
        assert len(rows) <= pages.PAGE
        seen += rows
        further = re.search(r'rel="next" href="([^"]+)"', answer.text)
        if further is None:
            break
        path = further[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == sum(1 for n in range(200) if n % 3)


async def test_the_page_of_a_job_with_many_events_says_that_there_are_more(
    app: Ferryman, visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (views, pages, api):
        monkeypatch.setattr(module, "EVENTS", 3)
    job = await app.named("add").using(id="one").aenqueue(1)
    for said in (False, True):
        text = (await visitor.get("/jobs/one")).text
        assert ("it has more" in text) is said
        assert text.count("<b>queued</b>") == (2 if said else 1)
        shown = (await visitor.get("/api/v1/jobs/one")).json()
        assert (len(shown["events"]), shown["more_events"]) == ((3, True) if said else (1, False))
        for _ in range(2):
            await job.acancel()
            await job.aretry()


async def test_a_key_of_one_user_is_told_nothing_of_queues_and_workers(
    app: Ferryman, make_key: Any
) -> None:
    await app.named("add").aenqueue_many([(number,) for number in range(7)])
    await app.named("add").using(id="mine", user="me").aenqueue(1)
    key, _ = await make_key("read", user="me")
    everyone, _ = await make_key("read")
    served = create_app(app, rate=0)
    async with caller_of(served, key) as me, caller_of(served, everyone) as them:
        async with app.worker(queues=["other"]):
            mine = (await me.get("http://localhost/jobs/mine")).text
            assert (await them.get("http://localhost/jobs/mine")).text.count("running worker") == 1
        await app.queues.apause("math")
        paused = (await me.get("http://localhost/jobs/mine")).text
        assert "is paused" in (await them.get("http://localhost/jobs/mine")).text
        await app.queues.aresume("math")
        async with app.worker(queues=["math"]) as worker:
            await worker.drain()
            [live] = [one for one in await (await app.store()).workers() if one.live]
            worker_named = f"{live.info.name} ("
            ended = (await me.get("http://localhost/jobs/mine")).text
            assert worker_named in (await them.get("http://localhost/jobs/mine")).text
    for text in (mine, paused, ended):
        assert "<h1>add</h1>" in text
        for said in ("running worker", "paused", "8 jobs", "slot", worker_named, "has gone"):
            assert said not in text
    await served.state.service.close()


async def test_dead_letters_are_grouped(app: Ferryman, visitor: httpx.AsyncClient) -> None:
    await _fail(app, ["a.First"] * 3 + ["b.Second"])
    text = (await visitor.get("/dead-letters")).text
    assert re.findall(r'<tr data-row id="group-[0-9a-f]{16}">', text).__len__() == 2
    assert text.index(">First<") < text.index(">Second<")


async def test_paths_that_nothing_is_at(visitor: httpx.AsyncClient) -> None:
    page = await visitor.get("/nowhere", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    for path in ("/nowhere", "/api/v1/nowhere"):
        answer = await visitor.get(path)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_pages_are_kept_by_nobody_and_framed_by_nobody(visitor: httpx.AsyncClient) -> None:
    for path in ("/", "/jobs", "/dead-letters", "/queues", "/workers", "/actions", "/sign-in"):
        headers = (await visitor.get(path)).headers
        assert headers["cache-control"] == "no-store", path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 ms"), (0.85, "850 ms"), (0.9999, "1.0 s"), (3.21, "3.2 s"), (9.97, "10 s"),
        (250, "4 min 10 s"), (3600, "1 h"), (183_600, "2 d 3 h"), (None, ""),
    ],
)  # fmt: skip
def test_lengths_of_time(seconds: float | None, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("away", "said"), [(0.4, "now"), (3, "3 s ago"), (-7300, "in 2 h"), (90_000, "1 d ago")]
)
def test_distances(away: float, said: str) -> None:
    assert distance(NOW - timedelta(seconds=away), NOW) == said


def test_sizes_and_numbers() -> None:
    assert [size(one) for one in (None, 999, 1536, 327_155_712)] == [
        "",
        "999 B",
        "1.5 KiB",
        "312 MiB",
    ]
    assert [number(one) for one in (0, 1234, 0.44, 1e6)] == ["0", "1,234", "0.4", "1,000,000"]


def test_the_charts_lines() -> None:
    step = Range("", timedelta(seconds=30), 10)
    wait = Spread(0.4, (0, 0, 0, 4, *[0] * 8))
    figures = [
        Figures(at=NOW - timedelta(seconds=20), queue="a", submitted=20, succeeded=5, wait=wait),
        Figures(at=NOW - timedelta(seconds=20), queue="b", submitted=10, failed=1),
        Figures(at=NOW - timedelta(seconds=10), queue="a", succeeded=10, cancelled=2),
    ]
    queues = [QueueInfo(name="a", queued=10), QueueInfo(name="b", running=5)]
    lines = series(figures, queues, NOW + timedelta(seconds=1), step)
    assert lines["times"] == [int(NOW.timestamp()) - ago for ago in (30, 20, 10)]
    assert lines["series"]["submitted"] == [0, 3, 0]
    assert lines["series"]["failed"] == [0, 6, 0]
    assert lines["series"]["backlog"] == [3, 27, 15]
    assert lines["series"]["wait50"] == [None, pytest.approx(0.2), None]
