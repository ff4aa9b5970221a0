"""What it costs to enqueue by HTTP: `wrk` against one process, beside the bare store call.

python -m benchmarks.asking [--seconds 10]

Both take turns, on PostgreSQL with a lane in Valkey, with 1 and with 16 callers at a time.
"""

import argparse
import asyncio
import re
import subprocess
import tempfile
import time

from benchmarks.bench import ground, opened, report
from benchmarks.serving import serving
from ferryman.domain.ids import new_id
from ferryman.domain.job import NewJob
from ferryman.settings import Settings
from ferryman.stores import JobStore

SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"arguments": {"receipt_id": 17, "image_path": "receipts/abc.jpg", "user_id": 1}}'
"""
ARGS = b'[[],{"receipt_id":17,"image_path":"receipts/abc.jpg","user_id":1}]'
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def by_http(url: str, callers: int, seconds: int) -> dict[str, float]:
    """Requests a second and milliseconds, as `wrk` finds them."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT)
        script.flush()
        command = ["wrk", "-t1", f"-c{callers}", f"-d{seconds}s", "--latency", "-s", script.name]
        path = f"{url}/api/v1/tasks/read_receipt/jobs"
        said = subprocess.run([*command, path], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return {
        "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),  # type: ignore[index]
        "p50_ms": _latency(said, 50),
        "p99_ms": _latency(said, 99),
        "refused": float(found[1]) if found else 0.0,
    }


def _latency(said: str, percent: int) -> float:
    match = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)\b", said)
    assert match is not None, said
    return round(float(match[1]) * UNITS[match[2]], 2)


async def bare(store: JobStore, callers: int, seconds: int) -> dict[str, float]:
    """The same, calling the store from this process."""
    took: list[float] = []
    end = time.monotonic() + seconds

    async def call() -> None:
        while (began := time.monotonic()) < end:
            job = NewJob(id=new_id(), task="read_receipt", queue="receipts", args=ARGS)
            await store.submit([job])
            took.append(time.monotonic() - began)

    await asyncio.gather(*(call() for _ in range(callers)))
    took.sort()
    return {
        "per_second": round(len(took) / seconds, 1),
        "p50_ms": round(took[len(took) // 2] * 1000, 2),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 2),
    }


async def main(seconds: int) -> None:
    """Measure both, in turns."""
    with ground() as (settings, _):
        await _measure(settings, seconds)


async def _measure(settings: Settings, seconds: int) -> None:
    with serving(settings) as url:
        async with opened(settings) as [store]:
            for callers in (1, 16):
                for turn in range(2):
                    found = await bare(store, callers, seconds)
                    report(what="store", callers=callers, turn=turn, **found)
                    asked = await asyncio.to_thread(by_http, url, callers, seconds)
                    report(what="http", callers=callers, turn=turn, **asked)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=10)
    asyncio.run(main(parser.parse_args().seconds))
