"""The faults, by name: what each does to a stage, where it applies, and how long it lasts."""

from chaos.faults import databases, jobs, keystores, links, processes
from chaos.faults.base import Fault

ALL = {
    fault.name: fault
    for module in (processes, jobs, links, keystores, databases)
    for fault in module.FAULTS
}
"""Every fault by its name."""

__all__ = ["ALL", "Fault"]
