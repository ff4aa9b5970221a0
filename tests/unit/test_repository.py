"""Rules of the repository that no other tool checks."""

import ast
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 500
MOST_FUNCTION_LINES = 60
CODE = {".py", ".lua", ".sql", ".toml", ".js", ".css", ".html"}
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec"}
ADDRESS = re.compile(r"https?://|--(?:extra-)?index-url|--find-links|file:|git\+", re.IGNORECASE)


def files() -> list[Path]:
    """All files that are kept, or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def named(path: Path) -> str:
    """A path as a reader of the repository knows it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def too_long(paths: list[Path]) -> list[str]:
    """Files of code with more lines than a reader can keep in mind."""
    counted = ((path, len(path.read_text().splitlines())) for path in paths if path.suffix in CODE)
    return [f"{named(path)}: {lines} lines" for path, lines in counted if lines > MOST_LINES]


def long_functions(paths: list[Path]) -> list[str]:
    """Functions whose code, without signature and documentation, is longer than a screen."""
    return [
        f"{named(path)}:{node.lineno} {node.name}"
        for path in paths
        for node in ast.walk(_parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and _code_lines(node) > MOST_FUNCTION_LINES
    ]


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    code = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - code[0].lineno + 1 if code else 0


def _parsed(path: Path) -> ast.Module:
    with tokenize.open(path) as file:
        return ast.parse(file.read())


def unsafe(paths: list[Path]) -> list[str]:
    """Imports of modules, and calls, that would run what a payload says."""
    return [
        f"{named(path)}:{line} {name}"
        for path in paths
        for line, name in _mentions(_parsed(path))
        if name.partition(".")[0] in UNSAFE_MODULES or name in UNSAFE_CALLS
    ]


def _mentions(module: ast.Module) -> Iterator[tuple[int, str]]:
    """The modules that are imported, by statement or by name, and the functions that are called."""
    for node in ast.walk(module):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=str(name)):
                yield node.lineno, name
            case ast.Call(func=ast.Name(id=name)):
                yield node.lineno, name
                yield from _named_imports(name, node)
            case ast.Call(func=ast.Attribute(attr=name)):
                yield from _named_imports(name, node)


def _named_imports(function: str, call: ast.Call) -> Iterator[tuple[int, str]]:
    if function in ("__import__", "import_module"):
        for argument in call.args:
            if isinstance(argument, ast.Constant):
                yield call.lineno, str(argument.value)


def addresses(paths: list[Path]) -> list[str]:
    """Lines of lock files that say where a package comes from."""
    return [
        f"{named(path)}: {line.strip()}"
        for path in paths
        for line in path.read_text().splitlines()
        if ADDRESS.search(line)
    ]


def unhashed(paths: list[Path]) -> list[str]:
    """Requirements of lock files without a hash."""
    joined = (re.sub(r"\\\n\s*", " ", path.read_text()) for path in paths)
    lines = (line for text in joined for line in text.splitlines() if "==" in line)
    return [line for line in lines if "--hash=sha256:" not in line]


def python(paths: list[Path], *below: str) -> list[Path]:
    """The Python files, all or those below some directories."""
    chosen = [path for path in paths if path.suffix == ".py"]
    roots = [ROOT / part for part in below]
    return [path for path in chosen if not roots or any(map(path.is_relative_to, roots))]


def locks(paths: list[Path]) -> list[Path]:
    """The lock files."""
    return [path for path in paths if path.suffix == ".lock" or path.name.endswith("-lock.json")]


def test_no_file_is_too_long() -> None:
    assert too_long(files()) == []


def test_no_function_is_too_long() -> None:
    # A migration is the list of what it changes, and is never edited again.
    checked = [path for path in python(files(), "src", "tests") if "versions" not in path.parts]
    assert long_functions(checked) == []


def test_nothing_runs_what_a_payload_says() -> None:
    assert unsafe(python(files())) == []


def test_locks_name_versions_and_hashes_and_no_addresses() -> None:
    found = locks(files())
    assert len(found) >= 2
    assert addresses(found) == []
    assert unhashed(found) == []


def written(directory: Path, name: str, text: str) -> list[Path]:
    path = directory / name
    path.write_text(text)
    return [path]


@pytest.mark.parametrize("name", ["a.py", "a.lua", "a.sql"])
def test_a_file_that_is_too_long_is_noticed(tmp_path: Path, name: str) -> None:
    assert too_long(written(tmp_path, name, "x\n" * 501)) == [f"{name}: 501 lines"]
    assert too_long(written(tmp_path, name, "x\n" * 500)) == []


def test_a_function_that_is_too_long_is_noticed(tmp_path: Path) -> None:
    for kind in ("def", "async def"):
        long = f"{kind} f():\n" + "    x = 1\n" * 61
        assert long_functions(written(tmp_path, "a.py", long)) == ["a.py:1 f"]
        short = (
            f"{kind} f():\n" + '    """What it does.\n\n    More.\n    """\n' + "    x = 1\n" * 60
        )
        assert long_functions(written(tmp_path, "a.py", short)) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import os, cloudpickle as c",
        "from pickle import loads",
        "def f():\n    import shelve",
        "import importlib; importlib.import_module('pickle')",
        "__import__('dill')",
        "eval('1')",
        "exec('1')",
    ],
)
def test_code_that_runs_what_a_payload_says_is_noticed(tmp_path: Path, line: str) -> None:
    assert unsafe(written(tmp_path, "a.py", line)) != []


def test_a_script_of_the_server_is_no_such_code(tmp_path: Path) -> None:
    assert unsafe(written(tmp_path, "a.py", "client.eval('return 1', 0); re.compile('x')")) == []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://packages.example/simple",
        "a @ https://packages.example/a.whl",
        "a @ git+ssh://example/a",
        '"resolved": "https://registry.example/a.tgz"',
        "--find-links /wheels",
    ],
)
def test_an_address_in_a_lock_is_noticed(tmp_path: Path, line: str) -> None:
    assert addresses(written(tmp_path, "a.lock", f"a==1 \\\n    --hash=sha256:0\n{line}\n")) != []


def test_a_requirement_without_a_hash_is_noticed(tmp_path: Path) -> None:
    text = (
        "a==1 \\\n    --hash=sha256:00\nb==2\nc==3 ; python_version < '4' \\\n    --hash=sha256:1\n"
    )
    assert unhashed(written(tmp_path, "a.lock", text)) == ["b==2"]
