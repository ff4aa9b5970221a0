"""The drawn receipts, and what a real OCR engine reads from them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from examples.receipts.parsing import parse
from examples.receipts.score import agree


def _installed(module: str) -> Any:
    """The module; these tests are skipped where the example's requirements are not installed."""
    why = "needs examples/receipts/requirements.lock: `make demo` installs it"
    return pytest.importorskip(module, reason=why, exc_type=ImportError)


cv2, numpy = _installed("cv2"), _installed("numpy")
pictures = _installed("examples.receipts.pictures")
reading = _installed("examples.receipts.reading")


def test_a_seed_always_draws_the_same_pictures() -> None:
    first, again, other = (list(pictures.draw(2, seed)) for seed in (5, 5, 6))

    assert first == again
    assert first[0].jpeg != other[0].jpeg


def test_truth_and_pictures_are_saved_side_by_side(tmp_path: Path) -> None:
    truths = pictures.save(tmp_path / "new", count=3)

    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [*truths, "truth.json"]
    assert len({truth["merchant"] for truth in truths.values()}) == 3


def test_the_pictures_differ_in_layout_and_currency() -> None:
    drawn = list(pictures.draw(16))

    assert len({picture.truth.currency for picture in drawn}) >= 6
    assert len({word for picture in drawn for word in picture.wear if word.isalpha()}) >= 5


def test_what_was_drawn_is_read() -> None:
    engine = reading.load_engine()
    for picture in pictures.draw(2, seed=12):
        receipt = parse(reading.read_rows(engine, picture.jpeg))
        assert all(agree(asdict(receipt), asdict(picture.truth)).values()), receipt

    _, blank = cv2.imencode(".png", numpy.full((300, 300, 3), 255, numpy.uint8))
    assert reading.read_rows(engine, blank.tobytes()) == []


@pytest.mark.parametrize("data", [b"", b"this is not a picture", b"\xff\xd8\xff\xe0 cut short"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(reading.NotAPicture, match=f"{len(data)} bytes"):
        reading.read_rows(None, data)
