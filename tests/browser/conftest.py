"""A real browser, and the pages that it looks at."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect, sync_playwright

from ferryman import Ferryman
from tests.backends import BACKENDS
from tests.browser.site import Site
from tests.browser.tasks import declare

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 15_000
"""Milliseconds for which the browser waits for what a page shall show."""


def browser_path() -> str | None:
    """A Chromium of the system."""
    return next(filter(None, map(shutil.which, NAMES)), None)


# Of a module and not of the session: as long as Playwright is there, its event loop runs in this
# thread, and no asynchronous test of another module could.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    path = browser_path()
    if path is None:
        missing = "no Chromium is on PATH: apt-get install chromium"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    # Root may not have Chromium's sandbox.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=options)
        expect.set_options(timeout=PATIENCE)
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that knows nothing yet."""
    made = browser.new_context(viewport={"width": 1280, "height": 800})
    made.set_default_timeout(PATIENCE)
    yield made
    made.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained of: errors of scripts, of the security policy, dialogs."""
    return []


@pytest.fixture
def page(context: BrowserContext, complaints: list[str]) -> Iterator[Page]:
    """A page whose scripts and security policy nothing may offend."""

    def refuse(dialog: Dialog) -> None:
        complaints.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    opened = context.new_page()
    opened.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    opened.on(
        "console",
        lambda said: (
            complaints.append(said.text)
            if said.type == "error" and "Failed to load resource" not in said.text
            else None
        ),
    )
    opened.on("dialog", refuse)
    yield opened
    assert complaints == []


@pytest.fixture
def app(request: pytest.FixtureRequest) -> Iterator[Ferryman]:
    """An application with an empty store."""
    with BACKENDS["sqlite"](request) as settings:
        made = Ferryman(
            settings.database_url,
            settings.valkey_url,
            namespace=settings.namespace,
            allow=settings.allow,
        )
        declare(made)
        yield made
        made.close()


@pytest.fixture
def site(app: Ferryman) -> Iterator[Site]:
    """The pages, of which no key is asked."""
    made = Site(app)
    made.start()
    yield made
    made.close()
