"""The receipts example as its operator follows it: read live, a worker killed, all well again."""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from ferryman import Ferryman, JobState
from ferryman.embedded import valkey_server
from tests.browser.site import Site

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("rapidocr") is None,
        reason="needs examples/receipts/requirements.lock: `make demo` installs it",
    ),
    pytest.mark.timeout(240),
]

COUNT = 4
LEASE = 4
"""Seconds, so that the recovery is not waited for longer than needed."""
PATIENCE = 60_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example's folder, and an environment that names its store."""
    with valkey_server(tmp_path) as valkey:
        monkeypatch.setenv("FERRYMAN_VALKEY_URL", valkey)
        monkeypatch.setenv("FERRYMAN_DATABASE_URL", f"sqlite:///{tmp_path / 'jobs.db'}")
        monkeypatch.setenv("FERRYMAN_LEASE", str(LEASE))
        monkeypatch.setenv("RECEIPTS_FOLDER", str(tmp_path))
        subprocess.run([sys.executable, "-m", "ferryman", "migrate"], check=True)
        yield tmp_path


@pytest.fixture
def receipts(folder: Path) -> Iterator[Site]:
    """The pages of the example, in which receipts wait to be read."""
    from examples.receipts import pictures
    from examples.receipts.ledger import Ledger

    Ledger(folder / "ledger.db").create()
    app = Ferryman()
    task = app.named("read_receipt", queue="receipts")
    for name in pictures.save(folder / "pictures", COUNT):
        task.using(id=f"receipt-{Path(name).stem}").enqueue(
            Path(name).stem, str(folder / "pictures" / name)
        )
    site = Site(app)
    site.start()
    yield site
    site.close()
    app.close()


def test_receipts_are_followed_and_a_killed_worker_is_seen(
    page: Page, receipts: Site, folder: Path
) -> None:
    from examples.receipts.fleet import Fleet

    page.goto(f"{receipts.url}jobs?task=read_receipt")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(COUNT)
    with Fleet(1, folder / "worker.log") as fleet:
        # Nobody loads this page again: it is told.
        expect(rows.get_by_text("reading its text")).to_be_visible(timeout=PATIENCE)
        expect(rows.locator(".state.succeeded").first).to_be_visible(timeout=PATIENCE)
        victim = _killed_while_it_ran(fleet, receipts)
        page.goto(f"{receipts.url}workers")
        expect(page.get_by_text("lost", exact=True).first).to_be_visible(timeout=PATIENCE)
        page.goto(f"{receipts.url}jobs/{victim}")
        expect(page.get_by_text("Its worker is lost.")).to_be_visible(timeout=PATIENCE)
        fleet.start()
        timeline = page.get_by_role("region", name="Timeline")
        expect(timeline).to_contain_text("lease lost", timeout=PATIENCE)
        expect(page.locator("h1 + .state")).to_contain_text("succeeded", timeout=PATIENCE)
        page.goto(f"{receipts.url}jobs?task=read_receipt&state=succeeded")
        expect(rows).to_have_count(COUNT, timeout=PATIENCE)


def _killed_while_it_ran(fleet: Any, receipts: Site) -> str:
    """Kill the worker in the middle of a receipt; the job that it ran."""
    while True:
        fleet.look()
        if receipts.app.jobs.list(state=JobState.RUNNING):
            fleet.kill()
            if left := receipts.app.jobs.list(state=JobState.RUNNING):
                return left[0].id
            fleet.start()  # it was a moment too late
        time.sleep(0.02)
