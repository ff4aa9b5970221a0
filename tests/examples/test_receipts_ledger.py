"""Each receipt is stored once, whatever its deliveries do."""

import threading
from pathlib import Path

import pytest
from examples.receipts.ledger import Ledger, Outdated, Reading

FIRST = Reading("Corner Grocery", "2026-03-14", "12.30", "GBP", 0.99, False)
OTHER = Reading("Elsewhere", None, None, None, 0.5, True)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.create()
    return ledger


def events(ledger: Ledger) -> list[tuple[int, str]]:
    return [(entry.token, entry.what) for entry in ledger.log()]


def test_a_result_is_stored_and_logged(ledger: Ledger) -> None:
    assert ledger.begin("a", 7) is None
    ledger.store("a", 7, FIRST)

    assert ledger.readings() == {"a": FIRST}
    assert events(ledger) == [(7, "began"), (7, "stored")]


def test_a_later_delivery_takes_over_and_the_earlier_one_is_refused(ledger: Ledger) -> None:
    ledger.begin("a", 7)
    ledger.begin("a", 8)

    with pytest.raises(Outdated):
        ledger.store("a", 7, OTHER)
    ledger.store("a", 8, FIRST)

    assert ledger.readings() == {"a": FIRST}
    assert events(ledger)[2:] == [(7, "refused"), (8, "stored")]


def test_an_earlier_delivery_that_wakes_up_late_is_refused_at_its_start(ledger: Ledger) -> None:
    ledger.begin("a", 8)

    with pytest.raises(Outdated):
        ledger.begin("a", 7)
    ledger.store("a", 8, FIRST)

    assert events(ledger) == [(8, "began"), (7, "refused"), (8, "stored")]


def test_a_result_that_is_there_is_given_to_the_next_delivery_and_not_stored_again(
    ledger: Ledger,
) -> None:
    ledger.begin("a", 7)
    ledger.store("a", 7, FIRST)

    assert ledger.begin("a", 8) == FIRST
    with pytest.raises(Outdated):
        ledger.store("a", 8, OTHER)
    assert ledger.readings() == {"a": FIRST}


def test_a_receipt_that_nobody_began_cannot_be_stored(ledger: Ledger) -> None:
    with pytest.raises(Outdated):
        ledger.store("a", 7, FIRST)

    assert ledger.readings() == {}


def test_of_many_writers_at_once_one_stores(ledger: Ledger) -> None:
    together = threading.Barrier(8)
    refused = []

    def deliver(token: int) -> None:
        together.wait()
        try:
            ledger.begin("a", token)
            ledger.store("a", token, FIRST)
        except Outdated:
            refused.append(token)

    threads = [threading.Thread(target=deliver, args=(token,)) for token in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [what for _, what in events(ledger)].count("stored") == 1
    assert len(refused) == 7
    assert ledger.readings() == {"a": FIRST}
