"""From rows of text to a receipt: merchant, date, total and currency, by general rules.

No shop is known here. A total is believed for its label ("TOTAL", "Zu zahlen", "AMOUNT DUE"), and
then tested against the receipt's own arithmetic: net and tax add up to it, or the goods do, or it
is printed once more as paid.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import combinations, takewhile
from statistics import median

from examples.receipts.rows import Phrase

SURE = 0.85
"""Where the engine's score (0 to 1) for the total is below this, a human should look."""


@dataclass(frozen=True)
class Line:
    """A row of phrases as one text; `plain` is made for comparisons."""

    text: str
    plain: str
    height: float
    amounts: tuple[tuple[Decimal, float], ...]

    @classmethod
    def of(cls, row: Sequence[Phrase]) -> "Line":
        text = " ".join(phrase.text.strip() for phrase in row)
        amounts = [(value, phrase.score) for phrase in row for value in find_amounts(phrase.text)]
        return cls(text, plain(text), max(phrase.height for phrase in row), tuple(amounts))


@dataclass(frozen=True)
class Receipt:
    """What was understood; `None` is: not found. `score` is the engine's for the total."""

    merchant: str | None
    date: date | None
    total: Decimal | None
    currency: str | None
    score: float
    needs_review: bool


def parse(rows: Sequence[Sequence[Phrase]]) -> Receipt:
    """The receipt that these rows make.

    `needs_review` is set where something was not found, where the engine is not sure of the total,
    and where no other figure on the receipt supports it.
    """
    lines = [Line.of(row) for row in rows if row]
    merchant = find_merchant(lines)
    currency = find_currency(lines)
    day = find_date(lines, month_first=currency == "USD")
    found = find_total(lines)
    if found is None:
        return Receipt(merchant, day, None, currency, 0.0, needs_review=True)
    sure = found.supported and found.score >= SURE and None not in (merchant, currency, day)
    return Receipt(merchant, day, found.amount, currency, found.score, needs_review=not sure)


def plain(text: str) -> str:
    """Lower case without accents: `Rückgeld` and `RUCKGELD` become the same."""
    spread = unicodedata.normalize("NFKD", text.casefold().replace("ł", "l"))
    return "".join(letter for letter in spread if not unicodedata.combining(letter))


# -- amounts -------------------------------------------------------------------------------

# 1.234,56 · 1,234.56 · 1 234,56 · 1'234.50 · 12,50 · ¥1,234 · ¥980, but no part of a date, a time,
# a percentage or a longer number.
_AMOUNT = re.compile(
    r"""(?<!\d) (?<!\d[.,:/-])
    (   \d{1,3} (?P<group>[.,'’]) \d{3} (?:(?P=group)\d{3})* (?:[.,]\d{2})?
      | \d{1,3} (?:[ ]\d{3})+ [.,]\d{2}
      | \d+ [.,]\d{2}
      | (?<=¥) \d+
    ) (?! [.,:/-]? \d | [ ]?% )""",
    re.VERBOSE,
)


def find_amounts(text: str) -> Iterator[Decimal]:
    """Amounts of money in a text, whichever way its country writes them."""
    tight = re.sub(r"(?<=[.,]) (?=\d\d\b)|(?<=¥)\s", "", text.replace("￥", "¥"))
    for match in _AMOUNT.finditer(tight):
        digits = Decimal(re.sub(r"\D", "", match[1]))
        yield digits.scaleb(-2) if re.search(r"[.,]\d\d$", match[1]) else digits


# -- total ---------------------------------------------------------------------------------

_PAYABLE = re.compile(
    r"(amount|total|balance) due|to pay|grand total|total ttc|a payer|a pagar|complessivo"
    r"|zu zahlen|gesamtbetrag|endbetrag|te betalen|att betala|at betale|do zaplaty|k uhrade"
)
_TOTAL = re.compile(r"\b(tota|summe|summa|suma|razem|celkem|gesamt)")
_NOT_TOTAL = re.compile(
    r"sub|zwischen|mezi|\bht\b|\bnet|items|articles|artikel|sold|sav(ed|ings)|discount|rabatt|points"
)
_TAX = re.compile(r"\b(tax|vat|gst|mwst|ust|tva|iva|btw|moms|mva|dph|ptu)\b")
_INCLUDED = re.compile(r"\b(incl|inkl|inc|ttc)")


@dataclass(frozen=True, order=True)
class Total:
    """A candidate; they compare by label, then by support, then by size."""

    label: int
    supported: bool
    amount: Decimal
    score: float


def find_total(lines: Sequence[Line]) -> Total | None:
    """The total, by its label; without any label the largest amount, which is only a guess."""
    candidates = []
    for place, line in enumerate(lines):
        label = _label(line.plain)
        figure = _figure(lines, place) if label else (line.amounts or [None])[-1]
        if figure:
            amount, score = figure
            candidates.append(Total(label, _supported(amount, lines, place), amount, score))
    labelled = [candidate for candidate in candidates if candidate.label]
    if labelled or not candidates:
        return max(labelled, default=None)
    guess = max(candidates, key=lambda candidate: candidate.amount)
    return Total(0, False, guess.amount, guess.score)


def _label(text: str) -> int:
    """2: this is what was to pay; 1: a total of some kind; 0: neither."""
    words = re.sub(r"(?<=[a-z])0|0(?=[a-z])", "o", text)
    if _NOT_TOTAL.search(words) or (_TAX.search(words) and not _INCLUDED.search(words)):
        return 0
    return 2 if _PAYABLE.search(words) else 1 if _TOTAL.search(words) else 0


def _figure(lines: Sequence[Line], place: int) -> tuple[Decimal, float] | None:
    """The figure that belongs to a label: in its row, or alone in the row below."""
    line = lines[place]
    if line.amounts:
        return line.amounts[-1]
    if whole := re.findall(r"(?<![\d.,])\d+$", line.text):
        return Decimal(whole[0]), SURE  # no cents: a currency without them
    below = lines[place + 1] if place + 1 < len(lines) else None
    if below and below.amounts and not re.search(r"[a-z]{4}", below.plain):
        return below.amounts[-1]
    return None


def _supported(amount: Decimal, lines: Sequence[Line], place: int) -> bool:
    """Whether the rest of the receipt agrees: paid again, net + tax, cash - change, the goods."""
    others = [line.amounts[-1][0] for line in lines if line.amounts and line is not lines[place]]
    if amount in others or any(amount in (a + b, abs(a - b)) for a, b in combinations(others, 2)):
        return True
    above = [line.amounts[-1][0] for line in lines[:place] if line.amounts]
    return any(sum(above[start:]) == amount for start in range(len(above)))


# -- currency ------------------------------------------------------------------------------

_SIGNS = {
    r"£": "GBP",
    r"€|\beuro\b": "EUR",
    r"\$": "USD",
    r"¥|￥": "JPY",
    r"\d\s*zl\b": "PLN",
    r"\d\s*kr\b": "SEK",
    r"\d\s*kc\b": "CZK",
}
_CODES = re.compile(r"\b(GBP|EUR|USD|CHF|PLN|SEK|NOK|DKK|CZK|HUF|JPY|CAD|AUD)\b")
_COUNTRIES = {
    r"\bvat no\.? ?gb\b": "GBP",
    r"\bche-\d{3}": "CHF",
    r"\bnip\b": "PLN",
    r"\bdic cz": "CZK",
    r"\bp\.? ?iva\b|\btva fr\b|\bust-?idnr\.? de\b|\bbtw nl\b|\bnif\b": "EUR",
}


def find_currency(lines: Sequence[Line]) -> str | None:
    """The ISO code with the most votes: codes printed, signs beside amounts, tax numbers."""
    votes: Counter[str] = Counter()
    for line in lines:
        votes.update(_CODES.findall(line.text) * 3)
        for pattern, code in _SIGNS.items():
            votes[code] += 2 * bool(re.search(pattern, line.plain))
        for pattern, code in _COUNTRIES.items():
            votes[code] += bool(re.search(pattern, line.plain))
    best = votes.most_common(1)
    return best[0][0] if best and best[0][1] else None


# -- date ----------------------------------------------------------------------------------

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan sty led", "feb fev lut uno", "mar mrt bre", "apr avr kwi dub",
            "may mai maj mag mei", "jun juin cze giu", "jul juil lip lug", "aug aou ago sie srp",
            "sep set wrz zar", "oct okt ott paz rij", "nov lis", "dec dez dic gru pro",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_ISO = re.compile(r"(?<!\d)(20\d\d)[-/.](\d\d?)[-/.](\d\d?)(?!\d)")
_FIGURES = re.compile(
    r"(?<!\d)(\d\d?)[-/.] ?(\d\d?)[-/.] ?(20\d\d(?=\D|$|\d\d:)|\d\d(?=\D|$|\d\d:))"
)
_DAY_FIRST = re.compile(r"(?<!\d)(\d\d?)\.? ?([a-z0][a-z]{2,9})\.?,? ?(20\d\d)")
_MONTH_FIRST = re.compile(r"\b([a-z0][a-z]{2,9})\.? ?(\d\d?)[.,]? ?(20\d\d)")
_LATER = re.compile(r"valid|until|expir|best before|gultig|valable|scad|return by")


def find_date(lines: Sequence[Line], *, month_first: bool = False) -> date | None:
    """The first date that is not one of validity. `month_first` decides where both fit."""
    for line in lines:
        if not _LATER.search(line.plain):
            for day in _dates(line.plain, month_first):
                return day
    return None


def _dates(text: str, month_first: bool) -> Iterator[date]:
    for year, month, day in _readings(text, month_first):
        try:
            yield date(year if year > 99 else 2000 + year, month, day)
        except ValueError:
            continue


def _readings(text: str, month_first: bool) -> Iterator[tuple[int, int, int]]:
    """Years, months and days as they may be meant, the likelier reading first."""
    if match := _ISO.search(text):
        yield int(match[1]), int(match[2]), int(match[3])
    if match := _FIGURES.search(text):
        one, two, year = int(match[1]), int(match[2]), int(match[3])
        yield (year, one, two) if month_first else (year, two, one)
        yield (year, two, one) if month_first else (year, one, two)
    if match := _DAY_FIRST.search(text):
        yield int(match[3]), _month(match[2]), int(match[1])
    if match := _MONTH_FIRST.search(text):
        yield int(match[3]), _month(match[1]), int(match[2])


def _month(name: str) -> int:
    name = name.replace("0", "o")
    return _MONTHS.get(name[:4]) or _MONTHS.get(name[:3], 0)


# -- merchant ------------------------------------------------------------------------------

_GREETING = re.compile(
    r"welcome|thank|customer copy|duplicate|receipt|invoice|kassenbon|rechnung|facture|kvitto"
)


def find_merchant(lines: Sequence[Line]) -> str | None:
    """The name at the top: the tallest text before the figures begin, or else the first one."""
    head = takewhile(lambda line: not line.amounts, lines[:6])
    names = [
        line
        for line in head
        if len(re.findall(r"[^\W\d_]", line.text)) >= 3 and not _GREETING.search(line.plain)
    ]
    if not names:
        return None
    tallest = max(names, key=lambda line: line.height)
    stands_out = tallest.height > 1.2 * median(line.height for line in lines)
    return (tallest if stands_out else names[0]).text.strip(" *-=.:~")
