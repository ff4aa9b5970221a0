"""The dashboard's third-party assets: fetched from npm, checked against their lock.

    python scripts/assets.py            fetch anew what the lock names; refuse what differs
    python scripts/assets.py --relock   write the hashes anew, after a version was changed by hand

Only who changes a version needs npm: the files are part of the repository and of the wheel.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

VENDOR = Path(__file__).parents[1] / "src/ferryman/http/dashboard/static/vendor"
LOCK = VENDOR / "assets.lock"
MARK = "--hash=sha256:"


class Asset(NamedTuple):
    """A file out of a package: where it is there, what it is called here, and its hash."""

    package: str
    version: str
    source: str
    name: str
    hash: str

    def line(self) -> str:
        """The asset as its line in the lock."""
        return f"{self.package}=={self.version} {self.source} {self.name} {MARK}{self.hash}"


def locked(lock: Path = LOCK) -> list[Asset]:
    """What the lock names."""
    lines = (line for line in lock.read_text().splitlines() if line and not line.startswith("#"))
    return [_asset(line) for line in lines]


def _asset(line: str) -> Asset:
    package, source, name, digest = line.split()
    title, _, version = package.partition("==")
    return Asset(title, version, source, name, digest.removeprefix(MARK))


def digest(content: bytes) -> str:
    """The hash of a file as the lock writes it."""
    return hashlib.sha256(content).hexdigest()


def differing(folder: Path = VENDOR) -> list[str]:
    """What is wrong with the files in `folder`: missing, changed, or not in the lock."""
    assets = {asset.name: asset.hash for asset in locked()}
    present = {path.name: path for path in folder.iterdir() if path.name != LOCK.name}
    return [
        *(f"{name}: not there" for name in sorted(assets.keys() - present.keys())),
        *(f"{name}: not in the lock" for name in sorted(present.keys() - assets.keys())),
        *(
            f"{name}: not the file that the lock names"
            for name in sorted(assets.keys() & present.keys())
            if digest(present[name].read_bytes()) != assets[name]
        ),
    ]


def fetched(assets: list[Asset]) -> Iterator[tuple[Asset, bytes]]:
    """The assets with their content, from npm."""
    with tempfile.TemporaryDirectory() as folder:
        for package in sorted({f"{asset.package}@{asset.version}" for asset in assets}):
            pack = ["npm", "pack", "--silent", package]
            done = subprocess.run(pack, cwd=folder, check=True, capture_output=True, text=True)
            with tarfile.open(Path(folder) / done.stdout.split()[-1]) as archive:
                for asset in assets:
                    if f"{asset.package}@{asset.version}" == package:
                        file = archive.extractfile(f"package/{asset.source}")
                        if file is None:
                            sys.exit(f"{asset.source} is no file of {package}")
                        yield asset, file.read()


def main() -> int:
    """Fetch the assets; the process's exit code."""
    relock, assets = "--relock" in sys.argv[1:], []
    for asset, content in fetched(locked()):
        found = asset._replace(hash=digest(content))
        if not relock and found != asset:
            print(f"{asset.name}: {asset.package} {asset.version} has another hash: {found.hash}")
            return 1
        (VENDOR / asset.name).write_bytes(content)
        assets.append(found)
    if relock:
        head = [line for line in LOCK.read_text().splitlines() if line.startswith("#")]
        lines = [*head, *(asset.line() for asset in sorted(assets, key=lambda one: one.name))]
        LOCK.write_text("\n".join(lines) + "\n")
    print("\n".join(f"{asset.name}: {asset.package} {asset.version}" for asset in assets))
    return 0


if __name__ == "__main__":
    sys.exit(main())
