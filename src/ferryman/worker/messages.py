"""What the processes of a worker say to each other. Every message is a tagged struct.

supervisor to process   `Go` `Stop` `CancelJobs`
process to supervisor   `Hello` `Ready` `Broken` `ChildBegan` `ChildEnded` `Claimed`
                        `LeaseGone` `Leaving`
process to child        `LoadResources` `RunJob` `CancelJob` `Terminate` `Quit`
child to process        `Ready` `Broken` `Began` `Report` `Ended`
"""

from enum import StrEnum

import msgspec

from ferryman.domain.job import Delivery, LogLine, Progress, WorkerInfo
from ferryman.domain.outcomes import Outcome
from ferryman.settings import Settings


class Message(msgspec.Struct, frozen=True, tag=True):
    """The base of them all."""


class Why(StrEnum):
    """Why a worker process leaves of its own accord; none of it charges a job."""

    STOPPED = "stopped"
    """It was told to."""
    RECYCLED = "recycled"
    """It has run as many jobs, or lived as long, as it may."""
    DRAINED = "drained"
    """A burst found nothing more to do."""
    FAULT = "fault"
    """The worker's own code failed."""


class Hello(Message, frozen=True):
    """The application is imported; this is how its store is reached, and what is served."""

    settings: Settings
    queues: tuple[str, ...]


class Go(Message, frozen=True):
    """The lease is registered under this identity: claim."""

    info: WorkerInfo


class Ready(Message, frozen=True):
    """Resources that had to be loaded are there, and work can begin."""


class Broken(Message, frozen=True):
    """The application cannot be imported, or a resource cannot be loaded."""

    error: str


class Stop(Message, frozen=True):
    """Take no more jobs, let those that run end for `grace` seconds, then leave."""

    grace: float


class CancelJobs(Message, frozen=True):
    """Someone asked these running jobs (id, token) to stop."""

    jobs: tuple[tuple[str, int], ...]


class ChildBegan(Message, frozen=True):
    """This job runs in an isolated child: if the process dies, the job is not to blame."""

    job_id: str


class ChildEnded(Message, frozen=True):
    """This job runs in a child no more."""

    job_id: str


class Claimed(Message, frozen=True):
    """A claim was answered, with jobs or without; said once in a while."""


class LeaseGone(Message, frozen=True):
    """The store refused a claim, for the lease is over."""


class Leaving(Message, frozen=True):
    """The process is about to exit."""

    why: Why


class LoadResources(Message, frozen=True):
    """Load these now rather than at the first job; answered by `Ready`."""

    names: tuple[str, ...]


class RunJob(Message, frozen=True):
    """Run this delivery; answered by `Ended`."""

    delivery: Delivery


class CancelJob(Message, frozen=True):
    """Ask the job that runs to stop by itself."""


class Terminate(Message, frozen=True):
    """The next SIGTERM is meant: unwind the job and exit."""


class Quit(Message, frozen=True):
    """Tear the resources down and exit."""


class Began(Message, frozen=True):
    """Resources are loaded and the function is called now: its time-out counts from here."""


class Report(Message, frozen=True):
    """Progress of the job that runs, its checkpoint where it saved one, and what it logged."""

    progress: Progress | None = None
    checkpoint: bytes | None = None
    lines: tuple[LogLine, ...] = ()


class Ended(Message, frozen=True):
    """How the job ended."""

    outcome: Outcome


ToProcess = Go | Stop | CancelJobs
FromProcess = Hello | Ready | Broken | ChildBegan | ChildEnded | Claimed | LeaseGone | Leaving
ToChild = LoadResources | RunJob | CancelJob | Terminate | Quit
FromChild = Ready | Broken | Began | Report | Ended
