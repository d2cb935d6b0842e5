"""Subagents as kagent Agents. Creating and deleting is done as a root's virtual user, looking as the server."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from mcp_agentspawn.adapters.kubernetes.client import STRICT, Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.objects import as_sent, is_of, subagent_of
from mcp_agentspawn.adapters.kubernetes.principals import SERVER, AsRoot, Principal
from mcp_agentspawn.adapters.kubernetes.resources import AGENTS
from mcp_agentspawn.core.errors import Missing, Refused
from mcp_agentspawn.core.model import Manifest, Root, Subagent
from mcp_agentspawn.core.names import PROPOSAL, TREE

DRY_RUN = {"dryRun": "All"}
# The server gives up first, so that a timeout of ours means more than "not yet".
CREATE_SECONDS = 8
CREATE_TIMEOUT_SECONDS = 9.0


class KubernetesAgents:
    """Agents of kagent.dev/v1alpha2."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def trial(self, root: Root, proposal: str, manifest: Manifest) -> Manifest:
        """See `core.ports.Agents.trial`."""
        answer = await self._post(root, proposal, manifest, DRY_RUN, asks=True, timeout_seconds=5.0)
        return read(as_sent, answer)

    async def create(self, root: Root, proposal: str, manifest: Manifest) -> Subagent:
        """See `core.ports.Agents.create`."""
        query = {"timeout": f"{CREATE_SECONDS}s"}
        answer = await self._post(root, proposal, manifest, query, asks=False, timeout_seconds=CREATE_TIMEOUT_SECONDS)
        return read(subagent_of, answer, changes=True)

    async def get(self, home: str, id_: str) -> Subagent | None:
        """See `core.ports.Agents.get`. One that is not ours has an empty `virtual_user`."""
        try:
            return read(subagent_of, await self._client.request("GET", AGENTS.item(home, id_), as_=SERVER))
        except Missing:
            return None

    async def of_root(self, root: Root) -> Sequence[Subagent]:
        """See `core.ports.Agents.of_root`."""
        found = await self._list(root.home, f"{TREE}={root.label}")
        return [subagent for subagent in found if is_of(subagent, root)]

    async def of_home(self, home: str) -> Sequence[Subagent]:
        """See `core.ports.Agents.of_home`."""
        return [subagent for subagent in await self._list(home, PROPOSAL) if subagent.virtual_user]

    async def trial_delete(self, root: Root, id_: str, uid: str) -> None:
        """See `core.ports.Agents.trial_delete`.

        The API server reads a body's options and no others; the query keeps a body that is lost from being a deletion.
        """
        options = {"preconditions": {"uid": uid}, "dryRun": ["All"]}
        path, principal = AGENTS.item(root.home, id_), AsRoot(root, id_)
        with suppress(Missing):
            await self._client.request("DELETE", path, options, as_=principal, query=DRY_RUN, asks=True)

    async def delete(self, root: Root, id_: str, uid: str) -> bool:
        """See `core.ports.Agents.delete`."""
        return await self._delete(root.home, id_, uid, AsRoot(root, id_))

    async def expire(self, home: str, id_: str, uid: str) -> bool:
        """See `core.ports.Agents.expire`."""
        return await self._delete(home, id_, uid, SERVER)

    async def _post(
        self, root: Root, proposal: str, manifest: Manifest, query: Mapping[str, str], **how: Any
    ) -> dict[str, Any]:
        """A create has no object that could be missing, so a 404 is about its namespace or its kind."""
        path, principal = AGENTS.collection(root.home), AsRoot(root, proposal)
        try:
            return await self._client.request("POST", path, manifest, as_=principal, query={**STRICT, **query}, **how)
        except Missing as error:
            raise Refused("missing", str(error)) from error

    async def _list(self, home: str, selector: str) -> list[Subagent]:
        found = await self._client.list(AGENTS.collection(home), selector=selector)
        return read(lambda items: [subagent_of(item) for item in items], found)

    async def _delete(self, home: str, id_: str, uid: str, principal: Principal) -> bool:
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            answer = await self._client.request("DELETE", AGENTS.item(home, id_), options, as_=principal)
        except Missing:
            return True
        # A Status says that it is gone; one that waits for a finalizer is answered itself.
        return answer.get("kind") == "Status"
