"""Ids, keys and journals as bytes."""

import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.domain.errors import InvalidName
from ferryman.domain.ids import NAME_PATTERN, new_id
from ferryman.domain.states import JobState
from ferryman.stores.valkey.journal import BETWEEN
from ferryman.stores.valkey.keys import (
    QUEUE_FAMILIES,
    QUEUE_KEYS,
    SHARED_FAMILIES,
    SHARED_KEYS,
    Keys,
    lifetime,
)
from ferryman.stores.valkey.records import is_uuid, pack_id, pack_new_id, unpack_id
from tests.contract.world import World, new_job
from tests.valkey.conftest import OpenStore

LEGAL = st.from_regex(NAME_PATTERN, fullmatch=True)
LOOKS_LIKE_A_UUID = st.text(alphabet=string.hexdigits + "-", min_size=36, max_size=36)


# -- ids ---------------------------------------------------------------------------------------


@given(LEGAL)
def test_a_legal_id_comes_back(job_id: str) -> None:
    assert unpack_id(pack_new_id(job_id)) == job_id


@given(st.uuids())
def test_a_uuid_comes_back_and_is_short(value: uuid.UUID) -> None:
    packed = pack_new_id(str(value))
    assert unpack_id(packed) == str(value)
    if value.variant == uuid.RFC_4122:
        assert len(packed) == 16


@pytest.mark.parametrize(
    "odd",
    [
        "0190A1B2-C3D4-7E5F-8A6B-7C8D9E0F1A2B",
        "0190a1b2c3d4-7e5f-8a6b-7c8d9e0f1a2b-",
        "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a-b",
        "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2x",
    ],
)
def test_what_only_looks_like_a_uuid_comes_back_as_it_was(odd: str) -> None:
    assert unpack_id(pack_id(odd)) == odd


@given(LOOKS_LIKE_A_UUID)
def test_nearly_a_uuid_comes_back(text: str) -> None:
    assert unpack_id(pack_id(text)) == text


@given(LEGAL, st.uuids(version=4))
def test_no_text_is_taken_for_a_uuid(text: str, value: uuid.UUID) -> None:
    assert text == str(value) or pack_id(text) != pack_id(str(value))


@given(st.binary(min_size=16, max_size=16).map(lambda data: data.decode("latin-1")))
def test_text_that_is_no_id_is_like_none_that_is_stored(text: str) -> None:
    assert not is_uuid(pack_id(text))


async def test_an_id_that_is_not_legal_is_not_taken_in(world: World) -> None:
    for odd in ("", "a b", "ü", "a:b", "-a", "a" * 129, "\x01" * 7 + "\x81" * 9):
        with pytest.raises(InvalidName):
            await world.submit(odd)
        assert await world.store.get([odd]) == [None]
        assert await world.store.cancel([odd]) == ["missing"]


# -- keys --------------------------------------------------------------------------------------


@given(LEGAL, LEGAL)
def test_a_queue_keeps_to_its_slot_and_namespace(namespace: str, queue: str) -> None:
    keys = Keys(namespace)
    prefix = keys.queue(queue)
    assert prefix == f"{namespace}:{{{queue}}}:"
    for name in QUEUE_KEYS:
        assert lifetime(namespace, (prefix + name).encode()) is QUEUE_KEYS[name]
    for name in QUEUE_FAMILIES:
        key = f"{prefix}{name}:".encode() + pack_id(new_id())
        assert lifetime(namespace, key) is QUEUE_FAMILIES[name]
    assert keys.shared != prefix


@given(st.text(min_size=1, max_size=5).filter(lambda text: not NAME_PATTERN.fullmatch(text)))
def test_a_queue_that_could_leave_them_is_refused(queue: str) -> None:
    with pytest.raises(InvalidName):
        Keys("ferryman").queue(queue)


def test_shared_keys_are_declared() -> None:
    keys = Keys("ferryman")
    for name in SHARED_KEYS:
        assert lifetime("ferryman", f"{keys.shared}{name}".encode()) is SHARED_KEYS[name]
    for name in SHARED_FAMILIES:
        assert lifetime("ferryman", f"{keys.shared}{name}:x".encode()) is SHARED_FAMILIES[name]


@pytest.mark.parametrize(
    "key", [b"ferryman", b"other:{q}:jobs", b"ferryman:{q}:locks", b"ferryman:{q}jobs", b"\xff"]
)
def test_other_keys_are_not_declared(key: bytes) -> None:
    assert lifetime("ferryman", key) is None


# -- journals ----------------------------------------------------------------------------------


async def test_a_long_history_keeps_its_beginning_and_its_end(world: World) -> None:
    delivery = await world.running()
    moments = [world.clock.moment()] * 2
    for _ in range(120):
        world.clock.advance(1)
        await world.finish(delivery, JobState.QUEUED)
        delivery = await world.again(delivery)
        moments += [world.clock.moment()] * 2
    await world.finish(delivery, detail="the end")
    moments.append(world.clock.moment())
    events = await world.store.events(delivery.job_id)
    numbers = [event.seq // BETWEEN for event in events]
    assert numbers == [*range(1, 12), *range(len(moments) - 89, len(moments) + 1)]
    assert [event.at for event in events] == [moments[number - 1] for number in numbers]
    assert (events[-1].target, events[-1].detail) == (JobState.SUCCEEDED, "the end")
    assert {event.worker for event in events[1:]} == {(await world.tireless()).id}


async def test_details_are_kept_to_a_length(world: World) -> None:
    delivery = await world.running()
    await world.finish(delivery, JobState.FAILED, detail="é" * 5000)
    assert (await world.job(delivery.job_id)).detail == "é" * 1000


async def test_large_batches_are_cut_by_their_bytes(world: World, open_store: OpenStore) -> None:
    """One script call takes some megabytes at most, and order and verdicts stay."""
    args = b"x" * 900 * 1024
    jobs = [new_job(f"job-{number}", args=args) for number in range(12)]
    assert all(one.created for one in await world.store.submit(jobs))
    deliveries = await world.claim(limit=12)
    assert [one.job_id for one in deliveries] == [job.id for job in jobs]
    assert {len(one.args) for one in deliveries} == {len(args)}
