"""Cuts subagents off by NetworkPolicies; see `network_policies` for why it takes more than one.

First the agent is left out of every policy of ours that allows something: `default-deny` then leaves its pod nothing.
The policy `<agent>-quarantine` comes last, as the record that all of it was done: a crash before leaves fewer ways than
there were, and an agent that does not count as cut off, so that it is done again. `lift` takes the record away last,
and waits for the agent's pods to be gone: one that is asked to end runs on for a while, half a minute as a rule.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mcp_agentspawn.adapters.kubernetes.client import STRICT, Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.network_policies import (
    POD_LABEL,
    Write,
    cutting,
    holes,
    lifting,
    over,
    owner_of,
    standing,
)
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import NETWORK_POLICIES, PODS
from mcp_agentspawn.core.errors import Conflict, Missing, Refused, Unavailable
from mcp_agentspawn.core.model import Subagent

MOST_ROUNDS = 8

Policies = Sequence[dict[str, Any]]


class KubernetesCordon:
    """NetworkPolicies in the agents' namespaces. A network plugin has to enforce them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._turns = defaultdict[str, asyncio.Lock](asyncio.Lock)

    async def cut_off(self, agent: Subagent) -> None:
        """See `core.watching.Cordon.cut_off`.

        Raises `Refused` with `cordon.incomplete`, after all that could be done, when policies still let it through:
        an operator's own, or one that leaves out as many agents as it can.
        """
        owner = owner_of(agent)
        policies, refusals = await self._settle(agent.home, lambda listed: cutting(listed, agent.id, owner))
        if left := read(lambda listed: holes(listed, agent.id), policies):
            names = ", ".join(left)
            raise Refused("cordon.incomplete", f"Network policies still let {agent.id} through: {names}.")
        if refusals:
            raise refusals[0]

    async def lift(self, home: str, agent: str) -> None:
        """See `core.watching.Cordon.lift`. Raises `Unavailable` as long as a pod of it is there, gone Agent or not."""
        policies = await self._list(home)
        if not read(lambda listed: lifting(listed, agent), policies):
            return
        running = await self._running(home, read(lambda listed: over(listed, agent), policies))
        if agent in running:
            raise Unavailable(f"A pod of {agent} is still there.")
        _, refusals = await self._settle(home, lambda listed: lifting(listed, agent, running))
        if refusals:
            raise refusals[0]

    async def standing(self, home: str) -> Mapping[str, str]:
        """See `core.watching.Cordon.standing`. Those of whom something is left to do are not in it."""
        return read(standing, await self._list(home))

    async def _running(self, home: str, agents: Sequence[str]) -> Collection[str]:
        """Those of them of which there are pods."""
        pods = await self._client.list(PODS.collection(home), selector=f"{POD_LABEL} in ({','.join(agents)})")
        return read(lambda listed: {pod["metadata"]["labels"][POD_LABEL] for pod in listed}, pods)

    async def _settle(
        self, home: str, due: Callable[[Policies], Sequence[Write]]
    ) -> tuple[Policies, Sequence[Refused]]:
        """Write what is due until nothing is; give the policies as they then are, and what was refused.

        All in a namespace edit the same policies: one at a time, so that they do not keep each other from it.
        """
        refused: dict[str, Refused] = {}
        async with self._turns[home]:
            for _ in range(MOST_ROUNDS):
                policies = await self._list(home)
                writes = [write for write in read(due, policies) if write.name not in refused]
                if not writes:
                    return policies, list(refused.values())
                await self._round(home, writes, refused)
        raise Unavailable("The network policies there keep changing.")

    async def _round(self, home: str, writes: Sequence[Write], refused: dict[str, Refused]) -> None:
        for write in writes:
            try:
                await self._write(home, write)
            except (Conflict, Missing):
                return  # somebody else wrote in between: look again before going on
            except Refused as refusal:
                refused[write.name] = refusal

    async def _write(self, home: str, write: Write) -> None:
        creates = write.method == "POST"
        path = NETWORK_POLICIES.collection(home) if creates else NETWORK_POLICIES.item(home, write.name)
        query = {} if write.method == "DELETE" else STRICT
        await self._client.request(write.method, path, write.body, as_=SERVER, query=query)

    async def _list(self, home: str) -> Policies:
        return await self._client.list(NETWORK_POLICIES.collection(home))
