"""Dead letters by task and error: what fails, how often, since when."""

import hashlib
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from ferryman.http.api.dead_letters import DeadLetterGroup
from ferryman.http.api.dead_letters import dead_letters as grouped
from ferryman.http.api.parameters import Reader
from ferryman.http.dashboard.notes import short
from ferryman.http.dashboard.phrases import counted
from ferryman.http.dashboard.sight import EVERY, PageRoute, Seen

router = APIRouter(route_class=PageRoute)

LOOKED_AT: Final = 500
"""Dead letters, the newest ones, that the groups are made of."""


class Row:
    """A group as the page shows it.

    Attributes:
        key: names it within the page.
        pairs, query: the filters that it is, for forms and for addresses.
    """

    def __init__(self, group: DeadLetterGroup) -> None:
        self.group = group
        self.key = hashlib.sha256(f"{group.task}\n{group.error}".encode()).hexdigest()[:16]
        self.short = short(group.error)
        self.pairs = [("state", "failed"), ("task", group.task), ("error", group.error)]
        self.query = urlencode(self.pairs)


@router.get("/dead-letters")
async def dead_letters(seen: Seen, who: Reader) -> Response:
    """The groups, the largest first."""
    found = await grouped(seen.service, who, most=LOOKED_AT)
    return seen.page(
        who,
        "dead_letters.html",
        every=EVERY,
        rows=[Row(group) for group in found.groups],
        more=found.partial,
        looked_at=counted(found.looked_at, "job"),
        now=await (await seen.store()).now(),
    )
