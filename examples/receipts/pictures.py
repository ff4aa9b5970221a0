"""Draw receipts that look photographed, with the truth about them beside the pictures.

    python -m examples.receipts.pictures FOLDER --count 16 --seed 2026

The same seed gives the same bytes. No font is needed but those inside of OpenCV.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from examples.receipts.shops import SHOPS, Row, Truth, compose

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Pixels = np.random.Generator

WIDTH = 620
MARGIN = 36
FONT_SIZE = 22
PAPER = 248
DARK = 25


def _floats(image: Any) -> Floats:
    return np.asarray(image, np.float32)


@dataclass(frozen=True)
class Picture:
    """A drawn receipt; `wear` names what was done to it."""

    name: str
    jpeg: bytes
    truth: Truth
    wear: list[str]


def draw(count: int = 16, seed: int = 2026) -> Iterator[Picture]:
    """`count` receipts, each of another shop until the shops are used up."""
    for number in range(count):
        chance = random.Random(f"{seed}-{number}")
        shop = SHOPS[number % len(SHOPS)]
        rows, truth = compose(shop, chance)
        paper = _print(rows, chance)
        photo, wear = _photograph(paper, chance)
        quality = chance.randint(55, 85)
        _, jpeg = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])
        yield Picture(f"{number:02}.jpg", jpeg.tobytes(), truth, [*wear, f"jpeg {quality}"])


def save(folder: Path, count: int = 16, seed: int = 2026) -> dict[str, dict[str, Any]]:
    """Draw into `folder`; returns what `truth.json` holds: the truth by the picture's name."""
    folder.mkdir(parents=True, exist_ok=True)
    truths = {}
    for picture in draw(count, seed):
        (folder / picture.name).write_bytes(picture.jpeg)
        truths[picture.name] = {**asdict(picture.truth), "wear": picture.wear}
    (folder / "truth.json").write_text(json.dumps(truths, indent=1, ensure_ascii=False))
    return truths


# -- printing ------------------------------------------------------------------------------


class _Printer:
    """A till's printer: one face, proportional or with every letter in a cell of equal width."""

    def __init__(self, face: str, grid: float | None) -> None:
        self._face = cv2.FontFace(face)
        self._grid = grid

    def width(self, text: str, size: int, weight: int) -> int:
        if self._grid:
            return len(text) * round(size * self._grid)
        left, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), self._face, size, weight)
        return int(left + width)

    def ink(self, text: str, size: int, weight: int) -> Floats:
        """Where ink falls, from 0 to 1; the base line is at three quarters of the height."""
        if self._grid is None:
            return self._drawn(text, size, weight)
        return np.hstack([self._cell(letter, size, weight, self._grid) for letter in text])

    def _drawn(self, text: str, size: int, weight: int) -> Floats:
        left, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), self._face, size, weight)
        canvas = np.zeros((2 * size, left + width, 3), np.uint8)
        cv2.putText(canvas, text, (0, size * 3 // 2), (255,) * 3, self._face, size, weight)
        return np.asarray(canvas[:, :, 0], np.float32) / np.float32(255)

    def _cell(self, letter: str, size: int, weight: int, grid: float) -> Floats:
        cell = round(size * grid)
        if letter == " ":
            return np.zeros((2 * size, cell), np.float32)
        drawn = self._drawn(letter, size, weight)
        room = cell - drawn.shape[1]
        if room < 0:
            return _floats(cv2.resize(drawn, (cell, 2 * size), interpolation=cv2.INTER_AREA))
        return np.pad(drawn, ((0, 0), (room // 2, room - room // 2)))


def _print(rows: list[Row], chance: random.Random) -> Image:
    face = chance.choice(("sans", "uni"))
    printer = _Printer(face, chance.choice((None, 0.6, 0.66)))
    height = 2 * MARGIN + sum(_height(row) for row in rows)
    paper: Image = np.full((height, WIDTH, 3), PAPER, np.uint8)
    top = MARGIN
    for row in rows:
        _print_row(printer, paper, row, top)
        top += _height(row)
    return paper


def _height(row: Row) -> int:
    return round(FONT_SIZE * row.size * 1.55)


def _print_row(printer: _Printer, paper: Image, row: Row, top: int) -> None:
    bottom = top + _height(row)
    if row.inverse:
        cv2.rectangle(paper, (MARGIN // 2, top), (WIDTH - MARGIN // 2, bottom), (DARK,) * 3, -1)
    if row.rule:
        for x in range(MARGIN, WIDTH - MARGIN, 14):
            cv2.line(paper, (x, (top + bottom) // 2), (x + 8, (top + bottom) // 2), (60, 60, 60), 2)
    size = _fitting(printer, row)
    right = WIDTH - MARGIN - printer.width(row.right, size, row.weight)
    middle = (WIDTH - printer.width(row.middle, size, row.weight)) // 2
    line = bottom - round(FONT_SIZE * row.size * 0.45)
    for text, x in ((row.left, MARGIN), (row.right, right), (row.middle, middle)):
        if text:
            ink = printer.ink(text, size, row.weight)[:, :, None]
            place = paper[line - size * 3 // 2 : line + size - size // 2, x : x + ink.shape[1]]
            place[:] = place * (1 - ink) + (DARK if not row.inverse else 255) * ink


def _fitting(printer: _Printer, row: Row) -> int:
    """The row's font size, smaller where it would not fit between the margins."""
    size = round(FONT_SIZE * row.size)
    text = "  ".join(filter(None, (row.left, row.middle, row.right)))
    while printer.width(text, size, row.weight) > WIDTH - 2 * MARGIN:
        size -= 1
    return size


# -- photographing -------------------------------------------------------------------------


def _photograph(paper: Image, chance: random.Random) -> tuple[Image, list[str]]:
    """The paper with some wear, on a table, seen by a phone that is not held straight."""
    pixels = np.random.default_rng(chance.getrandbits(32))
    image = paper.astype(np.float32)
    wear = []
    for effect in chance.sample(WEAR, 3):
        image = effect(image, chance, pixels)
        wear.append(effect.__name__.strip("_"))
    image, view = _view(image, chance, pixels)
    image = _light(image, chance)
    image += pixels.normal(0, chance.uniform(2, 9), image.shape).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8), [*wear, *view]


def _faded(image: Floats, chance: random.Random, pixels: Pixels) -> Floats:
    """Old thermal paper: the ink is pale, and paler in bands across."""
    bands = pixels.uniform(0.45, 1.0, image.shape[0] // 90 + 2).astype(np.float32)
    strength = cv2.resize(bands[:, None], (1, image.shape[0]), interpolation=cv2.INTER_CUBIC)
    strength = np.clip(strength, 0.4, 1.0) * chance.uniform(0.6, 0.9)
    return _floats(PAPER - (PAPER - image) * strength[:, :, None])


def _dotted(image: Floats, _chance: random.Random, _pixels: Pixels) -> Floats:
    """A worn print head: some of its columns print nothing."""
    image = image.copy()
    image[:, 40::97] = PAPER
    image[::3] = np.minimum(PAPER, image[::3] + 28)
    return image


def _stained(image: Floats, chance: random.Random, _pixels: Pixels) -> Floats:
    """The ring of a coffee cup."""
    stain = np.zeros(image.shape, np.float32)
    centre = chance.randrange(image.shape[1]), chance.randrange(image.shape[0])
    cv2.circle(stain, centre, chance.randint(90, 150), (70, 45, 25), 12)
    return _floats(image - cv2.GaussianBlur(stain, (0, 0), 5))


def _creased(image: Floats, chance: random.Random, _pixels: Pixels) -> Floats:
    """Folded once: one half lies darker, with a line between."""
    fold = round(image.shape[0] * chance.uniform(0.3, 0.7))
    shade = np.ones((image.shape[0], 1, 1), np.float32)
    shade[fold:] = 0.86
    shade[fold - 2 : fold + 2] = 0.72
    return _floats(image * shade)


def _wavy(image: Floats, chance: random.Random, _pixels: Pixels) -> Floats:
    """Paper that keeps the curl of its roll."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    lift = chance.uniform(3, 7) * np.sin(x / width * np.pi * chance.uniform(0.8, 1.6))
    y = _floats(y + lift)
    return _floats(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _blurred(image: Floats, chance: random.Random, _pixels: Pixels) -> Floats:
    """Out of focus."""
    return _floats(cv2.GaussianBlur(image, (0, 0), chance.uniform(0.9, 1.5)))


def _shaken(image: Floats, chance: random.Random, _pixels: Pixels) -> Floats:
    """The hand moved sideways."""
    length = chance.randint(3, 5)
    return _floats(cv2.filter2D(image, -1, np.full((1, length), 1 / length)))


WEAR: list[Callable[[Floats, random.Random, Pixels], Floats]] = [
    _faded,
    _dotted,
    _stained,
    _creased,
    _wavy,
    _blurred,
    _shaken,
]


def _view(image: Floats, chance: random.Random, pixels: Pixels) -> tuple[Floats, list[str]]:
    """On a table, tilted, and seen from the side: one projection does it all."""
    height, width = image.shape[:2]
    tilt, slant = chance.uniform(-7, 7), chance.uniform(0.0, 0.05)
    size = round(width * 1.25), round(height * 1.12)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), tilt, 0.95)
    moved = corners @ turn[:, :2].T + turn[:, 2]
    moved += (size[0] / 2 - width / 2, size[1] / 2 - height / 2)
    moved += pixels.uniform(-slant, slant, (4, 2)) * width
    table = np.array((-12, 0, 15)) * chance.uniform(0, 1.5) + chance.uniform(60, 140)
    projection = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    seen = cv2.warpPerspective(image, projection, size, borderValue=table.tolist())
    return _floats(seen), [f"tilt {tilt:+.1f}°", f"slant {slant:.0%}"]


def _light(image: Floats, chance: random.Random) -> Floats:
    """A lamp at one side: bright there, dim at the other."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    direction, depth = chance.uniform(0, 2 * np.pi), chance.uniform(0.08, 0.3)
    light = 1 - depth / 2 + depth / 2 * (x * np.cos(direction) + y * np.sin(direction))
    return _floats(image * light[:, :, None])


def main() -> None:
    """Draw from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--seed", type=int, default=2026)
    given = parser.parse_args()
    truths = save(given.folder, given.count, given.seed)
    print(f"{len(truths)} receipts in {given.folder}, the truth in truth.json")


if __name__ == "__main__":
    main()
