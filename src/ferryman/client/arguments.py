"""A job's arguments by name: as they are stored, as they are shown, and what of them is secret."""

import functools
from typing import Any

from ferryman import codec, masking
from ferryman.domain.errors import InvalidArguments


class Arguments:
    """The arguments of one job.

    Args:
        signature: of its task; `None` where this process does not know the task's code.
        data: as they are stored.
    """

    def __init__(self, signature: codec.Signature | None, data: bytes) -> None:
        self._signature = signature
        self._data = data

    @functools.cached_property
    def stored(self) -> dict[str, Any] | None:
        """By name, and by their number where the code is not known; `None`: they cannot be read."""
        try:
            args, kwargs = codec.decode_args(self._data)
            if self._signature is not None:
                return self._signature.gather(args, kwargs)
        except InvalidArguments:
            return None
        return {**{str(place): value for place, value in enumerate(args)}, **kwargs}

    @functools.cached_property
    def shown(self) -> dict[str, Any] | None:
        """The same without secrets."""
        stored = self.stored
        return stored and {
            name: masking.mask(value, self._kind(name), name) for name, value in stored.items()
        }

    @functools.cached_property
    def secrets(self) -> frozenset[str]:
        """The texts that must not be seen wherever the job is spoken of."""
        named = (self.stored or {}).items()
        found = (masking.secrets(value, self._kind(name), name) for name, value in named)
        return frozenset().union(*found)

    def _kind(self, name: str) -> Any:
        return Any if self._signature is None else self._signature.kind(name)
