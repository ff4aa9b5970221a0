"""What a planted fault is."""

from typing import Final

import msgspec

from chaos.plants.edits import Edit

SQL: Final = "ferryman.stores.sql."
HYBRID: Final = "ferryman.stores.hybrid."
WORKER: Final = "ferryman.worker."
OUTCOMES: Final = "ferryman.domain.outcomes:"


class Plant(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of the product.

    Attributes:
        what: the fault in words.
        script: the name of the script that must show it.
        on: the deployments on which it bites.
        expects: the kinds of anomaly one of which must be found.
        fast: whether it is one of the few that every test run tries.
    """

    name: str
    what: str
    on: tuple[str, ...]
    script: str
    expects: tuple[str, ...]
    edits: tuple[Edit, ...]
    fast: bool = False
