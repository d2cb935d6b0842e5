"""Decisions of people as objects of any kind: found by what they are about, never changed."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from mcp_agentspawn.adapters.kubernetes.client import STRICT, Client
from mcp_agentspawn.adapters.kubernetes.errors import read as checked
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import Resource
from mcp_agentspawn.core.errors import Missing
from mcp_agentspawn.core.names import LABEL, SYSTEM_NAMESPACE


class Decision(Protocol):
    """What a person decided, on anything."""

    @property
    def name(self) -> str:
        """Of its object."""
        ...


D = TypeVar("D", bound=Decision)


class KubernetesDecisions(Generic[D]):
    """Decisions of one kind in the server's own namespace, always read fresh.

    `field` is what both the object's spec and the value call the id of what was decided on.
    """

    def __init__(
        self,
        client: Client,
        kind: Resource,
        field: str,
        write: Callable[[D], dict[str, Any]],
        read: Callable[[Mapping[str, Any]], D],
    ) -> None:
        self._client = client
        self._kind = kind
        self._all = kind.collection(SYSTEM_NAMESPACE)
        self._field = field
        self._write = write
        self._read = read

    async def of(self, id_: str, *, fresh: bool = True) -> Sequence[D]:
        """All about what has this id, also those about a namesake; or as they were last seen, unless `fresh`."""
        if re.fullmatch(LABEL, id_) is None:  # the id of nothing, and not to be read as another selector
            return []
        found = await self._list(f"spec.{self._field}={id_}", remembered=not fresh)
        return [decision for decision in found if getattr(decision, self._field) == id_]

    async def all(self) -> Sequence[D]:
        """All there are."""
        return await self._list("", remembered=False)

    async def create(self, decision: D) -> D:
        """Store a person's decision. Raises `Conflict` and `Refused`."""
        answer = await self._client.request("POST", self._all, self._write(decision), as_=SERVER, query=STRICT)
        return checked(self._read, answer, changes=True)

    async def delete(self, decision: D) -> None:
        """Remove it; gone already is success."""
        try:
            await self._client.request("DELETE", self._kind.item(SYSTEM_NAMESPACE, decision.name), as_=SERVER)
        except Missing:
            return

    async def _list(self, fields: str, *, remembered: bool) -> list[D]:
        found = await self._client.list(self._all, fields=fields, remembered=remembered)
        return checked(lambda items: [self._read(item) for item in items if not _is_leaving(item)], found)


def _is_leaving(stored: Mapping[str, Any]) -> bool:
    """Whether its decider has taken it back, although it is still listed."""
    return "deletionTimestamp" in stored["metadata"]
