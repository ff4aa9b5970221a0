"""Which jobs a page shows: read from its address, and written into others."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from ferryman.http.bodies import Where
from ferryman.http.problems import Problem

FIELDS: Final = ("state", "task", "queue", "user", "tag", "text", "error", "since", "until")


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """The filters of an address as they were written there, and the place in the list."""

    state: str = ""
    task: str = ""
    queue: str = ""
    user: str = ""
    tag: str = ""
    text: str = ""
    error: str = ""
    since: str = ""
    until: str = ""
    cursor: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str] | Iterable[tuple[str, str]]) -> "Search":
        """What an address or a form asks for."""
        given = dict(values)
        return cls(**{name: given.get(name, "").strip() for name in (*FIELDS, "cursor")})

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The filters that are set."""
        return [(name, getattr(self, name)) for name in FIELDS if getattr(self, name)]

    @property
    def active(self) -> bool:
        """Whether any filter is set."""
        return bool(self.pairs)

    @property
    def rarely(self) -> bool:
        """Whether a filter is set that few use."""
        return bool(self.user or self.tag or self.error or self.since or self.until)

    @property
    def first(self) -> str:
        """The query of the list's first page."""
        return urlencode(self.pairs)

    def at(self, cursor: str) -> str:
        """The query of the page at `cursor`."""
        return urlencode([*self.pairs, ("cursor", cursor)])

    def where(self) -> Where:
        """The filters as the service knows them.

        Raises:
            Problem: one that cannot be used.
        """
        given: dict[str, Any] = dict(self.pairs)
        for name in ("since", "until"):
            if name in given and not given[name].endswith("Z") and "+" not in given[name]:
                given[name] += ":00Z" if given[name].count(":") == 1 else "Z"
        try:
            return msgspec.convert(given, Where)
        except msgspec.ValidationError as error:
            raise Problem(422, "not-a-filter", f"this filter cannot be used: {error}") from None

    def words(self) -> str:
        """The filters in words: `state failed, task read_receipt`; `all jobs` for none."""
        return ", ".join(f"{name} {value}" for name, value in self.pairs) or "all jobs"
