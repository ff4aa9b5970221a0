"""Planted faults: the harness proves itself by catching each fault that is put into the product."""

import os
from typing import Final

PLANT: Final = "CHAOS_PLANT"
"""The name of the fault that is planted in the processes of a run."""


def install() -> None:
    """Plant the fault that the environment names in this process."""
    name = os.environ.get(PLANT)
    if name:
        # Only now: what has no planted fault need not know of any.
        from chaos.plants import catalogue, edits

        edits.make(catalogue.ALL[name].edits)
