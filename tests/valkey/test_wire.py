"""Replies as a server may send them: in pieces, too many, none, or nonsense."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import hiredis
import pytest

from ferryman.domain.errors import StoreError, StoreFull, StoreUnavailable
from ferryman.stores.valkey.calls import command
from ferryman.stores.valkey.connection import Link

Answers = dict[bytes, list[bytes]]


@contextlib.asynccontextmanager
async def answering(answers: Answers) -> AsyncIterator[tuple[Link, Callable[[], int]]]:
    """A link to a server that says these pieces to a command, or OK; an empty one is its end."""
    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        parser = hiredis.Reader()
        with contextlib.closing(writer):
            while data := await reader.read(65536):
                parser.feed(data)
                while (asked := parser.gets()) is not False:
                    for piece in answers.get(asked[0], [b"+OK\r\n"]):
                        if not piece:
                            return
                        writer.write(piece)
                        await asyncio.sleep(0.001)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    link = Link(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=2)
    async with server:
        yield link, lambda: len(serving)
        await link.close()
        await asyncio.gather(*filter(None, serving))


async def test_a_reply_in_pieces_is_one_reply() -> None:
    pieces = [b"*2\r", b"\n$5\r\nhel", b"lo\r\n:4", b"2\r\n"]
    async with answering({b"ASK": pieces}) as (link, _):
        assert await link.run(command("ASK")) == [b"hello", 42]


async def test_replies_to_calls_of_one_trip_come_in_their_order() -> None:
    answers = {b"ONE": [b":1\r\n"], b"TWO": [b":", b"2\r\n"], b"NONE": [b"$-1\r\n"]}
    async with answering(answers) as (link, connections):
        assert await link.run_all([command("ONE"), command("NONE"), command("TWO")]) == [1, None, 2]
        assert connections() == 1


@pytest.mark.parametrize("extra", [b":2\r\n", b"?nonsense\r\n"])
async def test_a_connection_that_said_more_than_was_asked_is_not_used_again(extra: bytes) -> None:
    async with answering({b"ASK": [b":1\r\n" + extra]}) as (link, connections):
        assert await link.run(command("ASK")) == 1
        assert await link.run(command("PING")) == b"OK"
        assert connections() == 2


@pytest.mark.parametrize("pieces", [[b""], [b"$10\r\nhalf", b""], [b"?nonsense\r\n"]])
async def test_a_connection_that_breaks_in_a_reply_is_made_anew(pieces: list[bytes]) -> None:
    async with answering({b"ASK": pieces}) as (link, connections):
        with pytest.raises(StoreUnavailable):
            await link.run(command("ASK"))
        assert connections() == 1
        assert await link.run(command("PING")) == b"OK"
        assert connections() == 2


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", StoreFull),
        ("LOADING the dataset is loading", StoreUnavailable),
        ("READONLY You can't write against a read only replica.", StoreUnavailable),
        ("MASTERDOWN Link with MASTER is down", StoreUnavailable),
        ("CLUSTERDOWN The cluster is down", StoreUnavailable),
        ("TRYAGAIN later", StoreUnavailable),
        ("BUSY a script runs", StoreUnavailable),
        ("NOAUTH Authentication required.", StoreError),
        ("NOPERM this user has no permissions", StoreError),
        ("ERR unknown command", StoreError),
    ],
)
async def test_what_a_server_refuses_is_told_by_kind(said: str, kind: type[StoreError]) -> None:
    async with answering({b"ASK": [f"-{said}\r\n".encode()]}) as (link, _):
        with pytest.raises(StoreError) as caught:
            await link.run(command("ASK"))
    assert type(caught.value) is kind


async def test_one_refused_call_leaves_the_replies_of_the_others_in_place() -> None:
    answers = {b"BAD": [b"-ERR no\r\n"], b"GOOD": [b":7\r\n"]}
    async with answering(answers) as (link, connections):
        with pytest.raises(StoreError, match="ERR no"):
            await link.run_all([command("GOOD"), command("BAD"), command("GOOD")])
        assert await link.run(command("GOOD")) == 7
        assert connections() == 1
