"""The Lua scripts: how they are put together, and that the servers take them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import ClaimRequest
from ferryman.stores.valkey import scripts
from ferryman.stores.valkey.codes import REASONS, STATES
from ferryman.stores.valkey.keys import lua_names
from ferryman.stores.valkey.scripts import Place
from tests.contract.world import World, ending

EVERY = scripts.all_scripts()
FILES = sorted(scripts.FOLDER.rglob("*.lua"))


def test_every_state_and_reason_has_a_number_of_its_own() -> None:
    assert set(STATES) == set(JobState)
    assert set(REASONS) == set(Reason)
    assert len(set(STATES.values())) == len(STATES)
    assert len(set(REASONS.values())) == len(REASONS)


def test_all_scripts_are_found() -> None:
    assert len(EVERY) == len([path for path in FILES if path.parent.name != "include"])
    assert {"claim", "finish_and_claim", "submit", "join"} <= {script.name for script in EVERY}


def test_an_include_comes_once_and_before_its_user() -> None:
    text = scripts.load("queue", "finish_and_claim").text
    for name in ("read_state", "load_all", "change", "finish", "claim"):
        assert len(re.findall(rf"^local function {name}\(", text, re.MULTILINE)) == 1
    assert text.index("local function read_state") < text.index("local function with_state")


def test_constants_become_numbers() -> None:
    for script in EVERY:
        assert not re.search(r"\b(STATE|REASON|CODE)\.", script.text)


def test_a_constant_without_a_number_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "wrong.lua").write_text("#!lua\nreturn STATE.lost\n")
    monkeypatch.setattr(scripts, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"STATE\.lost"):
        scripts.load("queue", "wrong")


def test_a_script_declares_the_keys_that_it_uses_and_no_others() -> None:
    script = scripts.load("queue", "renew")
    declared = re.findall(r"^local ([A-Z]+_?) = PREFIX", script.text, re.MULTILINE)
    assert sorted(declared) == ["LEASES", "STOP_"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_script_says_what_it_takes_and_gives(path: Path) -> None:
    text = path.read_text()
    if path.parent.name == "include":
        assert text.startswith("-- ")
        return
    assert text.startswith("#!lua"), "flags decide what happens at the memory limit"
    for word in ("KEYS  ", "ARGV  ", "Returns "):
        assert f"-- {word}" in text


@pytest.mark.parametrize("place", ["queue", "shared"])
def test_key_names_are_all_different(place: Place) -> None:
    names = lua_names(place)
    assert len(set(names.values())) == len(names)


def test_the_server_takes_every_script(server: Redis) -> None:
    for script in EVERY:
        assert server.script_load(script.text) == script.sha


async def test_a_server_that_forgot_the_scripts_gets_them_again(
    world: World, server: Redis
) -> None:
    await world.submit("a", "b", queue="q")
    delivery = (await world.claim("q"))[0]
    server.script_flush()
    assert await world.finish(delivery) == "applied"
    server.script_flush()
    assert [job.job_id for job in await world.claim("q")] == ["b"]
    server.script_flush()
    await world.submit("c", queue="q1")
    await world.submit("d", queue="q2")
    server.script_flush()
    assert [info.queued for info in await world.store.queues()] == [0, 1, 1]


async def test_a_busy_worker_makes_one_round_trip(world: World, server: Redis) -> None:
    await world.submit("a", "b", "c")
    worker = await world.tireless()
    request = ClaimRequest(worker=worker.id, queues=("default", "other"), limit=1)
    (delivery,) = await world.store.claim(request)
    _, (delivery,) = await world.store.finish_and_claim([ending(delivery)], request)
    server.config_resetstat()
    verdicts, deliveries = await world.store.finish_and_claim([ending(delivery)], request)
    stats = server.info("commandstats")
    assert (verdicts, [one.job_id for one in deliveries]) == (["applied"], ["c"])
    assert stats["cmdstat_evalsha"]["calls"] == 1


NEEDED = """\
local FIRST, LAST = 1, 2
local LIMIT = 10
local key = 'jobs'

local function inner(a)
  return a + LIMIT
end

local function outer(a)
  return inner(a)
end

local function by_name(a)
  return a
end

return { outer(1), FIRST, key, 'by_name' }
"""
"""Each name is named: in a function, in a string, at the end."""

NEEDLESS = """\
local SPARE = 10
local function deep(a)
  if a then
    return SPARE
  end
end
local function shallow(a)
  return deep(a)
end
"""
"""What only names what is needless itself is needless."""


def _check_stripping(strip: Callable[[str], str]) -> None:
    assert strip(NEEDED) == NEEDED
    assert strip(NEEDLESS + NEEDED) == NEEDED


def test_a_script_is_rid_of_what_it_never_names() -> None:
    _check_stripping(scripts._needed)


def _deaf_to_strings(text: str) -> str:
    return text if "'by_name'" not in text else _without(scripts._needed(text), "by_name")


def _deaf_to_functions(text: str) -> str:
    return _without(scripts._needed(text), "inner")


def _without(text: str, name: str) -> str:
    return re.sub(rf"^local function {name}\(.*?^end\n", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("wrong", [_deaf_to_strings, _deaf_to_functions, str])
def test_a_wrong_stripping_is_found(wrong: Callable[[str], str]) -> None:
    with pytest.raises(AssertionError):
        _check_stripping(wrong)
