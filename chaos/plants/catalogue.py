"""The planted faults: each is some edits, and the name of the script that must show it."""

from typing import Final

from chaos.plants import deliveries, lanes, leases, producers
from chaos.plants.plant import Plant

PLANTS: Final[tuple[Plant, ...]] = (
    *deliveries.PLANTS,
    *leases.PLANTS,
    *producers.PLANTS,
    *lanes.PLANTS,
)

ALL: Final = {plant.name: plant for plant in PLANTS}
"""Every planted fault by its name."""
