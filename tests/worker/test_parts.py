"""The small parts: channel, reports, logs, outages, the way back to an application."""

import asyncio
import gc
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import msgspec
import pytest

from ferryman.domain.errors import ConfigError, StoreUnavailable
from ferryman.domain.job import Delivery, JobOptions, Progress
from ferryman.domain.outcomes import Succeeded
from ferryman.stores.base import ProgressUpdate, Verdict
from ferryman.worker import process, proctree
from ferryman.worker.application import locate_app
from ferryman.worker.buffer import ReportBuffer
from ferryman.worker.channel import BlockingChannel, Channel
from ferryman.worker.logs import JsonFormatter, TextFormatter
from ferryman.worker.messages import Ended, FromChild, RunJob, ToChild
from ferryman.worker.options import WorkerOptions
from ferryman.worker.outage import Outage
from ferryman.worker.spawning import how_it_ended
from tests.contract.model import ModelStore
from tests.contract.model_data import ModelData
from tests.worker import jobs
from tests.worker.direct import client, eventually

DELIVERY = Delivery(
    job_id="j-1",
    task="t",
    queue="q",
    token=7,
    args=b"[[1],{}]",
    options=JobOptions(),
    attempts=0,
    deliveries=1,
    kills=0,
)


# -- channel ---------------------------------------------------------------------------------------


async def test_messages_pass_between_a_loop_and_a_thread() -> None:
    ours, theirs = socket.socketpair()
    child: BlockingChannel[ToChild] = BlockingChannel(theirs, ToChild)

    def echo() -> None:
        while (message := child.receive()) is not None:
            assert isinstance(message, RunJob)
            child.send(Ended(Succeeded(message.delivery.args)))
        theirs.close()

    thread = threading.Thread(target=echo)
    thread.start()
    channel: Channel[FromChild] = await Channel.over(ours, FromChild)
    big = msgspec.structs.replace(DELIVERY, args=os.urandom(1_000_000))
    for delivery in (DELIVERY, big, DELIVERY):
        channel.send(RunJob(delivery))
        answer = await channel.receive()
        assert answer == Ended(Succeeded(delivery.args))
    await channel.close()
    thread.join(5)
    channel.send(RunJob(DELIVERY))  # nobody is there: nothing happens


async def test_an_end_in_the_middle_of_a_message_is_an_end() -> None:
    ours, theirs = socket.socketpair()
    channel: Channel[FromChild] = await Channel.over(ours, FromChild)
    theirs.sendall(b"\x00\x00\x00\x09half")
    theirs.close()
    assert await channel.receive() is None
    await channel.close()


# -- reports ---------------------------------------------------------------------------------------


class Recorder(ModelStore):
    """Keeps what was written."""

    def __init__(self) -> None:
        super().__init__(ModelData(), lambda: 0)
        self.written: list[list[ProgressUpdate]] = []
        self.fails = False

    async def progress(self, updates: Any) -> list[Verdict]:
        """Take it, or fail."""
        if self.fails:
            raise StoreUnavailable("nobody there")
        self.written.append(list(updates))
        return [Verdict.APPLIED] * len(updates)


async def test_reports_are_merged_and_the_last_of_a_kind_wins() -> None:
    store = Recorder()
    buffer = ReportBuffer(store)
    for step in range(100):
        buffer.report(DELIVERY, Progress(step), None)
    buffer.report(DELIVERY, None, b"half")
    await asyncio.to_thread(buffer.report, DELIVERY, Progress(100), None)
    await eventually(lambda: bool(store.written))
    assert store.written == [
        [
            ProgressUpdate(
                job_id="j-1", queue="q", token=7, progress=Progress(100), checkpoint=b"half"
            )
        ]
    ]
    await buffer.close()


async def test_reports_that_could_not_be_written_are_kept_and_newer_ones_win() -> None:
    store = Recorder()
    buffer = ReportBuffer(store)
    store.fails = True
    buffer.report(DELIVERY, Progress(1), b"one")
    with pytest.raises(StoreUnavailable):
        await buffer.flush()
    buffer.report(DELIVERY, Progress(2), None)
    store.fails = False
    await buffer.flush()
    [[update]] = store.written
    assert (update.progress, update.checkpoint) == (Progress(2), b"one")
    await buffer.close()


# -- logs ------------------------------------------------------------------------------------------


def record(**extra: Any) -> logging.LogRecord:
    """A record about a job."""
    return logging.getLogger("shop").makeRecord(
        "shop", logging.WARNING, __file__, 1, "read %d pages", (3,), None, extra=extra
    )


def test_a_json_line_holds_the_jobs_fields() -> None:
    fields = {"job_id": "j-1", "task": "read", "attempt": 2, "outcome": "retry", "duration": 0.5}
    line = msgspec.json.decode(JsonFormatter("w.1").format(record(**fields)))
    assert line.pop("ts").endswith("+00:00")
    assert line == fields | {
        "level": "warning",
        "logger": "shop",
        "message": "read 3 pages",
        "worker": "w.1",
    }


def test_a_text_line_names_the_job() -> None:
    line = TextFormatter("w.1").format(record(job_id="j-1"))
    assert line.endswith("WARNING w.1 shop: read 3 pages job=j-1")


# -- the rest --------------------------------------------------------------------------------------


def test_an_outage_is_said_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(logging.getLogger("ferryman.test"), "asking")
    logging.getLogger("ferryman").propagate = True
    waits = [outage.failed(StoreUnavailable("away")) for _ in range(20)]
    outage.passed()
    outage.passed()
    assert [entry.levelname for entry in caplog.records] == ["ERROR", "WARNING"]
    assert 0 < waits[0] <= 0.2
    assert max(waits) <= 5


def test_an_application_is_found_where_a_module_holds_it() -> None:
    assert locate_app(jobs.app) == "tests.worker.jobs:app"
    assert locate_app(client()) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"processes": 0},
        {"grace": -1},
        {"max_jobs": 0},
        {"log_level": "loud"},
        {"name": "no spaces"},
        {"queues": ("a b",)},
    ],
)
def test_options_that_cannot_be_used_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ConfigError, ValueError), match=next(iter(wrong)).rstrip("s")):
        WorkerOptions(**wrong)


def test_an_exit_code_in_words() -> None:
    assert how_it_ended(3) == "exited with code 3"
    assert how_it_ended(-9) == "was killed by SIGKILL"
    assert how_it_ended(-200) == "was killed by signal 200"


def test_a_family_is_found_wherever_it_went() -> None:
    mark = f"FERRYMAN_MARK_TEST={os.getpid()}.{time.monotonic()}"
    name, _, value = mark.partition("=")
    # The shell starts a program in a session of its own, and leaves it behind.
    leaver = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess as s; s.Popen(['sleep', '30'], start_new_session=True)",
        ],
        env={**os.environ, name: value},
    )
    leaver.wait()
    [orphan] = proctree.family(leaver.pid, mark)
    assert orphan.name() == "sleep"
    orphan.kill()
    asyncio.run(proctree.all_gone([orphan], 5))
    assert proctree.family(leaver.pid, mark) == []


def test_memory_counts_what_a_process_has_started() -> None:
    size = 64 << 20
    big = f"held = bytearray(b'x') * {size}; print('ready', flush=True); input()"
    alone = proctree.memory_of([os.getpid()])[os.getpid()]
    with subprocess.Popen(
        [sys.executable, "-c", big], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        both = proctree.memory_of([os.getpid()])[os.getpid()]
        program.kill()
    assert both >= alone + size * 0.5  # the memory of this process moves too, but not by so much
    assert proctree.memory_of([2**22 + 1]) == {2**22 + 1: 0}


@pytest.mark.parametrize(
    ("set_before", "after"), [(700, process.NEW_OBJECTS), (50_000, 50_000), (0, 0)]
)
def test_garbage_is_collected_less_often_unless_the_application_says(
    set_before: int, after: int
) -> None:
    before = gc.get_threshold()
    try:
        gc.set_threshold(set_before, 10, 10)
        process.collect_less_often()
        assert gc.get_threshold()[0] == after
    finally:
        gc.set_threshold(*before)
