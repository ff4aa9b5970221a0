"""Log lines, as text for people or as JSON for machines; a job's fields in both."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ferryman.worker.options import WorkerOptions

FIELDS: Final = ("job_id", "task", "attempt", "outcome", "duration")
"""What a record about a job carries, as attributes; `duration` is in seconds."""


NOISY: Final = ("aiosqlite", "alembic", "asyncio", "watchfiles")
"""Libraries that tell of each of their steps; who wants that sets logging up in the application."""


def set_up(options: WorkerOptions, worker: str) -> None:
    """Send the log of this process to standard error.

    Ferryman's own loggers are always set up; the root logger only where the application has not
    done so itself.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(options, worker))
    ours = logging.getLogger("ferryman")
    ours.handlers = [handler]
    ours.propagate = False
    ours.setLevel(options.level)
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(handler)
        root.setLevel(options.level)
        for name in NOISY:
            logging.getLogger(name).setLevel(logging.WARNING)


def _formatter(options: WorkerOptions, worker: str) -> logging.Formatter:
    return JsonFormatter(worker) if options.log_format == "json" else TextFormatter(worker)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, logger, message, worker, the job's fields, error."""

    def __init__(self, worker: str) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line: dict[str, Any] = {
            "ts": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "worker": self._worker,
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class TextFormatter(logging.Formatter):
    """`time level worker logger message (job task attempt)`, and the traceback below it."""

    def __init__(self, worker: str) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, or as several with a traceback."""
        named = f" job={record.job_id}" if hasattr(record, "job_id") else ""
        line = (
            f"{_moment(record)} {record.levelname:<7} {self._worker} {record.name}:"
            f" {record.getMessage()}{named}"
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
