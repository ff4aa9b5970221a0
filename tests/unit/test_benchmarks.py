"""The benchmarks' own arithmetic, with planted faults, and their counter with real workers."""

import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from benchmarks import bars, figures, plot, report, systems, workloads
from benchmarks.bodies import arguments
from benchmarks.environments import REQUIREMENTS
from benchmarks.ground import Ground
from benchmarks.ledger import Ledger, waiting
from benchmarks.peers.base import Work
from benchmarks.proxy import proxied
from benchmarks.readings import Readings, joined, paired
from benchmarks.stand import stand

SECOND = 1_000_000_000


def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(tmp_path / "ledger", 100)


def run(book: Ledger, number: int) -> None:
    book.begin(number)
    book.end(number)


# -- the counter -----------------------------------------------------------------------------------


def test_jobs_that_were_done_are_counted_once_each(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    for number in (3, 4, 5):
        run(book, number)
    spans = book.read(range(3, 6))
    assert (spans.done, spans.duplicates) == (3, 0)


def test_a_job_that_ran_twice_is_one_job_and_a_duplicate(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    for number in (1, 2, 2, 2):
        run(book, number)
    assert (book.read(range(4)).done, book.read(range(4)).duplicates) == (2, 2)


def test_the_first_run_of_a_job_gives_its_moments(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    run(book, 7)
    first = book.read(range(7, 8))
    run(book, 7)
    again = book.read(range(7, 8))
    assert (again.began, again.ended) == (first.began, first.ended)


def test_a_job_that_began_and_did_not_end_is_not_done(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    book.begin(1)
    assert book.read(range(3)).done == 0
    assert book.began(1)


def test_processes_share_a_ledger(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    run(Ledger(tmp_path / "ledger"), 9)
    assert book.is_done(9)


def test_waiting_ends_with_the_last_job_and_not_before(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    looks = waiting(book, range(10, 14))
    assert next(looks) == 4
    run(book, 13)  # a later one does not hide that an earlier one is missing
    run(book, 10)
    assert next(looks) == 3
    run(book, 11)
    run(book, 12)
    assert next(looks) == 0
    assert list(looks) == []


def test_workers_of_a_real_system_are_counted_and_so_is_a_job_that_it_runs_twice() -> None:
    system = systems.ALL["ferryman-sqlite"]
    with Ground(system) as ground, stand(ground, system) as one:
        numbers, told = one.order("bulk", "noop_async", 20)
        one._ask("bulk", task="noop_async", first=5, most=1)  # the planted fault
        with one.working(Work()):
            assert one.until_done(numbers) == 0
            deadline = time.monotonic() + 60
            while one.ledger.read(numbers).runs < 21 and time.monotonic() < deadline:
                time.sleep(0.01)
        spans = one.read(numbers)
    assert told["jobs"] == 20
    assert (spans.done, spans.duplicates) == (20, 1)


# -- figures ---------------------------------------------------------------------------------------


def test_a_spread_is_the_median_and_both_ends() -> None:
    assert figures.spread([9.0, 1.0, 2.0]) == (2.0, 1.0, 9.0, 3)
    assert figures.spread([4.0, 1.0]).median == 2.5


@pytest.mark.parametrize(
    ("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.001, 1)]
)
def test_a_percentile_is_a_value_that_was_met(share: float, value: int) -> None:
    assert figures.percentile(list(range(100, 0, -1)), share) == value


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert figures.percentile([3.0], 0.99) == 3.0


def test_the_rate_is_that_of_the_middle() -> None:
    steady = [number * SECOND // 100 for number in range(1000)]
    rate, seconds = figures.middle(steady)
    assert rate == pytest.approx(100)
    assert seconds == pytest.approx(7.99)


def test_a_slow_start_and_a_slow_end_are_not_in_the_rate() -> None:
    moments = [number * SECOND // 100 for number in range(1000)]
    spoilt = [moments[0] - 60 * SECOND, *moments[1:-1], moments[-1] + 60 * SECOND]
    assert figures.middle(spoilt) == figures.middle(moments)
    stalled = [at + (at > 5 * SECOND) * 60 * SECOND for at in moments]  # in the middle: it counts
    assert figures.middle(stalled)[0] < 20


def test_too_many_jobs_at_a_time_are_noticed() -> None:
    one_after_the_other = ([0, 10, 20], [10, 20, 30])
    assert figures.overlap(*one_after_the_other) == 1
    assert figures.overlap([0, 9, 20], [10, 20, 30]) == 2


def test_a_share_is_of_the_time_from_the_first_begin_to_the_last_end() -> None:
    assert figures.share(1.0, [0, SECOND], [SECOND, 2 * SECOND]) == 0.5


# -- readings, bars, the page ----------------------------------------------------------------------


def readings(values: dict[tuple[str, str], list[float]], **detail: Any) -> Readings:
    entries = [
        {"system": system, "measure": measure, "round": number, "value": value, "detail": detail}
        for (system, measure), series in values.items()
        for number, value in enumerate(series, 1)
    ]
    settings = dict.fromkeys({system for system, _ in values}, "as it comes")
    machine = {"cores": "2"}
    noise = [{"round": 1, "wall_ms": 20.0, "cpu_ms": 20.0}]
    facts = {"at": "today", "machine": machine, "noise": noise, "settings": settings}
    return Readings({**facts, "readings": entries, "failures": []})


def test_ratios_are_those_of_the_same_round() -> None:
    # The machine was half as fast in the second round: no reason for another ratio.
    assert paired({1: 10.0, 2: 5.0, 3: 9.0}, {1: 2.0, 2: 1.0}) == (5.0, 5.0, 5.0, 2)
    assert paired({1: 10.0}, {2: 2.0}) is None


def test_runs_are_joined_and_their_rounds_stay_apart() -> None:
    def content(own: float, peers: float) -> dict[str, Any]:
        values = {("ferryman-valkey", "drain.async.1"): [own], ("saq", "drain.async.1"): [peers]}
        return readings(values).content

    whole = Readings(joined([content(10.0, 1.0), content(2.0, 0.5), content(9.0, 3.0)]))
    assert whole.values("saq", "drain") == {1: 1.0, 2: 0.5, 3: 3.0}
    assert whole.ratio("ferryman-valkey", "saq", "drain") == (4.0, 3.0, 10.0, 3)


def test_what_takes_long_is_run_once_but_for_what_is_demanded() -> None:
    own, peer = systems.ALL["ferryman-valkey"], systems.ALL["huey"]
    assert all(workloads.due(name, peer, 1) for name in workloads.ALL)
    assert [name for name in workloads.ALL if workloads.due(name, peer, 2)] == [
        "drain", "enqueue", "pickup", "naps",
    ]  # fmt: skip
    assert workloads.due("distance", own, 5)
    assert not workloads.due("backlog", own, 5)


def verdict(*own: float, **others: float) -> bars.Verdict:
    values = {("ferryman-valkey", "drain.async.1"): list(own)}
    values |= {(name, "drain.sync.1"): [value] * len(own) for name, value in others.items()}
    (found,) = bars.judged(readings(values))
    return found


def test_the_best_peer_is_the_one_that_counts() -> None:
    found = verdict(1000.0, 1000.0, 1000.0, huey=100.0, saq=300.0, pgqueuer=900.0)
    assert found.peer == "saq"  # not PgQueuer, which needs no Redis
    assert found.found.median == pytest.approx(3.333, rel=1e-3)


@pytest.mark.parametrize(("rate", "word"), [(499, "missed"), (500, "bar"), (1000, "aim")])
def test_a_bar_is_reached_from_its_own_value_on(rate: float, word: str) -> None:
    assert verdict(rate, huey=100.0).word == word


def test_a_bar_for_which_less_is_better_is_the_other_way_round() -> None:
    def word(own: float) -> str:
        values = {
            ("ferryman-valkey", "pickup.idle.p50"): [own],
            ("huey", "pickup.idle.p50"): [1.0],
            ("dramatiq", "pickup.idle.p50"): [9.0],
        }
        (found,) = bars.judged(readings(values))
        assert found.peer == "huey"
        return found.word

    assert [word(own) for own in (0.7, 1.0, 1.01)] == ["aim", "bar", "missed"]


def test_the_better_kind_of_functions_stands_for_a_system() -> None:
    values = {("saq", "drain.async.1"): [5.0, 7.0, 6.0], ("saq", "drain.sync.1"): [50.0, 1.0, 1.0]}
    found = readings(values).spread("saq", "drain")
    assert found is not None
    assert found.median == 6.0


def test_a_page_has_every_system_and_says_what_was_not_done() -> None:
    values = {("saq", "drain.async.1"): [5.0, 7.0], ("huey", "drain.sync.1"): [4.0]}
    text = report.page(readings(values, missing=0, duplicates=3))
    assert "| saq | 6 (5–7) |" in text
    assert "saq: 6 jobs run more than once, in 2 measurements" in text
    assert "not done" not in text
    assert "saq: 8 jobs not done" in report.page(readings(values, missing=4, duplicates=0))
    assert "Every job was done" not in text
    assert "Every job was done" in report.page(readings(values, missing=0, duplicates=0))
    assert f"| huey | {report.version('huey')} |" in text


def test_figures_replace_those_of_an_earlier_run() -> None:
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.put_into(text, "new\n") == (
        f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    )
    with pytest.raises(ValueError, match="needs two lines"):
        report.put_into("no marks", "new")


def test_a_picture_has_a_bar_for_each_system() -> None:
    values = {("saq", "drain.async.1"): [5.0, 7.0], ("huey", "drain.sync.1"): [4.0]}
    picture = plot.svg(readings(values))
    assert picture.count("<g>") == 2
    assert "huey" in picture


def test_every_system_has_its_file_and_pinned_requirements() -> None:
    for system in systems.ALL.values():
        assert (Path(report.__file__).parent / "peers" / f"{system.peer}.py").exists()
        assert report.version(system.name)
    pins = [line for file in REQUIREMENTS.iterdir() for line in file.read_text().split()]
    assert [pin for pin in pins if "==" not in pin] == []


def test_arguments_are_those_of_a_receipt() -> None:
    assert arguments(17) == (17, "receipts/abc.jpg", 1)


# -- distance --------------------------------------------------------------------------------------


def test_a_proxy_holds_back_what_goes_through_it_each_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_echo, args=(listener,), daemon=True).start()
        with (
            proxied("127.0.0.1", listener.getsockname()[1], 0.02) as port,
            socket.create_connection(("127.0.0.1", port)) as client,
        ):
            client.settimeout(30)
            began = time.monotonic()
            client.sendall(b"hello")
            assert client.recv(5, socket.MSG_WAITALL) == b"hello"
            assert time.monotonic() - began >= 0.0399
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""  # the end goes through, too


def _echo(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        while data := connection.recv(100):
            connection.sendall(data)
