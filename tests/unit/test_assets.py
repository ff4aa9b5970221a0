"""The dashboard's third-party files are those of the lock, and the repository has them all."""

import shutil
from pathlib import Path

from scripts.assets import VENDOR, differing, locked


def test_the_files_are_those_of_the_lock() -> None:
    assert differing() == []


def test_each_package_comes_with_its_licence() -> None:
    packages = {asset.package for asset in locked()}
    licensed = {asset.package for asset in locked() if asset.name.endswith("LICENSE")}
    assert packages == licensed != set()


def test_a_file_that_differs_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "vendor"
    shutil.copytree(VENDOR, folder)
    assert differing(folder) == []
    (folder / "htmx.min.js").write_bytes(b"changed")
    (folder / "uplot.min.css").unlink()
    (folder / "more.js").write_bytes(b"")
    assert [line.partition(":")[0] for line in differing(folder)] == [
        "uplot.min.css",
        "more.js",
        "htmx.min.js",
    ]
