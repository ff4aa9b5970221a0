"""Who is asking: the one seam through which every route learns it.

A route says which scope it needs: `who: Annotated[Principal, needs(Scope.READ)]`. What stands
behind `identify` is chosen once, by `create_app`.
"""

from typing import Annotated, Any

from fastapi import Depends

from ferryman.http.principal import Principal, Scope
from ferryman.http.problems import Problem


async def identify() -> Principal:
    """Recognise whoever asks. `create_app` puts the chosen way in this one's place."""
    raise NotImplementedError


def needs(scope: Scope) -> Any:
    """A dependency that gives the `Principal`, and refuses whoever does not hold `scope`."""

    async def check(who: Annotated[Principal, Depends(identify)]) -> Principal:
        if not who.may(scope):
            raise Problem(
                403, "missing-scope", f"this needs the scope {scope.value!r}", scope=scope.value
            )
        return who

    check.scope = scope  # type: ignore[attr-defined]  # read by the test of all routes
    return Depends(check)
