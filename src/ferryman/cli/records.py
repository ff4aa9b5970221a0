"""The records of the stores as JSON; the keys are those of the records, and they stay."""

from typing import Any

import msgspec

from ferryman import codec
from ferryman.client.collections import JobPage
from ferryman.domain.errors import InvalidArguments
from ferryman.domain.job import Job, JobEvent, WorkerStatus


def job_data(job: Job) -> dict[str, Any]:
    """A job; `args` and `kwargs` are null where the stored arguments cannot be read."""
    data: dict[str, Any] = msgspec.to_builtins(job)
    data["args"], data["kwargs"] = arguments(job)
    data["result"] = result(job)
    return data


def page_data(page: JobPage) -> dict[str, Any]:
    """A page of jobs, and where to go on."""
    jobs = [job_data(handle.record) for handle in page]
    return {"jobs": jobs, "cursor": page.cursor, "partial": page.partial}


def event_data(event: JobEvent) -> dict[str, Any]:
    """A change of a job's state, its progress, or a line that it logged."""
    data: dict[str, Any] = msgspec.to_builtins(event)
    return data


def worker_data(worker: WorkerStatus) -> dict[str, Any]:
    """A worker process, as one flat record."""
    data: dict[str, Any] = msgspec.to_builtins(worker)
    return {**data.pop("info"), **data}


def arguments(job: Job) -> tuple[list[Any] | None, dict[str, Any] | None]:
    """A job's arguments as plain JSON values."""
    try:
        return codec.decode_args(job.args)
    except InvalidArguments:
        return None, None


def result(job: Job) -> Any:
    """A job's result as plain JSON values; `None` where there is none."""
    return codec.decode_result(job.result)
