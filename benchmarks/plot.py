"""The headline figures as a picture: one panel a measure, one line a system."""

from collections.abc import Iterator
from html import escape
from typing import Final

from benchmarks import systems
from benchmarks.readings import Readings

PANELS: Final = (
    ("drain", "drained, jobs/s", "{:,.0f}"),
    ("enqueue.concurrent", "100 concurrent enqueues, jobs/s", "{:,.0f}"),
    ("enqueue.bulk", "bulk enqueue, jobs/s", "{:,.0f}"),
    ("pickup.idle.p50", "pick-up when idle, median, ms (less is better)", "{:.1f}"),
)
WIDTH, LABELS, LINE, HEAD = 760, 190, 20, 34
OWN, OTHER, RANGE = "#1a6b5c", "#9aa5ad", "#33404a"


def svg(readings: Readings) -> str:
    """The picture; bars are medians, thin lines go from the least to the most reading."""
    parts: list[str] = []
    top = 0
    for measure, title, form in PANELS:
        lines = list(_panel(readings, measure, title, form, top))
        if len(lines) > 1:
            parts += lines
            top += HEAD + LINE * (len(lines) - 1)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 10}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{top + 10}" fill="#ffffff"/>'
    )
    return "\n".join([head, *parts, "</svg>\n"])


def _panel(readings: Readings, measure: str, title: str, form: str, top: int) -> Iterator[str]:
    spreads = {
        name: found for name in readings.systems if (found := readings.spread(name, measure))
    }
    yield f'<text x="8" y="{top + 22}" font-weight="bold">{escape(title)}</text>'
    widest = max((found.most for found in spreads.values()), default=1.0) or 1.0
    scale = (WIDTH - LABELS - 80) / widest
    order = sorted(spreads, key=lambda name: spreads[name].median, reverse="ms" not in title)
    for number, name in enumerate(order):
        found, y = spreads[name], top + HEAD + number * LINE
        colour = OWN if systems.ALL[name].own else OTHER
        middle = y + LINE / 2 - 2
        yield (
            f'<g><text x="{LABELS - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{LABELS}" y="{y}" width="{found.median * scale:.1f}" height="{LINE - 5}" '
            f'fill="{colour}"/>'
            f'<line x1="{LABELS + found.least * scale:.1f}" x2="{LABELS + found.most * scale:.1f}" '
            f'y1="{middle}" y2="{middle}" stroke="{RANGE}"/>'
            f'<text x="{LABELS + found.most * scale + 6:.1f}" y="{y + 12}">'
            f"{form.format(found.median)}</text></g>"
        )
