"""The dashboard's pages over many jobs in PostgreSQL: what each costs, rendering included.

    python -m benchmarks.pages [--jobs 1000000] [--rounds 40]

Prints the milliseconds of each page (median, 95th percentile, most), and exits with 1 if one takes
more than `LIMIT` at the 95th percentile. The jobs are written by the database itself: 90 % of them
succeeded, the others are queued, scheduled, running, failed or cancelled, in 20 queues.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import httpx
from sqlalchemy import create_engine, text

from benchmarks import stage
from benchmarks.figures import percentile
from ferryman import Ferryman
from ferryman.domain.job import WorkerInfo
from ferryman.domain.outcomes import Failure
from ferryman.http import create_app
from ferryman.stores.sql.records import encode

LIMIT: Final = 200.0
"""Milliseconds."""

FILL: Final = """
INSERT INTO ferryman_jobs
    (id, task, queue, state, reason, detail, priority, position, token, deliveries, attempts, kills,
     worker, user_key, created_at, due_at, started_at, finished_at, delete_at, tags, failure, args,
     result)
SELECT 'job-' || lpad(n::text, 9, '0'), 'task_' || n % 7, 'queue_' || n % 20, state,
       CASE state WHEN 'succeeded' THEN 'returned' WHEN 'failed' THEN 'exhausted'
                  WHEN 'running' THEN 'claimed' WHEN 'cancelled' THEN 'cancelled_by'
                  ELSE 'submitted' END,
       '', 0, n, n, 1, CASE state WHEN 'failed' THEN 1 ELSE 0 END, 0,
       CASE state WHEN 'running' THEN 'worker-' || n % 4 END, 'user-' || n % 1000,
       :now - (:jobs - n) * 80, :now - (:jobs - n) * 80,
       CASE WHEN state IN ('running', 'succeeded', 'failed') THEN :now - (:jobs - n) * 80 + 50 END,
       CASE WHEN state IN ('succeeded', 'failed', 'cancelled')
            THEN :now - (:jobs - n) * 80 + 900 END,
       CASE WHEN state = 'succeeded' THEN :now + 86400000 + n END,
       ',eu,', CASE WHEN state = 'failed' THEN :failure END,
       convert_to('[[' || n || ',"scan-' || n || '.jpg"],{"user":"ann"}]', 'UTF8'),
       CASE WHEN state = 'succeeded' THEN convert_to('{"total":"12.50"}', 'UTF8') END
FROM (SELECT n, CASE WHEN n > :jobs - 40 THEN 'running' WHEN n % 40 = 1 THEN 'failed'
                     WHEN n % 40 = 2 THEN 'cancelled' WHEN n % 100 = 3 THEN 'scheduled'
                     WHEN n % 25 = 4 THEN 'queued' ELSE 'succeeded' END AS state
      FROM generate_series(1, :jobs) AS n) AS made
"""

EVENTS: Final = """
INSERT INTO ferryman_events (job_id, at, target, reason, detail, token, by_holder)
SELECT id, created_at, 'queued', 'submitted', '', token, false FROM ferryman_jobs
"""

PATHS: Final = (
    "",
    "figures?range=15m",
    "figures?range=24h",
    "jobs",
    "jobs?state=failed",
    "jobs?state=queued&task=task_3",
    "jobs?user=user-7",
    "jobs?text=scan-77",
    "jobs?text=nothing-has-this",
    "jobs?state=failed&error=builtins.KeyError",
    "jobs?tag=us&queue=queue_3",
    "jobs/job-000000041",
    "dead-letters",
    "queues",
    "workers",
    "actions",
)


def fill(url: str, count: int) -> None:
    """Write the jobs, and let the database know what it has."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    failure = encode(Failure(kind="builtins.ValueError", message="x" * 60, traceback="y" * 600))
    now = int(time.time() * 1000)
    with engine.begin() as connection:
        connection.execute(text(FILL), {"jobs": count, "now": now, "failure": failure})
        connection.execute(text(EVENTS))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


async def measure(url: str, paths: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each page, round by round."""
    app = Ferryman(url)
    store = await app.store()
    for number in range(4):
        info = WorkerInfo(
            id=f"worker-{number}",
            name=f"office-{number}",
            host="here",
            pid=number,
            queues=tuple(f"queue_{one}" for one in range(20)),
            concurrency=10,
        )
        await store.register(info, 3600)
    served = create_app(app, auth="off", rate=0)
    taken: dict[str, list[float]] = {path: [] for path in paths}
    transport: Any = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/") as client:
        for round in range(rounds + 1):
            for path in paths:
                began = time.perf_counter()
                answer = await client.get(f"/{path}")
                assert answer.status_code == 200, (path, answer.text)
                if round:  # the first one warms up
                    taken[path].append((time.perf_counter() - began) * 1000)
    await served.state.service.close()
    await app.aclose()
    return taken


def main() -> int:
    """Measure; the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages")
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    with stage.store("postgresql") as ground:
        url = str(ground.settings.database_url)
        fill(url, given.jobs)
        taken = asyncio.run(measure(url, PATHS, given.rounds))
    print(f"{'page':44}{'median':>9}{'p95':>9}{'most':>9}   ms over {given.jobs:,} jobs")
    slow = []
    for path, values in taken.items():
        p95 = percentile(values, 0.95)
        slow += [path] if p95 > LIMIT else []
        print(f"/{path:43}{percentile(values, 0.5):9.1f}{p95:9.1f}{max(values):9.1f}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
