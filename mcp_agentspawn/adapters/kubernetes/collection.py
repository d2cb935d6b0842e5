"""Objects of one kind whose spec is written once, and whose status tells what became of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from mcp_agentspawn.adapters.kubernetes.client import STRICT, Client
from mcp_agentspawn.adapters.kubernetes.errors import read as checked
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import Resource
from mcp_agentspawn.core.errors import Missing
from mcp_agentspawn.core.names import SYSTEM_NAMESPACE


class Versioned(Protocol):
    """What is stored, and which of its versions it is."""

    @property
    def id(self) -> str:
        """Of its object."""
        ...

    @property
    def version(self) -> str:
        """Every change replaces it."""
        ...


R = TypeVar("R", bound=Versioned)


class KubernetesCollection(Generic[R]):
    """All of one kind in the server's own namespace, always read fresh."""

    def __init__(
        self,
        client: Client,
        kind: Resource,
        write: Callable[[R], dict[str, Any]],
        read: Callable[[Mapping[str, Any]], R],
    ) -> None:
        self._client = client
        self._kind = kind
        self._all = kind.collection(SYSTEM_NAMESPACE)
        self._write = write
        self._read = read

    async def create(self, record: R) -> R:
        """Store a new one: of its status the API server takes nothing. Raises `Conflict` when its id is taken."""
        answer = await self._client.request("POST", self._all, self._write(record), as_=SERVER, query=STRICT)
        return checked(self._read, answer, changes=True)

    async def get(self, id_: str) -> R | None:
        """Read one; `None` when there is none."""
        try:
            return checked(self._read, await self._client.request("GET", self._path(id_), as_=SERVER))
        except Missing:
            return None

    async def all(self) -> Sequence[R]:
        """All there are."""
        return await self._selected("")

    async def delete(self, record: R) -> None:
        """Remove it if it is still at its version; gone already is success. Raises `Conflict`."""
        options = {"preconditions": {"resourceVersion": record.version}}
        try:
            await self._client.request("DELETE", self._path(record.id), options, as_=SERVER)
        except Missing:
            return

    async def _put(self, record: R, status: Mapping[str, Any]) -> R:
        # Of a PUT to /status the API server takes nothing but the status and the version to be compared.
        metadata = {"name": record.id, "namespace": SYSTEM_NAMESPACE, "resourceVersion": record.version}
        changed = self._kind.object(metadata, status=status)
        answer = await self._client.request("PUT", self._path(record.id, "status"), changed, as_=SERVER, query=STRICT)
        return checked(self._read, answer, changes=True)

    async def _selected(self, selector: str) -> list[R]:
        found = await self._client.list(self._all, selector=selector, page=self._kind.page)
        return checked(lambda items: [self._read(item) for item in items], found)

    def _path(self, id_: str, subresource: str = "") -> str:
        return self._kind.item(SYSTEM_NAMESPACE, id_, subresource)
