"""Acts on many jobs: asked first, with how many they are about, and then done."""

from collections.abc import Sequence
from typing import Final, cast, get_args

from fastapi import APIRouter
from starlette.responses import Response

from ferryman.http import selection
from ferryman.http.api import jobs as api
from ferryman.http.api.parameters import JobOperator
from ferryman.http.bodies import BulkBody
from ferryman.http.dashboard.phrases import counted
from ferryman.http.dashboard.rendering import address
from ferryman.http.dashboard.search import Search
from ferryman.http.dashboard.sight import PageRoute, Seen
from ferryman.http.problems import Problem

router = APIRouter(route_class=PageRoute)

SAMPLE: Final = 20
"""Jobs that the question names."""

ALL: Final = "all-"
MEANS: Final = {
    "cancel": "Jobs that have not started never will; running ones are asked to stop, and are "
    "stopped if they do not. What has ended stays as it is.",
    "retry": "Failed and cancelled jobs go back to their queues with all their attempts anew; what "
    "has not ended, and what succeeded, stays as it is.",
    "discard": "Ended jobs are deleted with their results, errors and histories. What has not "
    "ended stays. This cannot be undone.",
}


@router.post("/bulk")
async def bulk(seen: Seen, who: JobOperator) -> Response:
    """Ask, or do it where that was confirmed."""
    form = await seen.form()
    asked = dict(form).get("act", "")
    act, everything = _act(asked.removeprefix(ALL)), asked.startswith(ALL)
    search = Search.of(form)
    chosen = tuple(dict.fromkeys(value for name, value in form if name == "id"))
    body = (
        BulkBody(action=act, where=search.where())
        if everything
        else BulkBody(action=act, ids=chosen)
    )
    if dict(form).get("confirmed") == "yes":
        done = await api.act(seen.service, who, body)
        remaining = {} if not everything and len(chosen) == 1 else dict(search.pairs)
        return seen.elsewhere("jobs", **remaining, done=act, n=str(done.changed))
    store = await seen.store()
    ids, more = await selection.select(seen.service, body.ids, body.where, who)
    found = await store.get(ids[:SAMPLE])
    pairs = search.pairs if everything else [*search.pairs, *(("id", one) for one in ids)]
    return seen.page(
        who,
        "confirm.html",
        question=question(act, len(ids), more),
        means=[MEANS[act], *_scope(search, everything, more)] if ids else ["No job matches."],
        values=[("act", asked), *pairs],
        action=address(seen.request, "bulk"),
        verb=f"{act.capitalize()} {counted(len(ids), 'job')}",
        risky=act != "retry",
        total=len(ids),
        sample=[job for job in found if job is not None],
        back=address(seen.request, "jobs", dict(search.pairs)),
    )


def _act(word: str) -> selection.Act:
    for known in get_args(selection.Act):
        if word == known:
            return cast(selection.Act, known)
    raise Problem(422, "not-an-act", "choose what to do: cancel, retry or discard")


def question(act: str, number: int, more: bool) -> str:
    """What is asked: `Cancel 1,000 jobs?`."""
    some = "the newest " if more else ""
    return f"{act.capitalize()} {some}{counted(number, 'job')}?"


def _scope(search: Search, everything: bool, more: bool) -> Sequence[str]:
    if not everything:
        return []
    lines = [f"They are those that match now: {search.words()}."]
    if more:
        lines.append("There are more: do it again for those.")
    return lines
