"""`ferryman serve` and `ferryman keys`: the HTTP service from the command line."""

import json
import signal
import subprocess
import sys
from typing import Any

import httpx

from tests.cli.command import Cli
from tests.worker.rig import until


def test_a_key_is_made_listed_and_revoked(cli: Cli) -> None:
    made = cli("keys", "create", "shop", "--scope", "enqueue", "--user", "42", "--json").data
    start = f"fk_{made['id']}_"
    assert made["key"].startswith(start)
    assert len(made["key"].removeprefix(start)) >= 22, "128 bits or more"
    [listed] = cli("keys", "list", "--json").data["keys"]
    assert (listed["name"], listed["scopes"], listed["user"]) == ("shop", ["enqueue"], "42")
    assert made["key"] not in cli("keys", "list", "--json").out
    cli("keys", "revoke", made["id"])
    assert cli("keys", "list", "--json").data["keys"][0]["revoked_at"] is not None
    assert "no key" in cli("keys", "revoke", made["id"], code=2).err


def test_an_unknown_scope_is_refused(cli: Cli) -> None:
    assert "there are: read, enqueue" in cli("keys", "create", "x", "--scope", "all", code=2).err


def test_the_service_is_not_opened_to_everyone_by_mistake(cli: Cli) -> None:
    everyone = "0.0.0.0"  # noqa: S104 - what is refused here
    refused = cli("serve", "--host", everyone, "--auth", "off", "--port", "0", code=2)
    assert "--insecure" in refused.err


def test_it_serves_until_it_is_told_to_stop(cli: Cli) -> None:
    command = [sys.executable, "-m", "ferryman", "serve", "--port", "0", "--json"]
    process: Any = subprocess.Popen(
        command, cwd=cli.folder, env=cli.environment, stdout=subprocess.PIPE
    )
    try:
        url = json.loads(process.stdout.readline())["url"]
        ready = f"{url}/api/v1/health/ready"
        # Not at once, on a machine that does much else: the store has a second to answer.
        until(lambda: httpx.get(ready, timeout=30).json()["status"] == "ready", 60)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGTERM)
