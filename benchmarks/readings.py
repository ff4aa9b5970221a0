"""The readings of a run, as they are asked for: by system, measure and round."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks import systems
from benchmarks.figures import Spread, spread

BEST_OF = {
    "drain": ("drain.async.1", "drain.sync.1"),
    "drain.2": ("drain.async.2", "drain.sync.2"),
}
"""Measures of a system that stand for the better of several: it is free to choose its functions."""


class Readings:
    """What a run found out.

    Args:
        content: of the file that `benchmarks.compare` writes.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self._values: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
        for entry in content["readings"]:
            self._values[entry["system"], entry["measure"]][entry["round"]] = entry["value"]

    @property
    def systems(self) -> list[str]:
        """Those that gave readings, Ferryman's first."""
        found = {entry["system"] for entry in self.content["readings"]}
        return [name for name in systems.ALL if name in found]

    @property
    def rounds(self) -> int:
        """How many there were."""
        return max((entry["round"] for entry in self.content["readings"]), default=0)

    def values(self, system: str, measure: str) -> dict[int, float]:
        """The readings of one measure by round; those of the better one, if it stands for many."""
        if measure in BEST_OF:
            found = [self._values.get((system, one), {}) for one in BEST_OF[measure]]
            return max(found, key=lambda one: statistics.median(one.values()) if one else 0.0)
        return self._values.get((system, measure), {})

    def spread(self, system: str, measure: str) -> Spread | None:
        """Their median and how far they lie apart; nothing if there are none."""
        values = self.values(system, measure)
        return spread(list(values.values())) if values else None

    def best(self, systems: Iterable[str], measure: str, *, lowest: bool) -> str | None:
        """Which of these has the best median."""
        medians = {
            system: found.median for system in systems if (found := self.spread(system, measure))
        }
        if not medians:
            return None
        return (min if lowest else max)(medians, key=lambda system: medians[system])

    def ratio(self, system: str, other: str, measure: str) -> Spread | None:
        """How many times the other's reading, in each round that has both."""
        return paired(self.values(system, measure), self.values(other, measure))

    def unseen(self, system: str) -> dict[str, list[int]]:
        """`missing`: of each measurement in which jobs were not done, how many; `duplicates` too.

        Readings of the same measurement (percentiles of one drain) count as one.
        """
        found: dict[str, dict[tuple[Any, ...], int]] = {"missing": {}, "duplicates": {}}
        for entry in self.content["readings"]:
            for name, seen in found.items():
                if entry["system"] == system and (number := entry["detail"].get(name)):
                    key = (entry["round"], entry["measure"].split(".")[0], *entry["detail"].items())
                    seen[key] = number
        return {name: list(seen.values()) for name, seen in found.items() if seen}

    def noise(self, name: str) -> Sequence[float]:
        """The calibrations of the machine."""
        return [entry[name] for entry in self.content["noise"]]


def joined(contents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several runs as one; the rounds of each stay rounds of their own."""
    whole: dict[str, Any] = {**contents[0], "noise": [], "readings": [], "failures": []}
    whole["settings"] = {}
    for content in contents:
        before = max((entry["round"] for entry in whole["noise"]), default=0)
        for part in ("noise", "readings"):
            for entry in content[part]:
                whole[part].append(entry | {"round": entry["round"] + before})
        whole["failures"] += content["failures"]
        whole["settings"] |= content["settings"]
    return whole


def paired(own: dict[int, float], others: dict[int, float]) -> Spread | None:
    """The ratios of readings of the same round."""
    ratios = [own[number] / others[number] for number in own if others.get(number)]
    return spread(ratios) if ratios else None
