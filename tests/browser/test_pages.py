"""The pages in a real browser, as an operator uses them."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from ferryman import Ferryman, JobState
from tests.browser.site import Site
from tests.browser.tasks import gates

PAGES = ("", "jobs", "dead-letters", "queues", "workers", "actions")


def test_progress_and_log_are_seen_live(page: Page, site: Site, app: Ferryman) -> None:
    job = app.tasks["render"].enqueue("ark")
    page.add_init_script("window.setInterval = () => 0")  # only the job's events refresh the page
    page.goto(f"{site.url}jobs/{job.id}")
    expect(page.get_by_text("No running worker serves the queue films.")).to_be_visible()
    with site.worker():
        for frame in (1, 2, 3):
            expect(page.get_by_label("Progress").first).to_contain_text(f"{frame} of 3")
            expect(page.get_by_role("log")).to_contain_text(f"frame {frame} of ark is there")
            gates[f"ark-{frame}"].set()
        expect(page.locator("h1 + .state")).to_contain_text("succeeded")
    expect(page.locator("#result")).to_have_text('"ark"')


SNIPPET = Path(__file__).parents[2] / "docs/how-to/live-progress.md"


def test_the_page_of_the_manual_goes_on_over_a_restart(
    page: Page, site: Site, app: Ferryman
) -> None:
    job = app.tasks["render"].using(id="ark-again").enqueue("again")
    found = re.search("```html\n(.*?)```", SNIPPET.read_text(), re.DOTALL)
    assert found is not None
    asked: list[int] = []

    def grant(route: Route) -> None:
        answer = page.request.post(f"{site.url}api/v1/streams", data={"job_id": job.id})
        asked.append(answer.status)
        route.fulfill(json=answer.json())

    page.route("**/my/page", lambda route: route.fulfill(body=found[1], content_type="text/html"))
    page.route("**/my/receipts/17/stream", grant)
    page.goto(f"{site.url}my/page")
    while site.listeners() == 0:
        page.wait_for_timeout(20)
    site.stop()
    site.start()  # with another secret: the address that the page holds is over
    while site.listeners() == 0:
        page.wait_for_timeout(20)
    assert asked == [201, 201]
    with site.worker():
        for frame in (1, 2, 3):
            expect(page.locator("#said")).to_have_text(f"frame {frame}")
            gates[f"again-{frame}"].set()
    while site.listeners() > 0:  # it leaves when the job has ended
        page.wait_for_timeout(20)


def test_a_dead_letter_is_retried(page: Page, site: Site, app: Ferryman) -> None:
    job = app.tasks["read_letter"].enqueue(7, "missing.jpg")
    with site.worker():
        page.goto(f"{site.url}dead-letters")
        row = page.get_by_role("row", name="read_letter")
        expect(row).to_contain_text("Permanent")
        expect(row).to_contain_text("letter 7 has no picture")
    row.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("heading", name="Retry 1 job?")).to_be_visible()
    assert job.refresh().state is JobState.FAILED
    page.get_by_role("button", name="Retry 1 job").click()
    expect(page.get_by_text("Sent back to the queue: 1 job.")).to_be_visible()
    assert job.refresh().state is JobState.QUEUED


def test_arguments_are_edited_and_the_job_retried(page: Page, site: Site, app: Ferryman) -> None:
    job = app.tasks["read_letter"].enqueue(7, "missing.jpg", "open sesame")
    with site.worker():
        page.goto(f"{site.url}jobs/{job.id}")
        expect(page.locator("#failure")).to_contain_text("letter 7 has no picture")
        page.get_by_role("link", name="Edit and retry").click()
        editor = page.get_by_label("Arguments by name")
        assert "open sesame" not in editor.input_value()
        editor.fill('{"number": "seven"}')
        page.get_by_role("button", name="Retry with these").click()
        expect(page.get_by_role("alert")).to_contain_text("Not retried")
        editor.fill('{"number": 8, "path": "there.jpg", "password": "***"}')
        page.get_by_role("button", name="Retry with these").click()
        expect(page.locator("h1 + .state")).to_contain_text("succeeded")
    assert job.refresh().result() == {"number": 8, "pages": 1}
    assert b"open sesame" in job.refresh().record.args


def test_jobs_are_found_by_filters_of_the_address(page: Page, site: Site, app: Ferryman) -> None:
    read, render = app.tasks["read_letter"], app.tasks["render"]
    wanted = read.using(user="ann", tags=["eu"]).enqueue(1, "harbour.jpg")
    read.using(user="bob").enqueue(2, "mountain.jpg")
    render.enqueue("harbour")
    page.goto(f"{site.url}jobs")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_label("Task", exact=True).fill("read_letter")
    page.get_by_label("Text in arguments", exact=True).fill("harbour")
    page.get_by_role("button", name="Filter").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(wanted.id)
    assert re.search(r"task=read_letter.*text=harbour", page.url)
    page.goto(f"{site.url}jobs?user=bob&state=queued")
    expect(rows).to_have_count(1)
    expect(page.get_by_label("User", exact=True)).to_have_value("bob")
    page.goto(f"{site.url}jobs?user=nobody")
    expect(page.get_by_text("No job matches.")).to_be_visible()
    page.goto(f"{site.url}jobs?state=asleep")
    expect(page.get_by_text("This filter cannot be used")).to_be_visible()


def test_long_lists_have_pages(page: Page, site: Site, app: Ferryman) -> None:
    app.tasks["read_letter"].enqueue_many([(number,) for number in range(120)])
    page.goto(f"{site.url}jobs?task=read_letter")
    seen = set()
    for size in (50, 50, 20):
        expect(page.locator("tbody tr")).to_have_count(size)
        seen |= {row.get_attribute("id") for row in page.locator("tbody tr").all()}
        if size == 50:
            page.get_by_role("link", name="Older").click()
    assert len(seen) == 120
    expect(page.get_by_role("link", name="Older")).to_have_count(0)


def test_a_thousand_jobs_are_cancelled_at_once(page: Page, site: Site, app: Ferryman) -> None:
    app.tasks["read_letter"].enqueue_many([(number,) for number in range(1000)])
    kept = app.tasks["render"].enqueue("kept")
    page.goto(f"{site.url}jobs?task=read_letter")
    page.locator("summary", has_text="All that match").click()
    page.get_by_role("button", name="Cancel all that match").click()
    expect(page.get_by_role("heading", name="Cancel 1,000 jobs?")).to_be_visible()
    assert app.jobs.count(state="cancelled") == 0
    page.get_by_role("button", name="Cancel 1,000 jobs").click()
    expect(page.get_by_text("Cancelled, or asked to stop: 1,000 jobs.")).to_be_visible()
    assert app.jobs.count(state="cancelled") == 1000
    assert kept.refresh().state is JobState.QUEUED
    page.goto(f"{site.url}actions")
    row = page.get_by_role("row", name="cancel")
    expect(row).to_contain_text("task=read_letter")
    expect(row).to_contain_text("1000 of 1000 jobs")
    expect(row).to_contain_text("local")


def test_chosen_jobs_are_discarded_after_a_question(page: Page, site: Site, app: Ferryman) -> None:
    jobs = [app.tasks["read_letter"].enqueue(number) for number in range(3)]
    for job in jobs:
        job.cancel()
    page.goto(f"{site.url}jobs")
    button = page.get_by_role("button", name="Discard selected")
    expect(button).to_be_disabled()
    page.get_by_label(f"Select {jobs[0].id}").check()
    page.get_by_label(f"Select {jobs[2].id}").check()
    expect(page.get_by_text("2 selected")).to_be_visible()
    with page.expect_response(re.compile("/jobs$")):  # the page refreshes itself meanwhile
        pass
    expect(page.get_by_text("2 selected")).to_be_visible()
    button.click()
    page.get_by_role("link", name="Leave everything as it is").click()
    assert app.jobs.count() == 3
    page.get_by_label(f"Select {jobs[0].id}").check()
    button.click()
    page.get_by_role("button", name="Discard 1 job").click()
    expect(page.get_by_text("Discarded: 1 job.")).to_be_visible()
    assert {handle.id for handle in app.jobs.list()} == {jobs[1].id, jobs[2].id}


def test_a_queue_is_paused_and_purged(page: Page, site: Site, app: Ferryman) -> None:
    job = app.tasks["read_letter"].enqueue(1)
    page.goto(f"{site.url}queues")
    page.get_by_role("button", name="Pause letters").click()
    expect(page.get_by_text("The queue is paused.")).to_be_visible()
    assert app.queues.info("letters").paused
    page.goto(f"{site.url}jobs/{job.id}")
    expect(page.get_by_text("The queue letters is paused.")).to_be_visible()
    page.goto(f"{site.url}queues")
    page.get_by_role("link", name="Purge").click()
    expect(page.get_by_role("heading", name="Purge the queue letters?")).to_be_visible()
    page.get_by_role("button", name="Cancel 1 job").click()
    expect(page.get_by_text("Cancelled: 1 job.")).to_be_visible()
    assert job.refresh().state is JobState.CANCELLED
    page.get_by_role("button", name="Resume letters").click()
    expect(page.get_by_text("The queue goes on.")).to_be_visible()
    assert not app.queues.info("letters").paused


def test_search_leads_to_a_job_or_to_a_list(page: Page, site: Site, app: Ferryman) -> None:
    job = app.tasks["read_letter"].enqueue(1, "harbour.jpg")
    page.goto(site.url)
    page.keyboard.press("/")
    page.keyboard.type(job.id)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}jobs/{job.id}")
    page.keyboard.press("/")
    page.keyboard.type("harbour")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}jobs?text=harbour")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_the_overview_shows_what_goes_through(page: Page, site: Site, app: Ferryman) -> None:
    app.tasks["read_letter"].enqueue_many([(number,) for number in range(30)])
    with site.worker():
        page.goto(site.url)
        expect(page.locator("[data-chart=throughput] canvas")).to_be_visible()
        expect(page.locator("[data-chart=throughput] [data-summary]")).to_contain_text("jobs/s")
        expect(page.get_by_role("row", name="letters")).to_contain_text("30")
        expect(page.locator(".tile", has_text="slots in use")).to_contain_text("0 of 4")
        page.get_by_role("link", name="Last 24 hours").click()
        expect(page.locator("[data-chart=latency] canvas")).to_be_visible()


def test_workers_are_shown_with_what_they_do(page: Page, site: Site, app: Ferryman) -> None:
    page.goto(f"{site.url}workers")
    expect(page.get_by_text("No worker runs")).to_be_visible()
    job = app.tasks["render"].enqueue("raft")
    with site.worker():
        row = page.locator("tbody tr")
        expect(row).to_contain_text("1 of 4")
        expect(row).to_contain_text(job.id)
        expect(row).to_contain_text(re.compile(r"\d [MG]iB"))
        expect(row).to_contain_text(re.compile(r"now|[12] s ago"))
        for frame in (1, 2, 3):
            gates[f"raft-{frame}"].set()
        expect(row).to_contain_text("0 of 4")


def test_a_service_that_is_away_is_told_of(
    page: Page, site: Site, app: Ferryman, complaints: list[str]
) -> None:
    page.goto(f"{site.url}jobs")
    site.stop()
    expect(page.get_by_text("The service does not answer.")).to_be_visible()
    app.tasks["read_letter"].enqueue(1)
    site.start()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_text("The service does not answer.")).to_be_hidden()
    complaints[:] = [one for one in complaints if "Failed to fetch" not in one]


def test_keys(page: Page, site: Site, app: Ferryman) -> None:
    app.tasks["read_letter"].enqueue_many([(1,), (2,), (3,)])
    page.goto(f"{site.url}jobs")
    rows = page.locator("[data-row]")
    for key, here in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        expect(rows.nth(here)).to_have_attribute("data-here", "")
    page.keyboard.press("x")
    expect(rows.nth(1).get_by_role("checkbox")).to_be_checked()
    wanted = rows.nth(1).get_by_role("link").get_attribute("href")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    expect(page.get_by_role("button", name="Not live")).to_be_visible()
    page.keyboard.press("u")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{wanted}")


def test_colours_follow_the_system_and_the_choice(page: Page, site: Site) -> None:
    def background() -> str:
        found = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return str(found)

    page.emulate_media(color_scheme="light")
    page.goto(site.url)
    light = background()
    page.emulate_media(color_scheme="dark")
    dark = background()
    assert light != dark
    page.keyboard.press("t")
    assert background() == light
    page.reload()
    assert background() == light
    page.keyboard.press("t")
    page.emulate_media(color_scheme="light")
    assert background() == dark


@pytest.mark.parametrize("width", [390, 320], ids=["a phone", "400 % zoom"])
def test_narrow_windows_need_no_sideways_scrolling(
    page: Page, site: Site, app: Ferryman, width: int
) -> None:
    long = "a-name-that-is-much-longer-than-anyone-would-think-of-" * 2
    job = app.tasks["read_letter"].using(id=long, queue=long, tags=[long]).enqueue(1, "x" * 300)
    page.set_viewport_size({"width": width, "height": 800})
    for path in (*PAGES, f"jobs/{job.id}", f"jobs/{job.id}/edit", f"queues/{long}/purge"):
        page.goto(site.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_pages_work_below_any_path(page: Page, app: Ferryman) -> None:
    site = Site(app, mounted="/intern/jobs")
    site.start()
    try:
        job = app.tasks["read_letter"].enqueue(1)
        page.goto(site.url)
        expect(page.locator("[data-chart] canvas").first).to_be_visible()
        page.get_by_role("link", name="Jobs", exact=True).click()
        page.get_by_role("link", name=job.id).click()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("Cancelled, or asked to stop: 1 job.")).to_be_visible()
        page.wait_for_url(f"{site.url}jobs/{job.id}?*")
        expect(page.locator("h1 + .state")).to_contain_text("cancelled")
    finally:
        site.close()
