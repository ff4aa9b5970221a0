"""Synchronous enqueues in the calling thread: the same promises, without an event loop."""

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any
from unittest import mock

import hiredis
import pytest
from redis import Redis

from ferryman import Ferryman
from ferryman.client.direct import Direct
from ferryman.domain.errors import (
    JobExists,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnsafe,
)
from ferryman.domain.job import Submitted
from ferryman.settings import Settings
from ferryman.stores import make_direct_store
from ferryman.stores.optional import DirectStore
from ferryman.stores.valkey.calls import command
from ferryman.stores.valkey.direct import DirectLink, stepped
from tests.contract.world import World, new_job
from tests.valkey.line import Line
from tests.valkey.test_trouble import GONE, kill_connections


@pytest.fixture
def direct(settings: Settings) -> Iterator[DirectStore]:
    """An open store that needs no loop."""
    yield from _opened(settings)


def _opened(settings: Settings) -> Iterator[DirectStore]:
    store = make_direct_store(settings)
    assert store is not None
    store.open()
    yield store
    store.close()


@contextlib.contextmanager
def answering(*answers: bytes) -> Iterator[DirectLink]:
    """A link to a server that says these to what it is asked, one after the other, then nothing.

    To greet a connection it says OK; an empty answer is the end of the connection.
    """
    left = list(answers)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        parser = hiredis.Reader()
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                parser.feed(data)
                while (asked := parser.gets()) is not False:
                    said = b"+OK\r\n"
                    if asked[0] == b"ASK":
                        said = left.pop(0) if left else b"|"
                    if not said:
                        return
                    for piece in said.split(b"|"):
                        connection.sendall(piece)
                        time.sleep(0.002)

    threading.Thread(target=serve, daemon=True).start()
    link = DirectLink(f"redis://127.0.0.1:{listener.getsockname()[1]}", timeout=2.0)
    with listener:
        yield link
        stepped(link.close())


def ask(link: DirectLink, *, repeat: bool = False) -> Any:
    """What the server says to `ASK`."""
    return stepped(link.run(command("ASK"), repeat=repeat))


# -- the way that is taken ---------------------------------------------------------------------


def _portals() -> int:
    return sum(thread.name == "ferryman-portal" for thread in threading.enumerate())


def test_one_caller_needs_no_loop(settings: Settings) -> None:
    app = Ferryman(valkey_url=settings.valkey_url, namespace=settings.namespace)
    before = _portals()
    ids = [app.named("work").enqueue(number).id for number in range(5)]
    ids += [job.id for job in app.named("work").enqueue_many([(1,), (2,)])]
    assert _portals() == before
    assert [app.jobs.get(one).id for one in ids] == ids
    app.close()
    app.named("work").enqueue("after the close")
    assert app.jobs.count() == 8
    app.close()


def test_who_comes_while_another_is_at_it_takes_the_portal(settings: Settings) -> None:
    direct = Direct(settings)
    with direct._lock:
        assert direct.submit([new_job("a")]) is None
    assert direct.submit([new_job("a")]) == [Submitted("a", "default", True)]
    direct.close()


def test_threads_that_enqueue_at_once_lose_nothing(settings: Settings) -> None:
    app = Ferryman(valkey_url=settings.valkey_url, namespace=settings.namespace)
    task, begin = app.named("work"), threading.Barrier(8)

    def call() -> None:
        begin.wait()
        for number in range(25):
            task.enqueue(number)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert app.jobs.count() == 200
    app.close()


def test_a_coroutine_that_waits_for_a_loop_is_refused() -> None:
    with pytest.raises(RuntimeError, match="waits for a loop"):
        stepped(asyncio.sleep(0))


# -- what it promises --------------------------------------------------------------------------


async def test_jobs_are_those_of_the_asynchronous_store(direct: DirectStore, world: World) -> None:
    assert direct.submit([new_job("a", unique="key")]) == [Submitted("a", "default", True)]
    assert direct.submit([new_job("a")]) == [Submitted("a", "default", False)]
    with pytest.raises(JobExists):
        direct.submit([new_job("b", unique="key")])
    many = [new_job(f"job-{number}", queue=f"q{number % 3}") for number in range(9)]
    assert [one.job_id for one in direct.submit(many)] == [job.id for job in many]
    assert (await world.job("job-4")).queue == "q1"
    assert await world.claimed_ids() == ["a"]


async def test_a_lost_reply_is_made_good(settings: Settings, line: Line, world: World) -> None:
    given = Settings(valkey_url=line.url, namespace=settings.namespace, store_timeout=2.0)

    def submit() -> list[Submitted]:
        with contextlib.contextmanager(_opened)(given) as direct:
            direct.submit([new_job("first")])
            line.lose_replies = 1
            return direct.submit([new_job("a")])

    assert await asyncio.to_thread(submit) == [Submitted("a", "default", False)]
    assert line.lost == 1
    assert sorted(await world.claimed_ids()) == ["a", "first"]


def test_a_connection_that_was_closed_meanwhile_costs_no_pause(
    direct: DirectStore, server: Redis
) -> None:
    direct.submit([new_job("a")])
    assert kill_connections(server)
    with mock.patch.object(DirectLink, "_pause", side_effect=AssertionError("it was tried twice")):
        assert direct.submit([new_job("b")]) == [Submitted("b", "default", True)]


def test_a_full_server_says_so(direct: DirectStore, server: Redis) -> None:
    direct.submit([new_job("a")])
    server.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreFull):
            direct.submit([new_job("b")])
    finally:
        server.config_set("maxmemory", 0)
    assert direct.submit([new_job("b")]) == [Submitted("b", "default", True)]


def test_an_unsafe_server_is_refused_before_the_first_job(own_server: str) -> None:
    with Redis.from_url(own_server) as server:
        server.config_set("maxmemory-policy", "allkeys-lru")
        app = Ferryman(valkey_url=own_server)
        with pytest.raises(StoreUnsafe):
            app.named("work").enqueue(1)
        server.config_set("maxmemory-policy", "noeviction")
        app.named("work").enqueue(1)
        app.close()


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    app = Ferryman(valkey_url=GONE)
    with pytest.raises(StoreUnavailable) as caught:
        app.named("work").enqueue(1)
    assert "127.0.0.1:1" in str(caught.value)
    assert "secret" not in str(caught.value)


# -- replies -----------------------------------------------------------------------------------


def test_a_reply_in_pieces_is_one_reply() -> None:
    with answering(b"*2\r|\n$5\r\nhel|lo\r\n:4|2\r\n") as link:
        assert ask(link) == [b"hello", 42]


@pytest.mark.parametrize("surplus", [b":9\r\n", b"?nonsense\r\n", b"|:9\r\n"])
def test_a_connection_that_said_more_than_was_asked_is_not_used_again(surplus: bytes) -> None:
    with answering(b":1\r\n" + surplus, b":2\r\n") as link:
        assert ask(link) == 1
        deadline = time.monotonic() + 10
        while link._wire and link._wire.usable:
            assert time.monotonic() < deadline, "the surplus was not seen"
            time.sleep(0.001)
        assert ask(link) == 2


@pytest.mark.parametrize("broken", [b"", b"?nonsense\r\n", b"-LOADING not yet\r\n"])
def test_a_connection_that_breaks_is_made_anew(broken: bytes) -> None:
    with answering(broken, b":2\r\n") as link:
        with pytest.raises(StoreUnavailable):
            ask(link)
        assert ask(link) == 2
    with answering(broken, broken, b":3\r\n") as link:
        assert ask(link, repeat=True) == 3


@pytest.mark.parametrize("repeat", [False, True])
def test_a_silent_server_is_given_up_in_time(repeat: bool) -> None:
    with answering() as link:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            ask(link, repeat=repeat)
        assert 1.9 < time.monotonic() - begun < 10


def test_a_refused_call_leaves_the_connection_in_use() -> None:
    with answering(b"-ERR no\r\n", b":2\r\n") as link:
        with pytest.raises(StoreError, match="ERR no"):
            ask(link)
        wire = link._wire
        assert ask(link) == 2
        assert link._wire is wire


class Interrupted(BaseException):
    """What a signal's handler raises."""


@contextlib.contextmanager
def interrupted_after(seconds: float) -> Iterator[list[bool]]:
    """Raise `Interrupted` in the main thread, as Ctrl-C does, and see that it comes through.

    Gives a list: from the moment that it holds something on, it can happen.
    """
    armed: list[bool] = []
    over = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if armed:
            armed.clear()
            over.set()
            raise Interrupted

    def send() -> None:
        while not over.wait(seconds):
            signal.pthread_kill(main, signal.SIGUSR1)

    main = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, handle)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        with pytest.raises(Interrupted):
            yield armed
    finally:
        over.set()
        sender.join()
        signal.signal(signal.SIGUSR1, before)


def test_an_interrupted_caller_leaves_no_reply_to_the_next() -> None:
    with answering(b":1\r\n") as link:
        assert ask(link) == 1
        with interrupted_after(0.05) as armed:
            armed.append(True)
            ask(link)
        assert link._wire is None


def test_interrupts_at_any_moment_leave_a_client_that_works(settings: Settings) -> None:
    app = Ferryman(valkey_url=settings.valkey_url, namespace=settings.namespace)
    task = app.named("work")
    task.enqueue(0)
    for turn in range(60):
        with interrupted_after(0.0002 + turn * 0.00001) as armed:
            armed.append(True)
            while armed:
                task.enqueue(turn)
        one = task.enqueue("after it")
        assert one.created
        assert app.jobs.get(one.id).id == one.id
    app.close()
