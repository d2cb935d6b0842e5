"""Which replica looks after the subagents: a Lease, taken and renewed by compare-and-swap.

How long another one has been silent is judged by this process's own clock since it saw the lease change, as client-go
does: the wall clocks of two machines are never compared.
"""

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mcp_agentspawn.adapters.kubernetes.client import STRICT, Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.objects import text_of
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import LEASES
from mcp_agentspawn.core.errors import Conflict, Missing, Upstream
from mcp_agentspawn.core.names import SYSTEM_NAMESPACE
from mcp_agentspawn.core.ports import Clock

NAME = "agentspawn-reconciler"
LEASE_SECONDS = 15
RENEW_SECONDS = 5.0
MARGIN_SECONDS = 5.0
"""So much earlier than others may take it, it is no longer held: what was begun then comes to its end."""
REQUEST_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """A lease as it was read, or written."""

    version: str
    spec: Mapping[str, Any]

    @property
    def holder(self) -> str:
        return self.spec.get("holderIdentity") or ""


class KubernetesLeadership:
    """The Lease `agentspawn-reconciler` in the server's own namespace."""

    def __init__(
        self, client: Client, clock: Clock, process: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`process` is the holder's name, of no other process; `monotonic` counts seconds."""
        self.problem = ""
        """Why it could last not be asked for or renewed, `""` when it could: without it nobody may ever lead."""
        self._client = client
        self._clock = clock
        self._process = process
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._own: _Seen | None = None
        self._written_at = 0.0
        self._other: Mapping[str, Any] = {}
        self._other_at = 0.0

    async def held(self) -> bool:
        """See `core.watching.Leadership.held`."""
        async with self._lock:
            if self._own is None or self._age() >= RENEW_SECONDS:
                try:
                    await self._renew()
                    self.problem = ""
                except (Conflict, Missing):
                    self.problem = ""  # another one was faster
                except Upstream as error:
                    self.problem = str(error)  # it ends nothing: what is held lasts until its time is over
            return self._own is not None and self._age() < LEASE_SECONDS - MARGIN_SECONDS

    async def release(self) -> None:
        """See `core.watching.Leadership.release`."""
        async with self._lock:
            held, self._own = self._own, None
            if held is None:
                return
            with suppress(Upstream):  # then it runs out
                await self._put(held, {key: value for key, value in held.spec.items() if key != "holderIdentity"})

    def _age(self) -> float:
        return self._monotonic() - self._written_at

    async def _renew(self) -> None:
        if self._own is not None:
            try:
                await self._put(self._own, self._spec(self._own.spec))
            except (Conflict, Missing):
                self._own = None  # perhaps by a write of our own whose answer was lost
        if self._own is None:
            await self._take()

    async def _take(self) -> None:
        try:
            answer = await self._request("GET", LEASES.item(SYSTEM_NAMESPACE, NAME))
        except Missing:
            body = LEASES.object(_named(), spec=self._spec({}))
            await self._write("POST", LEASES.collection(SYSTEM_NAMESPACE), body)
            return
        found = read(_seen, answer)
        if not self._is_spoken_for(found):
            await self._put(found, self._spec(found.spec))

    def _is_spoken_for(self, found: _Seen) -> bool:
        """Whether another one holds it that was seen to live within the time of a lease."""
        if found.holder in {"", self._process}:
            return False
        now = self._monotonic()
        if found.spec != self._other:
            self._other, self._other_at = found.spec, now
        return now - self._other_at < LEASE_SECONDS

    async def _put(self, found: _Seen, spec: Mapping[str, Any]) -> None:
        body = LEASES.object(_named() | {"resourceVersion": found.version}, spec=spec)
        await self._write("PUT", LEASES.item(SYSTEM_NAMESPACE, NAME), body)

    async def _write(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        """The time of a lease runs from before it was written."""
        began = self._monotonic()
        written = read(_seen, await self._request(method, path, body), changes=True)
        if written.holder == self._process:
            self._own, self._written_at = written, began

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        query = STRICT if body else {}
        return await self._client.request(method, path, body, as_=SERVER, query=query, timeout_seconds=REQUEST_SECONDS)

    def _spec(self, before: Mapping[str, Any]) -> dict[str, Any]:
        now = text_of(self._clock.now())
        mine = before.get("holderIdentity") == self._process
        return {
            "holderIdentity": self._process,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": before.get("acquireTime", now) if mine else now,
            "renewTime": now,
            "leaseTransitions": before.get("leaseTransitions", -1) + (not mine),
        }


def this_process() -> str:
    """A name that no other process has: its host's, and something random."""
    return f"{socket.gethostname()[:63]}_{secrets.token_hex(8)}"


def _seen(lease: Mapping[str, Any]) -> _Seen:
    return _Seen(lease["metadata"]["resourceVersion"], dict(lease.get("spec") or {}))


def _named() -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": "agentspawn"}
    return {"name": NAME, "namespace": SYSTEM_NAMESPACE, "labels": labels}
