"""What the receipts example understands of text, without any picture."""

from datetime import date
from decimal import Decimal

import pytest
from examples.receipts.parsing import SURE, Line, find_amounts, find_currency, find_date, parse
from examples.receipts.rows import Phrase


def rows(*texts: str, score: float = 1.0) -> list[list[Phrase]]:
    """Rows of phrases from lines of text; `|` parts the phrases of a row."""
    return [[Phrase(part.strip(), score) for part in text.split("|")] for text in texts]


def lines(*texts: str) -> list[Line]:
    return [Line.of(row) for row in rows(*texts)]


BRITISH = (
    "Corner Grocery",
    "VAT No GB 123 4567 89",
    "Date: 26/05/2025 14:41",
    "Apples | 36.54",
    "Olive oil | 41.70",
    "TOTAL | £78.24",
    "Cash | £100.00",
    "Change | £21.76",
)


def test_a_plain_receipt_is_understood_in_full() -> None:
    receipt = parse(rows(*BRITISH))

    assert receipt.merchant == "Corner Grocery"
    assert receipt.date == date(2025, 5, 26)
    assert receipt.total == Decimal("78.24")
    assert receipt.currency == "GBP"
    assert not receipt.needs_review


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("£79.15", ["79.15"]),
        ("1.234,56 EUR", ["1234.56"]),
        ("1,234.56", ["1234.56"]),
        ("1 234,56 zł", ["1234.56"]),
        ("CHF 3'068.16", ["3068.16"]),
        ("CHF 3’068.16", ["3068.16"]),
        ("1.234.567,89", ["1234567.89"]),
        ("¥5,667", ["5667"]),
        ("¥980", ["980"]),
        ("¥ 980", ["980"]),
        ("1 x 51,95 51,95", ["51.95", "51.95"]),
        ("12. 50", ["12.50"]),
        ("£.65.96", ["65.96"]),
        ("VAT 20%", []),
        ("7.50%", []),
        ("7.50 %", []),
        ("26/05/2025 14:41", []),
        ("07.08.2025", []),
        ("03.04.25", []),
        ("Card 4417", []),
        ("USt-IdNr. DE 811 223 344", []),
    ],
)
def test_amounts_are_found_however_they_are_written(text: str, amounts: list[str]) -> None:
    assert [str(amount) for amount in find_amounts(text)] == amounts


@pytest.mark.parametrize(
    ("label", "other"),
    [
        ("TOTAL", "Subtotal"),
        ("T0TAL", "Total items"),
        ("AMOUNT DUE", "Total saved"),
        ("SUMME", "Zwischensumme"),
        ("TOTAL TTC", "Total HT"),
        ("TOTALE COMPLESSIVO", "Totale IVA"),
        ("TOTAL A PAGAR", "Total"),
        ("Total incl. VAT", "Total VAT"),
        ("SUMA PLN", "Suma PTU"),
        ("Att betala", "Netto"),
        ("TOTALJPY", "Sub-total"),
    ],
)
def test_the_total_is_told_from_figures_with_a_similar_label(label: str, other: str) -> None:
    above = parse(rows("Shop", f"{other} | 99.99", f"{label} | 12.30", "Card | 12.30"))
    below = parse(rows("Shop", f"{label} | 12.30", f"{other} | 99.99", "Card | 12.30"))

    assert above.total == below.total == Decimal("12.30")


def test_a_figure_alone_in_the_row_below_belongs_to_the_label() -> None:
    assert parse(rows("Shop", "TOTAL", "12.30")).total == Decimal("12.30")
    assert parse(rows("Shop", "TOTAL", "Cash 20.00", "Card 20.00")).needs_review


def test_a_total_without_cents_is_read_where_it_ends_its_row() -> None:
    receipt = parse(rows("Ramen Bar", "Gyoza | ¥980", "TOTAL JPY | 980"))

    assert (receipt.total, receipt.currency) == (Decimal(980), "JPY")


@pytest.mark.parametrize(
    "support",
    [
        ("Card | 12.30",),
        ("Net | 10.25", "VAT | 2.05"),
        ("Cash | 20.00", "Change | 7.70"),
    ],
)
def test_a_total_that_the_receipt_supports_needs_no_review(support: tuple[str, ...]) -> None:
    assert not parse(rows("Shop", "2026-03-14", "TOTAL EUR | 12.30", *support)).needs_review


def test_a_total_that_is_the_sum_of_the_goods_needs_no_review() -> None:
    goods = ("A | 4.10", "B | 5.00", "C | 3.20")

    assert not parse(rows("Shop", "2026-03-14", *goods, "TOTAL EUR | 12.30")).needs_review


@pytest.mark.parametrize(
    "texts",
    [
        ("Shop", "2026-03-14", "A | 4.10", "B | 8.20", "TOTAL EUR | 72.30"),
        ("Shop", "no date", "TOTAL EUR | 12.30", "Card | 12.30"),
        ("Shop", "2026-03-14", "TOTAL | 12.30", "Card | 12.30"),
        ("Shop", "2026-03-14", "12.30 EUR", "Card | 12.30"),
        ("12", "2026-03-14", "TOTAL EUR | 12.30", "99 | 12.30"),
        (),
    ],
    ids=["sum is wrong", "no date", "no currency", "no label", "no name", "nothing at all"],
)
def test_what_is_doubtful_asks_for_a_review(texts: tuple[str, ...]) -> None:
    assert parse(rows(*texts)).needs_review


def test_a_low_score_of_the_total_asks_for_a_review() -> None:
    assert parse(rows(*BRITISH, score=SURE - 0.01)).needs_review
    assert not parse(rows(*BRITISH, score=SURE)).needs_review


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-03-14 20:36", date(2026, 3, 14)),
        ("2026/03/14", date(2026, 3, 14)),
        ("Datum: 14.03.2026", date(2026, 3, 14)),
        ("14.03.26 09:50", date(2026, 3, 14)),
        ("14-03-2026", date(2026, 3, 14)),
        ("14/03/202611:40", date(2026, 3, 14)),
        ("14.03.2616:19", date(2026, 3, 14)),
        ("14 Mar 2026", date(2026, 3, 14)),
        ("13 0ct 2025", date(2025, 10, 13)),
        ("Mar 14, 2026", date(2026, 3, 14)),
        ("14. März 2026", date(2026, 3, 14)),
        ("le 14 août 2026", date(2026, 8, 14)),
        ("99/99/2026", None),
        ("VAT No GB 123 4567 89", None),
        ("Points valid until 14/03/2026", None),
    ],
)
def test_dates_are_found_however_they_are_written(text: str, day: date | None) -> None:
    assert find_date(lines(text)) == day


def test_a_day_and_a_month_that_both_fit_are_told_apart_by_the_country() -> None:
    assert find_date(lines("03/04/2026")) == date(2026, 4, 3)
    assert find_date(lines("03/04/2026"), month_first=True) == date(2026, 3, 4)
    assert find_date(lines("03/25/2026")) == date(2026, 3, 25), "only one reading is a date"
    assert parse(rows("Shop", "03/04/2026", "TOTAL | $1.20")).date == date(2026, 3, 4)


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        (("£1.20", "£3.40"), "GBP"),
        (("€1.20", "£3.40", "£2.20"), "GBP"),
        (("1,20 €",), "EUR"),
        (("CHF 1.20",), "CHF"),
        (("1,20 zł",), "PLN"),
        (("1,20 kr",), "SEK"),
        (("1,20 Kč",), "CZK"),
        (("¥980",), "JPY"),
        (("$1.20",), "USD"),
        (("TOTAL CAD", "$1.20"), "CAD"),
        (("P.IVA 01234567897", "1,20"), "EUR"),
        (("1,20",), None),
    ],
)
def test_the_currency_is_what_most_marks_say(texts: tuple[str, ...], code: str | None) -> None:
    assert find_currency(lines(*texts)) == code


def test_the_merchant_is_the_tallest_name_at_the_top() -> None:
    page = [
        [Phrase("CUSTOMER COPY", height=30)],
        [Phrase("14 High Street")],
        [Phrase("HARBOUR", height=32), Phrase("TAXIS", height=34)],
        [Phrase("Total"), Phrase("1.20")],
    ]

    assert parse(page).merchant == "HARBOUR TAXIS"


def test_where_nothing_stands_out_the_merchant_is_the_first_name() -> None:
    assert parse(rows("*** 0417 ***", "Thank you!", "* Corner Grocery *", "Leeds")).merchant == (
        "Corner Grocery"
    )
