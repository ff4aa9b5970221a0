"""`ferryman init`: a first application."""

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from ferryman.cli.invocation import OUTPUT, Invocation, command

group = typer.Typer()


@command(group, "init", OUTPUT)
def init(
    call: Invocation,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file to write.")] = Path(
        "app.py"
    ),
) -> None:
    """Write a first application, with tasks to try."""
    _check(path)
    starter = resources.files("ferryman.cli").joinpath("starter.py").read_text("utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(starter.replace("{module}", path.stem))
    except FileExistsError:
        raise _refusal(f"{path} is there already, and is left as it is: name another") from None
    except OSError as error:
        raise _refusal(f"{path} cannot be written: {error.strerror}") from None
    steps = _steps(path)
    call.output.answer(
        {"created": str(path.resolve()), "next": list(steps)},
        lambda: _shown(path, steps),
    )


def _check(path: Path) -> None:
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise _refusal(f"{path} cannot be imported by its name: write for example jobs.py")


def _refusal(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="PATH")


def _steps(path: Path) -> dict[str, str]:
    """The commands to try next, and what each is for."""
    app = f"{path.stem}:app" if path.parent == Path() else str(path)
    there = f"--app {app}"
    return {
        f"ferryman dev {app}": "run its jobs (leave it running, and open another terminal)",
        f"""ferryman enqueue greet {there} --args '{{"name": "Ada"}}' --wait""": "ask for a job",
        f"ferryman enqueue count {there} --args '[20]'": "a long one: `jobs watch ID` shows it",
        f"ferryman enqueue divide {there} --args '[1, 0]'": "one that fails, three times",
        "ferryman jobs list": "what became of them",
        "ferryman dead-letters list": "what failed for good",
    }


def _shown(path: Path, steps: dict[str, str]) -> str:
    lines = [f"{path} is written: an application with three tasks. Try:"]
    for step, purpose in steps.items():
        lines += ["", f"  # {purpose}", f"  {step}"]
    return "\n".join(lines)
