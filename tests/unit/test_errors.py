"""The error tree in the documentation of the module is the tree of its classes."""

import inspect
import re
import types
from collections.abc import Callable

import pytest

from ferryman.domain import errors
from ferryman.domain.errors import FerrymanError, JobCancelled, JobExists, JobFailed

LINE = re.compile(r"^(?P<indent>(?:│   |    )*)(?:[├└]── )?(?P<name>[A-Z]\w+)(?:   +|$)")


def drawn(text: str) -> dict[str, str | None]:
    """Each class of a drawn tree with the class above it."""
    parents: dict[str, str | None] = {}
    above: list[str] = []
    for line in text.splitlines():
        match = LINE.match(line)
        if not match:
            continue
        depth = len(match["indent"]) // 4 + ("── " in line)
        above[depth:] = [match["name"]]
        parents[match["name"]] = above[depth - 1] if depth else None
    return parents


def declared(module: types.ModuleType) -> dict[str, str | None]:
    """Each error of a module with its base among the module's errors."""
    kinds = {
        name: kind
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__.startswith("ferryman")
    }
    return {
        name: next((base.__name__ for base in kind.__bases__ if base in kinds.values()), None)
        for name, kind in kinds.items()
    }


def test_the_drawn_tree_is_the_tree_of_the_classes() -> None:
    assert drawn(errors.__doc__ or "") == declared(errors)


@pytest.mark.parametrize(
    "fault",
    [
        lambda text: text.replace("├── LeaseLost", "├── LeaseGone"),
        lambda text: text.replace("    └── StoreUnsafe", "└── StoreUnsafe"),
        lambda text: re.sub(r"├── UnknownTask.*\n", "", text),
    ],
)
def test_a_wrongly_drawn_tree_is_noticed(fault: Callable[[str], str]) -> None:
    text = fault(errors.__doc__ or "")
    assert text != errors.__doc__
    assert drawn(text) != declared(errors)


def test_every_error_is_one_of_ours_and_says_what_it_is() -> None:
    for name in declared(errors):
        kind = getattr(errors, name)
        assert issubclass(kind, FerrymanError)
        assert (kind.__doc__ or "").endswith(".")


def test_errors_carry_what_a_caller_needs() -> None:
    assert JobExists("held", "a").job_id == "a"
    assert JobFailed("failed", {"id": "a"}).job == {"id": "a"}
    assert JobCancelled("cancelled", {"id": "a"}).job == {"id": "a"}
    assert str(JobExists("held", "a")) == "held"


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("InvalidArguments", ValueError),
        ("InvalidName", ValueError),
        ("UnknownTask", LookupError),
        ("JobNotFound", LookupError),
        ("WaitTimeout", TimeoutError),
        ("NoCurrentJob", RuntimeError),
    ],
)
def test_errors_are_what_python_calls_them_too(name: str, builtin: type[Exception]) -> None:
    assert issubclass(getattr(errors, name), builtin)
