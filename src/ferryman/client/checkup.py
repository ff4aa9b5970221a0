"""A check-up of what is configured: which store, which promise, what is wrong, how to mend it."""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from ferryman.client.client import Client
from ferryman.domain.errors import ConfigError, StoreError, StoreUnavailable
from ferryman.domain.job import QueueInfo, WorkerStatus
from ferryman.settings import Settings, embedded_database_url, scrub
from ferryman.stores import JobStore, make_store
from ferryman.stores.base import Finding

CLOCKS_APART: Final = 2.0
"""Seconds by which a host's clock may differ from the store's before that is worth a word."""

PROMISES: Final = {
    "sqlite": "at least once; nothing is lost that the file's disk keeps; one host",
    "postgresql": "at least once; nothing is lost that the database committed",
    "hybrid": "at least once; nothing is lost that the database committed, whatever the lane loses",
    "valkey": "at least once; a power cut can lose what the server had not yet written to its "
    "append-only file (1 s with everysec)",
}


class Checkup(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands.

    Attributes:
        store: the store's kind, or `None` if the settings name none that can be had.
        url: how it is reached, without its password.
        promise: what holds for a job once it was taken in, as long as no finding says otherwise.
    """

    store: str | None
    url: str
    promise: str
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether there is no error among the findings."""
        return all(finding.level != "error" for finding in self.findings)


async def examine(client: Client) -> Checkup:
    """Look at the store of `client` and at the work in it; never raises for what it finds."""
    settings = client.settings
    try:
        store = make_store(settings)
    except ConfigError as error:
        return Checkup(store=None, url="", promise="", findings=(Finding("error", str(error)),))
    try:
        findings = await _reach(store)
    finally:
        await store.close()
    return Checkup(
        store=store.kind,
        url=store_url(settings),
        promise=PROMISES.get(store.kind, ""),
        findings=tuple(_allowed(finding, settings) for finding in findings),
    )


def _allowed(finding: Finding, settings: Settings) -> Finding:
    """What the settings put up with is no error any more."""
    if finding.level != "error" or finding.allow not in settings.allow:
        return finding
    return Finding("warning", f"{finding.what} (allowed)", finding.mend, finding.allow)


async def _reach(store: JobStore) -> list[Finding]:
    try:
        await store.open()
        findings = [*await store.check(), _clocks(await store.now())]
        return findings + work_findings(await store.queues(), await store.workers())
    except StoreUnavailable as error:
        return [Finding("error", str(error), "start the server, or correct the URL")]
    except StoreError as error:
        return [Finding("error", str(error))]


def _clocks(store_now: datetime) -> Finding:
    """Whether this host's clock is the store's, which decides when a job is due."""
    apart = (datetime.now(UTC) - store_now).total_seconds()
    if abs(apart) < CLOCKS_APART:
        return Finding("ok", "this host's clock agrees with the store's")
    what = f"this host's clock is {apart:+.0f} s from the store's, by which `run_at` is judged"
    return Finding("warning", what, "synchronize the clocks (chrony, systemd-timesyncd)")


def work_findings(queues: Sequence[QueueInfo], workers: Sequence[WorkerStatus]) -> list[Finding]:
    """What stops jobs although the store is well."""
    live = [worker for worker in workers if worker.live]
    read = {queue for worker in live for queue in worker.info.queues}
    findings = [Finding("ok", f"live worker processes: {len(live)}, queues: {len(queues)}")]
    return findings + [finding for info in queues for finding in _queue_findings(info, read)]


def _queue_findings(info: QueueInfo, read: Collection[str]) -> Iterator[Finding]:
    name = info.name
    if info.paused:
        what = f"queue {name!r} is paused; jobs queued in it: {info.queued:,}"
        yield Finding("warning", what, f"ferryman queues resume {name}")
    if info.queued and name not in read:
        what = f"no live worker reads queue {name!r}; jobs queued in it: {info.queued:,}"
        yield Finding("warning", what, f"ferryman worker MODULE:NAME --queues {name}")
    if info.failed:
        what = f"dead letters of queue {name!r}: {info.failed:,}"
        yield Finding("warning", what, f"ferryman dead-letters list --queue {name}")


def store_url(settings: Settings) -> str:
    """How the store is reached: without a password, and a file by its whole path."""
    url = settings.database_url or settings.valkey_url or embedded_database_url()
    scheme, slashes, path = url.partition(":///")
    if scheme.startswith("sqlite") and path:
        return f"{scheme}{slashes}{Path(path).absolute()}"
    return scrub(url)
