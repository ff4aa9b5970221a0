"""How the receipts example puts phrases back into rows."""

import math
import random

import pytest
from examples.receipts.rows import Box, rebuild_rows

TABLE = [
    ["Corner Grocery"],
    ["Apples", "3.10"],
    ["Brown bread", "2 x 1.10", "2.20"],
    ["TOTAL", "£5.30"],
]


def box(text: str, x: float, y: float, tilt: float) -> Box:
    """A phrase whose left end is at (x, y), on a page turned by `tilt` degrees."""
    cos, sin = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    width, height = 12.0 * len(text), 20.0
    corners = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    turned = [
        [(x + dx) * cos - (y + dy) * sin, (x + dx) * sin + (y + dy) * cos] for dx, dy in corners
    ]
    return Box.around(text, 1.0, turned)


def page(tilt: float) -> list[Box]:
    boxes = [
        box(text, 300.0 * column, 32.0 * row, tilt)
        for row, texts in enumerate(TABLE)
        for column, text in enumerate(texts)
    ]
    random.shuffle(boxes)
    return boxes


@pytest.mark.parametrize("tilt", [-12, -7, -3, 0, 3, 7, 12])
def test_rows_are_rebuilt_on_a_page_that_is_tilted(tilt: float) -> None:
    rebuilt = rebuild_rows(page(tilt))

    assert [[phrase.text for phrase in row] for row in rebuilt] == TABLE


def test_a_box_keeps_the_height_of_its_letters_when_tilted() -> None:
    assert box("TOTAL", 0, 0, 10).phrase.height == pytest.approx(20, rel=0.03)


def test_a_page_without_text_has_no_rows() -> None:
    assert rebuild_rows([]) == []
