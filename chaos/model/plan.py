"""What is checked: within which bounds the protocol holds, and what each planted fault breaks."""

from typing import Final, NamedTuple

from chaos.model.spin import ENDLESS, PROPERTIES, Bounds

ALL: Final = tuple(PROPERTIES)
NOTHING_LOST: Final = tuple(name for name in PROPERTIES if name != "LANE_LACKS")
"""All but the lane's completeness, which the order of jobs hangs on, and no job's life."""


class Case(NamedTuple):
    """The protocol, or what is left of it, within some bounds."""

    bounds: Bounds
    planted: tuple[str, ...] = ()
    watched: tuple[str, ...] = ALL


_SMALL: Final = Bounds()
_NARROW: Final = Bounds(faults=2, slips=0, retries=0)

QUICK: Final = (
    Case(_SMALL),
    Case(_SMALL, watched=(ENDLESS,)),
    Case(Bounds(jobs=2, faults=0)),
)
"""What holds, shown in seconds."""

FULL: Final = (
    *QUICK,
    Case(Bounds(discards=1)),
    Case(Bounds(faults=2)),
    Case(_NARROW, watched=(ENDLESS,)),
    Case(Bounds(faults=3, slips=0, retries=0)),
    Case(Bounds(workers=3, faults=2, slips=0, retries=0)),
    Case(Bounds(jobs=2)),
    Case(Bounds(jobs=2, faults=2, slips=0, retries=0)),
)
"""What holds, shown in minutes."""


def _breaks(name: str, *planted: str, bounds: Bounds = _SMALL) -> Case:
    return Case(bounds, planted, (name,))


PLANTED: Final = (
    _breaks("STALE_WRITE", "NO_TOKEN"),
    _breaks("TWO_HOLDERS", "TOKEN_STANDS"),
    _breaks("REFUSED_EFFECT", "TOKENS_BEGIN_AGAIN", bounds=Bounds(discards=1)),
    _breaks("SECOND_ENDING", "CLAIM_WITHOUT_CAS"),
    _breaks("SECOND_ENDING", "SUBMIT_OVERWRITES"),
    _breaks("SECOND_ENDING", "REAP_WITHOUT_CAS"),
    _breaks("NOT_ITS_OWN", "HEARTBEAT_REVIVES"),
    _breaks("NOT_ITS_OWN", "HAND_BACK_ALL"),
    _breaks("LOST", "NO_REAPER"),
    _breaks("LOST", "REAPER_NEEDS_ROW"),
    _breaks("LOST", "NO_DOUBT"),
    _breaks("LOST", "ONE_LOOK"),
    _breaks("LOST", "NO_DIRECT"),
    _breaks("LOST", "NO_SWEEP"),
    _breaks("LOST", "NO_HEADS"),
    _breaks("LOST", "PUSH_FIRST", "NO_SWEEP", bounds=Bounds(faults=0)),
    _breaks("ENDLESS", "NEVER_SETTLED"),
    _breaks("LANE_LACKS", "PUSH_FIRST"),
    _breaks("LANE_LACKS", "LANE_FIRST"),
    _breaks("LANE_LACKS", "NO_HOLD"),
    _breaks("LANE_LACKS", "MARKS_SHARED"),
    _breaks("LANE_LACKS", "EPOCH_IGNORED"),
    _breaks("LANE_LACKS", "EPOCH_WITHOUT_RUN"),
    _breaks("LANE_LACKS", "FILL_UNCHECKED", bounds=_NARROW),
    _breaks("LANE_LACKS", "NO_DISTRUST"),
    _breaks("LANE_LACKS", "DISTRUST_FIRST"),
    _breaks("LANE_LACKS", "DISTRUST_KEEPS_FILLING", bounds=_NARROW),
)
"""Faults of the protocol, each of which must break this property within these bounds."""

BORNE: Final = (
    *(
        Case(case.bounds, case.planted, NOTHING_LOST)
        for case in PLANTED
        if case.watched == ("LANE_LACKS",)
    ),
    Case(_SMALL, ("NO_PUSH",)),
    Case(_SMALL, ("CLAIM_WITHOUT_LEASE",)),
)
"""Faults with which no job is lost, because something else makes good for them."""
