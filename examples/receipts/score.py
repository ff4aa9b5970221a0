"""How well receipts were read: what was found against the truth that lies beside the pictures."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from examples.receipts.parsing import plain

FIELDS = ("merchant", "date", "total", "currency")


def agree(found: Mapping[str, Any], truth: Mapping[str, Any]) -> dict[str, bool]:
    """For each field, whether it was read right.

    A merchant's accents, capitals and spaces are not looked at; all else has to be equal.
    """
    return {
        "merchant": _letters(found["merchant"]) == _letters(truth["merchant"]),
        "date": str(found["date"]) == truth["date"],
        "total": found["total"] is not None and Decimal(found["total"]) == Decimal(truth["total"]),
        "currency": found["currency"] == truth["currency"],
    }


def _letters(text: str | None) -> str:
    return re.sub(r"\W", "", plain(text or ""))
