"""What stands on a receipt: shops and words from `shops.toml`, four layouts, and the truth."""

import random
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Words:
    """What a till calls its lines in one language."""

    total: str
    subtotal: str
    tax: str
    cash: str
    change: str
    card: str
    articles: str
    day: str
    thanks: str


@dataclass(frozen=True)
class Shop:
    """One shop, its ways of writing, and what it sells."""

    name: str
    street: str
    registration: str
    language: str
    currency: str
    money: str
    separators: str
    day: str
    layout: str
    tax: int
    prices: list[float]
    goods: list[str]


_DATA = tomllib.loads(Path(__file__).with_name("shops.toml").read_text("utf-8"))
SHOPS = tuple(Shop(**shop) for shop in _DATA["shops"])
WORDS = {language: Words(**words) for language, words in _DATA["words"].items()}


@dataclass(frozen=True)
class Row:
    """A printed row: text at the left, in the middle and at the right, or a rule across."""

    left: str = ""
    right: str = ""
    middle: str = ""
    size: float = 1.0
    weight: int = 400
    inverse: bool = False
    rule: bool = False


RULE = Row(rule=True)
GAP = Row()


@dataclass(frozen=True)
class Truth:
    """What a reader of the picture must find."""

    merchant: str
    date: str
    total: str
    currency: str


@dataclass(frozen=True)
class Purchase:
    """The figures behind one receipt."""

    shop: Shop
    day: date
    hour: str
    items: list[tuple[str, int, Decimal]]
    tax: Decimal
    total: Decimal
    tendered: Decimal | None

    @property
    def words(self) -> Words:
        return WORDS[self.shop.language]

    @property
    def before_tax(self) -> Decimal:
        return self.total - self.tax

    def money(self, amount: Decimal) -> str:
        return self.shop.money.format(self.number(amount))

    def number(self, amount: Decimal) -> str:
        whole, _, cents = f"{amount:,.2f}".partition(".")
        whole = whole.replace(",", self.shop.separators[0])
        decimal = self.shop.separators[1:]  # none where the currency has no cents
        return whole + decimal + cents if decimal else whole


def compose(shop: Shop, chance: random.Random) -> tuple[list[Row], Truth]:
    """The rows of one receipt of this shop, and the truth about it."""
    bought = _buy(shop, chance)
    truth = Truth(shop.name, bought.day.isoformat(), str(bought.total), shop.currency)
    return LAYOUTS[shop.layout](bought), truth


def _buy(shop: Shop, chance: random.Random) -> Purchase:
    unit = Decimal(1) if shop.currency == "JPY" else CENT
    items = []
    for name in chance.sample(shop.goods, chance.randint(3, len(shop.goods))):
        price = Decimal(chance.uniform(*shop.prices)).quantize(unit)
        items.append((name, chance.choice((1, 1, 1, 2, 3)), price))
    total = sum((count * price for _, count, price in items), Decimal(0))
    if shop.language == "us":  # there the tax comes on top of the prices, elsewhere it is in them
        tax = (total * shop.tax / 100).quantize(unit)
        total += tax
    else:
        tax = (total * shop.tax / (100 + shop.tax)).quantize(unit)
    step = 1000 if shop.currency == "JPY" else 50
    tendered = Decimal((int(total) // step + 1) * step) if chance.random() < 0.4 else None
    day = date(2025, 1, 1) + timedelta(days=chance.randrange(600))
    hour = f"{chance.randint(8, 21):02}:{chance.randint(0, 59):02}"
    return Purchase(shop, day, hour, items, tax, total.quantize(CENT), tendered)


def _heading(bought: Purchase, size: float = 1.7, inverse: bool = False) -> list[Row]:
    shop = bought.shop
    name = Row(middle=shop.name, size=size, weight=700, inverse=inverse)
    return [name, Row(middle=shop.street), Row(middle=shop.registration), GAP]


def _payment(bought: Purchase) -> list[Row]:
    words = bought.words
    if bought.tendered is None:
        return [Row(words.card, bought.money(bought.total))]
    change = bought.tendered - bought.total
    return [
        Row(words.cash, bought.money(bought.tendered)),
        Row(words.change, bought.money(change)),
    ]


def _tax(bought: Purchase) -> list[Row]:
    words = bought.words
    return [
        Row(words.subtotal, bought.money(bought.before_tax)),
        Row(f"{words.tax} {bought.shop.tax}%", bought.money(bought.tax)),
    ]


def _till(bought: Purchase) -> list[Row]:
    """The common till roll: one row an item, the tax below the total, in Europe."""
    day = Row(f"{bought.words.day}: {bought.day:{bought.shop.day}}  {bought.hour}")
    items = [
        Row(f"{count} x {name}" if count > 1 else name, bought.number(count * price))
        for name, count, price in bought.items
    ]
    total = Row(bought.words.total, bought.money(bought.total), size=1.25, weight=700)
    ending = [RULE, Row(middle=bought.words.thanks)]
    tax = _tax(bought)
    figures = [*tax, total] if bought.shop.language == "us" else [total, *tax]
    return [*_heading(bought), day, RULE, *items, RULE, *figures, *_payment(bought), *ending]


def _slips(bought: Purchase) -> list[Row]:
    """Two rows an item, a count of the items, the date at the very end."""
    rows = _heading(bought, inverse=True)
    for name, count, price in bought.items:
        rows.append(Row(name))
        rows.append(Row(f"   {count} x {bought.number(price)}", bought.number(count * price)))
    articles = Row(bought.words.articles, str(sum(count for _, count, _ in bought.items)))
    label = f"{bought.words.total} {bought.shop.currency}"
    total = Row(label, bought.number(bought.total), size=1.4, weight=800)
    footer = [
        GAP,
        Row(middle=bought.words.thanks),
        Row(f"{bought.day:{bought.shop.day}}", bought.hour),
    ]
    return [*rows, RULE, articles, *_tax(bought), total, RULE, *_payment(bought), *footer]


def _table(bought: Purchase) -> list[Row]:
    """An invoice: date beside its number, a heavy total, tax figures in the small print."""
    number = f"No. {bought.day:%j}-{int(bought.tax) + 1041}"
    head = Row(number, f"{bought.day:{bought.shop.day}} {bought.hour}")
    items = [
        Row(
            f"{index}  {name}", f"{count} x {bought.number(price)}   {bought.number(count * price)}"
        )
        for index, (name, count, price) in enumerate(bought.items, start=1)
    ]
    total = Row(bought.words.total, bought.money(bought.total), size=1.5, weight=700)
    small = [Row(row.left, row.right, size=0.85) for row in _tax(bought)]
    heading = _heading(bought, size=1.5)
    thanks = Row(middle=bought.words.thanks)
    return [*heading, head, RULE, *items, RULE, *small, total, *_payment(bought), GAP, thanks]


def _slip(bought: Purchase) -> list[Row]:
    """A card slip: labels and values, the amount large, a line about points as a trap."""
    later = bought.day + timedelta(days=400)
    items = [Row(name, bought.money(count * price)) for name, count, price in bought.items]
    tax = _tax(bought) if bought.shop.language == "us" else []
    due = Row("AMOUNT DUE", bought.money(bought.total), size=1.3, weight=700)
    card = Row("Card ending 4417", "APPROVED")
    return [
        Row(middle="CUSTOMER COPY"), *_heading(bought, size=1.9),
        Row(bought.words.day, f"{bought.day:{bought.shop.day}}"), Row("Time", bought.hour), RULE,
        *items, *tax, RULE, due, card, Row("Auth code", "004417"), GAP,
        Row(middle=f"Your points are valid until {later:{bought.shop.day}}", size=0.85),
    ]  # fmt: skip


LAYOUTS: dict[str, Callable[[Purchase], list[Row]]] = {
    "till": _till,
    "slips": _slips,
    "table": _table,
    "slip": _slip,
}
