"""From boxes with words to rows of text.

An OCR engine gives phrases, each with a box. On a photograph the rows are seldom level, and
grouping boxes by their height alone mixes neighbouring rows: the tilt has to be taken out first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

WIDE = 2.5
"""A box this many times wider than high tells its slope well."""


@dataclass(frozen=True)
class Phrase:
    """Some words in one box, the engine's score for them (0 to 1), and their height in pixels."""

    text: str
    score: float = 1.0
    height: float = 20.0


@dataclass(frozen=True)
class Box:
    """Where a phrase is: its centre, its size, and how far it falls for each step to the right."""

    phrase: Phrase
    x: float
    y: float
    width: float
    slope: float

    @classmethod
    def around(cls, text: str, score: float, corners: list[list[float]]) -> "Box":
        """From the four corners, clockwise from the upper left one."""
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
        height = (y2 + y3 - y0 - y1) / 2
        run = (x1 + x2 - x0 - x3) / 2
        slope = (y1 + y2 - y0 - y3) / 2 / run if run else 0.0
        centre = (x0 + x1 + x2 + x3) / 4, (y0 + y1 + y2 + y3) / 4
        return cls(Phrase(text, score, height), *centre, width=run, slope=slope)


def rebuild_rows(boxes: Sequence[Box]) -> list[list[Phrase]]:
    """Group boxes into rows along the page's tilt, the median slope of its wide boxes."""
    if not boxes:
        return []
    wide = [box.slope for box in boxes if box.width > WIDE * box.phrase.height]
    tilt = median(wide or [box.slope for box in boxes])
    rows: list[list[Box]] = []
    height = 0.0
    for box in sorted(boxes, key=lambda box: box.y - tilt * box.x):
        level = box.y - tilt * box.x
        if not rows or level - height > 0.5 * box.phrase.height:
            rows.append([])
        rows[-1].append(box)
        height = sum(box.y - tilt * box.x for box in rows[-1]) / len(rows[-1])
    return [[box.phrase for box in sorted(row, key=lambda box: box.x)] for row in rows]
