"""The `ferryman` command as its users run it: a process of its own."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from ferryman.settings import Settings
from tests.cli import terminal
from tests.forked import Forked

COMMAND: Final = [sys.executable, "-m", "ferryman"]
LIMIT: Final = 60.0
"""Seconds that a command may take."""


class Answer(NamedTuple):
    """What a command printed, and its exit code."""

    out: str
    err: str
    code: int

    @property
    def data(self) -> Any:
        """Standard output as one JSON document."""
        return msgspec.json.decode(self.out)


class Cli:
    """Runs `ferryman` in a folder, with an environment that names a store or none."""

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        self.folder = folder
        self.environment = _environment(settings)

    def __call__(
        self, *arguments: str, code: int = 0, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> Answer:
        """Run a command to its end, which must come with this exit code."""
        with tempfile.TemporaryDirectory() as name:
            given, out, err = (Path(name) / stream for stream in ("in", "out", "err"))
            given.write_text(stdin)
            environment = self.environment | dict(env or {})
            streams = {"stdin": given, "stdout": out, "stderr": err}
            process = Forked(_main, *arguments, cwd=self.folder, env=environment, **streams)
            try:
                status = process.wait(LIMIT)
            finally:
                process.kill()
            answer = Answer(out.read_text(), err.read_text(), status)
        return _checked(arguments, answer, code)

    def alone(self, *arguments: str, code: int = 0) -> Answer:
        """The same in an interpreter of its own, which has imported nothing yet."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        return _checked(arguments, Answer(done.stdout, done.stderr, done.returncode), code)

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with `--json`, and read its answer."""
        return self(*arguments, "--json", code=code).data

    def in_terminal(self, *arguments: str, keys: str = "", code: int = 0) -> str:
        """Run a command at a terminal where someone types `keys`; what the screen showed."""
        status, screen = terminal.run([*COMMAND, *arguments], self.folder, self.environment, keys)
        assert status == code, f"{arguments}: {status}: {screen}"
        return screen

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command that runs on; it is killed at the end if it has not ended by itself."""
        with subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def _main(*arguments: str) -> None:
    from ferryman.cli.main import main

    sys.argv = ["ferryman", *arguments]
    main()


def _checked(arguments: tuple[str, ...], answer: Answer, code: int) -> Answer:
    assert answer.code == code, f"{arguments}: {answer}"
    # A mistake is told in words; a traceback of our inside is never an answer.
    for place in ("ferryman/cli/", "site-packages", "importlib"):
        assert place not in answer.err, answer.err
    return answer


def _environment(settings: Settings | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FERRYMAN_")}
    environment = kept | {"COLUMNS": "80", "LINES": "40", "NO_COLOR": "1", "TERM": "dumb"}
    if settings is not None:
        environment["FERRYMAN_NAMESPACE"] = settings.namespace
        environment["FERRYMAN_ALLOW"] = ",".join(settings.allow)
        for name in ("database_url", "valkey_url"):
            if url := getattr(settings, name):
                environment[f"FERRYMAN_{name.upper()}"] = url
    return environment
