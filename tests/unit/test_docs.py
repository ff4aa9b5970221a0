"""The pages that are made from the code say what the code says."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = runpy.run_path(str(ROOT / "scripts/reference.py"))["pages"]()


@pytest.mark.parametrize("path", PAGES)
def test_a_written_page_is_up_to_date(path: str) -> None:
    assert (ROOT / "docs" / path).read_text() == PAGES[path], "run `make docs`"


def test_every_link_between_pages_leads_somewhere() -> None:
    assert broken_links(ROOT / "README.md") == []
    for page in (ROOT / "docs").rglob("*.md"):
        assert broken_links(page) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "there.md").touch()
    page = tmp_path / "page.md"
    page.write_text("[a](there.md#part) [b](gone.md) [c](https://example.org)")

    assert broken_links(page) == ["gone.md"]


def broken_links(page: Path) -> list[str]:
    """The targets of a page's relative links that are no files."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    return [link for link in links if "://" not in link and not (page.parent / link).exists()]
