"""What tasks, job handles and collections share: the way to the store, and what tasks take."""

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from ferryman import codec
from ferryman.client.connections import Connections
from ferryman.client.direct import Direct
from ferryman.client.portal import Portal
from ferryman.domain.job import NewJob, Submitted
from ferryman.settings import Settings
from ferryman.stores import JobStore

T = TypeVar("T")


class Access:
    """The way to the store, from any thread, any event loop, and any forked process.

    Attributes:
        signatures: what each task takes and returns whose code is in this process, by its name.
    """

    def __init__(self, settings: Settings) -> None:
        self.signatures: dict[str, codec.Signature] = {}
        self._connections = Connections(settings)
        self._portal = Portal(self._connections.close)
        self._direct = Direct(settings)

    async def store(self) -> JobStore:
        """The open store of the running event loop.

        Raises:
            StoreUnavailable: the server cannot be reached.
        """
        return await self._connections.store()

    def transactional_store(self) -> JobStore:
        """A store without a connection, for `submit_in` over the caller's own."""
        return self._connections.unopened()

    def submit(self, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        """`JobStore.submit` from synchronous code: in this thread, or else on the portal's loop."""
        submitted = self._direct.submit(jobs)
        return self.run(self._submit(jobs)) if submitted is None else submitted

    async def _submit(self, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        return await (await self.store()).submit(jobs)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine from synchronous code."""
        return self._portal.run(coroutine)

    def close(self) -> None:
        """Let go of the connections that synchronous calls opened. Later calls open new ones."""
        self._direct.close()
        self._portal.close()

    async def aclose(self) -> None:
        """Let go of the running loop's connections. Later calls open new ones."""
        await self._connections.close()

    def encode_args(self, task: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """Arguments for a task, checked if its code is in this process.

        Raises:
            InvalidArguments: they do not fit the function, or are over 1 MiB.
        """
        signature = self.signatures.get(task)
        return signature.encode(args, kwargs) if signature else codec.encode_args(args, kwargs)

    def decode_result(self, task: str, result: bytes | None) -> Any:
        """A result as the type that the task's function declares, or as plain JSON values.

        Raises:
            InvalidArguments: the stored value does not fit that type.
        """
        signature = self.signatures.get(task)
        return codec.decode_result(result, signature.returns if signature else Any)
