"""Progress, checkpoints and logs of running jobs, gathered and written in batches."""

import asyncio
import contextlib
import logging
import threading
import time
from typing import Final

import msgspec

from ferryman.domain.errors import StoreError
from ferryman.domain.job import LOG_LINES, Delivery, LogLine, Progress
from ferryman.stores import JobStore
from ferryman.stores.base import ProgressUpdate

logger = logging.getLogger("ferryman.worker")

INTERVAL: Final = 0.1
"""Seconds between two writes: what a job reports in between is merged, the last value wins."""

FIRST: Final = 0.01
"""Seconds that the first report after a pause waits for others."""


class ReportBuffer:
    """Takes the reports of all jobs of one worker."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], ProgressUpdate] = {}
        self._flushing = asyncio.Lock()
        self._timer: asyncio.Task[None] | None = None
        self._scheduled = False
        self._written_at = 0.0

    def report(
        self,
        delivery: Delivery,
        progress: Progress | None,
        checkpoint: bytes | None,
        lines: tuple[LogLine, ...] = (),
    ) -> None:
        """See `Reporter.report`."""
        update = ProgressUpdate(
            job_id=delivery.job_id,
            queue=delivery.queue,
            token=delivery.token,
            progress=progress,
            checkpoint=checkpoint,
            lines=lines,
        )
        with self._lock:
            self._merge(update)
            if self._scheduled:
                return
            self._scheduled = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has left
            self._loop.call_soon_threadsafe(self._schedule)

    async def flush(self) -> None:
        """Write what is pending, before the endings of the same jobs are.

        Raises:
            StoreError: it could not be written, and is still pending.
        """
        async with self._flushing:
            with self._lock:
                updates, self._pending = list(self._pending.values()), {}
            if not updates:
                return
            try:
                await self._store.progress(updates)
            except BaseException:
                with self._lock:
                    self._restore(updates)
                raise

    async def close(self) -> None:
        """Stop writing."""
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)

    def _merge(self, update: ProgressUpdate) -> None:
        key = (update.job_id, update.token)
        earlier = self._pending.get(key)
        if earlier is not None:
            update = msgspec.structs.replace(
                update,
                progress=update.progress or earlier.progress,
                checkpoint=earlier.checkpoint if update.checkpoint is None else update.checkpoint,
                lines=(earlier.lines + update.lines)[-LOG_LINES:],
            )
        self._pending[key] = update

    def _restore(self, updates: list[ProgressUpdate]) -> None:
        newer, self._pending = self._pending, {}
        for update in [*updates, *newer.values()]:
            self._merge(update)

    def _schedule(self) -> None:
        self._timer = asyncio.create_task(self._flush_later())

    async def _flush_later(self) -> None:
        await asyncio.sleep(max(FIRST, self._written_at + INTERVAL - time.monotonic()))
        self._written_at = time.monotonic()
        with self._lock:
            self._scheduled = False
        try:
            await self.flush()
        except StoreError as error:
            # Nothing is lost: the next report, or the job's ending, writes it.
            logger.debug("progress could not be written: %s", error)
