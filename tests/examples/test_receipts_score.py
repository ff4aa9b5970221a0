"""Which readings of a receipt count as right."""

import pytest
from examples.receipts.score import FIELDS, agree

TRUTH = {"merchant": "Café des Arts", "date": "2025-09-01", "total": "1086.50", "currency": "EUR"}


def test_what_is_equal_is_right() -> None:
    assert agree(TRUTH, TRUTH) == dict.fromkeys(FIELDS, True)


def test_only_letters_count_in_a_name_and_only_the_value_in_a_total() -> None:
    found = {**TRUTH, "merchant": "CAFEDES ARTS", "total": "1086.5"}

    assert all(agree(found, TRUTH).values())


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, "1"])
def test_what_differs_is_wrong(field: str, value: str | None) -> None:
    right = agree({**TRUTH, field: value}, TRUTH)

    assert [name for name in FIELDS if not right[name]] == [field]
