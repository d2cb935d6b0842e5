"""The switches that people hold, as SpawnFreeze and SpawnReset objects."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from mcp_agentspawn.adapters.kubernetes.answers import Answers
from mcp_agentspawn.adapters.kubernetes.client import STRICT, Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.objects import time_of
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import FREEZES, RESETS
from mcp_agentspawn.core.errors import Conflict, Missing, Unavailable, Upstream
from mcp_agentspawn.core.names import SYSTEM_NAMESPACE
from mcp_agentspawn.core.switches import Freeze, Reset, Switches

KNOWN_SECONDS = 0.5
MOST_TRIES = 5
ALL_FREEZES = FREEZES.collection(SYSTEM_NAMESPACE)
ALL_RESETS = RESETS.collection(SYSTEM_NAMESPACE)


class KubernetesSwitchboard:
    """All switches are read together, and remembered for half a second; what could not be read is not known."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._answers = Answers[str, Switches](KNOWN_SECONDS, 1, clock)

    async def current(self, *, fresh: bool = False) -> Switches:
        """See `core.ports.Switchboard.current`. Whatever fails is `Unavailable`: an old answer would be a guess."""
        try:
            return await self._answers.get(SYSTEM_NAMESPACE, partial(self._read, remembered=not fresh), fresh=fresh)
        except Upstream as error:
            raise Unavailable(f"The switches can not be read: {error}") from error

    async def set(self, freeze: Freeze) -> Freeze | None:
        """See `core.ports.Switchboard.set`."""
        for _ in range(MOST_TRIES):
            try:
                return await self._replace(freeze)
            except Conflict:
                continue
        raise Unavailable(f"Others switch {freeze.name} at the same moment, so nothing was changed.")

    async def reset(self, reset: Reset) -> Reset:
        """See `core.ports.Switchboard.reset`."""
        answer = await self._client.request("POST", ALL_RESETS, _reset_object(reset), as_=SERVER, query=STRICT)
        return read(reset_of, answer, changes=True)

    async def forget(self, reset: Reset) -> None:
        """See `core.ports.Switchboard.forget`."""
        try:
            await self._client.request("DELETE", RESETS.item(SYSTEM_NAMESPACE, reset.name), as_=SERVER)
        except Missing:
            return

    async def _read(self, *, remembered: bool) -> Switches:
        """`remembered`: as the API server knows them, which refuses by the same knowledge what we would let pass."""
        freezes, resets = await asyncio.gather(
            self._client.list(ALL_FREEZES, remembered=remembered), self._client.list(ALL_RESETS, remembered=remembered)
        )
        return Switches(
            read(lambda items: tuple(freeze_of(item) for item in items), freezes),
            read(lambda items: tuple(reset_of(item) for item in items), resets),
        )

    async def _replace(self, freeze: Freeze) -> Freeze | None:
        """One try: over what is there now, or where nothing is. Raises Conflict when somebody was faster."""
        path = FREEZES.item(SYSTEM_NAMESPACE, freeze.name)
        try:
            found = await self._client.request("GET", path, as_=SERVER)
        except Missing:
            await self._client.request("POST", ALL_FREEZES, _freeze_object(freeze, {}), as_=SERVER, query=STRICT)
            return None
        kept = read(lambda stored: _kept(stored["metadata"]), found)
        try:
            await self._client.request("PUT", path, _freeze_object(freeze, kept), as_=SERVER, query=STRICT)
        except Missing as error:
            raise Conflict("It has just been removed.") from error
        # What can not be read is replaced all the same: a freeze must not wait for anybody's repair.
        with suppress(Unavailable):
            return read(freeze_of, found)
        return None


def freeze_of(stored: Mapping[str, Any]) -> Freeze:
    """Read a stored freeze."""
    spec = stored["spec"]
    if not isinstance(spec["frozen"], bool):
        raise TypeError("neither frozen nor not")
    return Freeze(
        name=stored["metadata"]["name"],
        frozen=spec["frozen"],
        reason=spec["reason"],
        by=spec["by"],
        namespace=spec["namespace"],
        root=spec["root"],
    )


def reset_of(stored: Mapping[str, Any]) -> Reset:
    """Read a stored reset."""
    metadata, spec = stored["metadata"], stored["spec"]
    return Reset(
        name=metadata["name"],
        root=spec["root"],
        counts=spec["counts"] is True,
        account=spec["account"],
        reason=spec["reason"],
        by=spec["by"],
        at=time_of(metadata["creationTimestamp"]),
    )


def _kept(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: metadata[key] for key in ("labels", "annotations", "resourceVersion") if key in metadata}


def _freeze_object(freeze: Freeze, kept: Mapping[str, Any]) -> dict[str, Any]:
    spec = {
        "frozen": freeze.frozen,
        "namespace": freeze.namespace,
        "root": freeze.root,
        "reason": freeze.reason,
        "by": freeze.by,
    }
    return FREEZES.object({**kept, "name": freeze.name, "namespace": SYSTEM_NAMESPACE}, spec=spec)


def _reset_object(reset: Reset) -> dict[str, Any]:
    spec = {
        "root": reset.root,
        "counts": reset.counts,
        "account": reset.account,
        "reason": reset.reason,
        "by": reset.by,
    }
    return RESETS.object({"name": reset.name, "namespace": SYSTEM_NAMESPACE}, spec=spec)
