"""The pictures of the dashboard in docs/images: a quarter of an hour of an office's jobs.

    python scripts/screenshots.py          all of them, in a minute

What is seen went through a real store; only its clock is ahead of time.
"""

import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, Literal

import uvicorn
from playwright.async_api import Browser, ViewportSize, async_playwright

from ferryman import Ferryman, Retry
from ferryman.domain.job import LogLine, NewJob, Progress, WorkerInfo
from ferryman.domain.operators import OperatorAction
from ferryman.domain.outcomes import Ending, Failure
from ferryman.domain.states import JobState, Reason
from ferryman.http import create_app
from ferryman.settings import Settings
from ferryman.stores.base import ClaimRequest, ProgressUpdate
from ferryman.stores.sql.store import SqlStore

IMAGES: Final = Path(__file__).parents[1] / "docs/images"
MOST: Final = 150_000
"""Bytes of a picture."""
PAST: Final = 900
"""Seconds that went by before the pictures are taken."""
TICK: Final = 10
LEASE: Final = 600
QUEUES: Final = {"receipts": "read_receipt", "photos": "caption_photo", "films": "render_film"}

LARGE: Final[ViewportSize] = {"width": 1200, "height": 720}
PHONE: Final[ViewportSize] = {"width": 390, "height": 780}
View = tuple[str, str, Literal["light", "dark"], ViewportSize]
VIEWS: Final[tuple[View, ...]] = (
    ("overview", "", "light", LARGE),
    ("overview-dark", "", "dark", LARGE),
    ("jobs", "jobs", "light", LARGE),
    ("job-running", "jobs/film-1", "light", LARGE),
    ("job-failed", "jobs/receipt-broken", "light", LARGE),
    ("dead-letters", "dead-letters", "light", LARGE),
    ("queues", "queues", "light", LARGE),
    ("workers", "workers", "dark", LARGE),
    ("actions", "actions", "light", LARGE),
    ("phone", "jobs", "light", PHONE),
)

FAILURES: Final = (
    Failure(
        kind="examples.receipts.reading.NotAPicture",
        message="not a picture that can be read: its first bytes are '<!doctype html>'",
    ),
    Failure(kind="builtins.ConnectionError", message="captions.example refused the connection"),
    Failure(kind="builtins.TimeoutError", message="no answer within 30 s"),
)


def declare(app: Ferryman) -> None:
    """The office's tasks."""

    @app.task(queue="receipts", retry=Retry(max_attempts=4, base=60))
    def read_receipt(receipt: str, path: str) -> dict[str, Any]:
        return {"receipt": receipt, "path": path}

    @app.task(queue="photos", retry=Retry(max_attempts=3))
    def caption_photo(photo: str, api_key: str = "") -> str:
        return photo

    @app.task(queue="films")
    def render_film(film: str, frames: int = 240) -> str:
        return film


class Past:
    """What went through the queues until now.

    Its clock runs ahead of the world's, from a quarter of an hour ago to this moment.
    """

    def __init__(self, app: Ferryman, settings: Settings) -> None:
        self._app = app
        self._now = (time.time() - PAST) * 1000
        self.store = SqlStore(settings, clock=lambda: int(self._now))
        self._chance = random.Random(7)  # noqa: S311 - the same pictures each time
        self._workers = [
            WorkerInfo(
                id=f"{number}5f0c2e{number}a1b24d0f9c3e",
                name=f"office-{number}",
                host=f"node-{number}",
                pid=4000 + number,
                queues=tuple(QUEUES),
                concurrency=slots,
                version="0.1.0",
                lease=LEASE,
                memory=memory * 2**20,
            )
            for number, slots, memory in ((1, 4, 412), (2, 4, 388), (3, 2, 1230))
        ]
        self._number = 0

    async def go_by(self) -> None:
        """Live through it."""
        for worker in self._workers:
            await self.store.register(worker, LEASE)
        tick = 0
        while self._now < (time.time() - TICK) * 1000:
            tick += 1
            await self._enqueue(12 + round(8 * (tick % 30) / 30) + self._chance.randrange(6))
            for worker in self._workers:
                await self.store.renew(worker, LEASE)
                await self._work(worker)
            self._now += TICK * 1000
        await self._present()

    async def _enqueue(self, count: int) -> None:
        jobs = []
        for _ in range(count):
            self._number += 1
            queue = self._chance.choices(list(QUEUES), (6, 3, 1))[0]
            task = self._app.tasks[QUEUES[queue]]
            user = self._chance.choice(("ann", "bob", "eve"))
            args = (
                (f"r-{self._number}", "scan.jpg") if queue == "receipts" else (f"{self._number}",)
            )
            jobs.append(task.using(user=user, tags=["eu"]).new_job(args, {}))
        await self.store.submit(jobs)

    async def _work(self, worker: WorkerInfo) -> None:
        claimed = await self.store.claim(
            ClaimRequest(worker=worker.id, queues=worker.queues, limit=7)
        )
        before = self._now
        self._now += self._chance.choice((300, 900, 2500))
        await self.store.finish([self._ending(delivery) for delivery in claimed])
        self._now = before

    def _ending(self, delivery: Any) -> Ending:
        what: dict[str, Any] = {"job_id": delivery.job_id, "queue": delivery.queue}
        what["token"] = delivery.token
        if self._chance.random() < 0.04:
            failure = self._chance.choice(FAILURES)
            return Ending(
                **what, state=JobState.FAILED, reason=Reason.EXHAUSTED, charge=1, failure=failure
            )
        result = b'{"total": "12.50"}'
        return Ending(
            **what, state=JobState.SUCCEEDED, reason=Reason.RETURNED, result=result, ttl=86400
        )

    async def _present(self) -> None:
        """What the single pages show."""
        store, films = self.store, self._app.tasks["render_film"]
        await self._fail_for_good()
        await store.purge("films")
        await store.submit(
            [films.using(id=f"film-{one}").new_job(("harbour",), {}) for one in (1, 2)]
        )
        first, _ = await store.claim(
            ClaimRequest(worker=self._workers[2].id, queues=("films",), limit=2)
        )
        for frame in (60, 120, 151):
            self._now += 1
            line = LogLine("info", f"frame {frame} is rendered, 24 frames a second")
            await store.progress(
                [
                    ProgressUpdate(
                        job_id=first.job_id,
                        queue="films",
                        token=first.token,
                        progress=Progress(frame, 240, f"frame {frame}"),
                        lines=(line,),
                    )
                ]
            )
        await store.claim(ClaimRequest(worker=self._workers[0].id, queues=("receipts",), limit=3))
        await store.pause("photos")
        for verb, target, detail in (
            ("retry", "state=failed task=caption_photo", "12 of 12 jobs"),
            ("purge", "films", "9 jobs"),
            ("pause", "photos", ""),
        ):
            await store.record(
                OperatorAction(who="ann (k3v9x2m41q0z)", verb=verb, target=target, detail=detail)
            )

    async def _fail_for_good(self) -> None:
        store, task = self.store, self._app.tasks["read_receipt"]
        job: NewJob = task.using(id="receipt-broken", queue="broken", user="ann").new_job(
            ("r-17", "broken.jpg"), {}
        )
        await store.submit([job])
        why = "OSError: [Errno 2] No such file or directory: 'broken.jpg'"
        trace = 'Traceback (most recent call last):\n  File "office.py", line 31, in read_receipt\n'
        trace += "    picture = Path(path).read_bytes()\n" + why
        for attempt in (1, 2):
            [one] = await store.claim(
                ClaimRequest(worker=self._workers[1].id, queues=("broken",), limit=1)
            )
            self._now += 340
            last = attempt == 2
            await store.finish(
                [
                    Ending(
                        job_id=one.job_id,
                        queue="broken",
                        token=one.token,
                        state=JobState.FAILED if last else JobState.QUEUED,
                        reason=Reason.EXHAUSTED if last else Reason.RETRY,
                        detail=why,
                        charge=1,
                        failure=Failure(kind="builtins.OSError", message=why[9:], traceback=trace),
                    )
                ]
            )


async def serve(app: Ferryman) -> tuple[uvicorn.Server, "asyncio.Task[None]", str]:
    """The pages, on a port of their own."""
    served = create_app(app, auth="off", rate=0)
    server = uvicorn.Server(uvicorn.Config(served, port=0, log_config=None))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.05)
    [listener] = server.servers[0].sockets
    return server, running, f"http://localhost:{listener.getsockname()[1]}/"


async def take(browser: Browser, url: str, view: View) -> int:
    """Take one picture; its bytes."""
    name, path, scheme, size = view
    context = await browser.new_context(viewport=size, color_scheme=scheme)
    page = await context.new_page()
    await page.goto(url + path)
    if path == "":
        await page.wait_for_selector("[data-chart=latency] canvas")
    await page.wait_for_timeout(300)
    target = IMAGES / f"dashboard-{name}.png"
    await page.screenshot(path=target)
    await context.close()
    return target.stat().st_size


async def main() -> int:
    """Take all pictures; the process's exit code."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium is on PATH: apt-get install chromium")
        return 1
    IMAGES.mkdir(exist_ok=True)
    too_large = []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database_url=f"sqlite:///{folder}/jobs.db")
        app = Ferryman(settings.database_url)
        declare(app)
        past = Past(app, settings)
        await past.store.migrate()
        await past.store.open()
        await past.go_by()
        await past.store.close()
        server, running, url = await serve(app)
        async with async_playwright() as playwright:
            options = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = await playwright.chromium.launch(executable_path=chromium, args=options)
            for view in VIEWS:
                name = view[0]
                size = await take(browser, url, view)
                print(f"dashboard-{name}.png: {size:,} bytes")
                too_large += [name] if size > MOST else []
            await browser.close()
        server.should_exit = True
        await running
        await app.aclose()
    if too_large:
        print(f"too large: {', '.join(too_large)}")
    return len(too_large)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
