"""What is measured: a bare POST of an Agent, and the same through our operations and through MCP."""

import asyncio
import copy
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import aiohttp

from bench.figures import BARE, Batch
from mcp_agentspawn.core.model import Caller, Root
from mcp_agentspawn.core.request import Ask
from mcp_agentspawn.operations.answers import Applied, Proposed, Retired
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.retire import retire
from mcp_agentspawn.operations.services import Services
from tests.faults.servers import Server

TOPIC = "How do admission policies compare with webhooks?"
NUMBERS = count(1)

Call = Callable[[], Awaitable[Any]]


async def measured(contender: str, concurrency: int, calls: Sequence[Call]) -> tuple[Batch, list[Any]]:
    """Make all calls, so many at a time; their answers in order."""
    seconds, answers = [0.0] * len(calls), [None] * len(calls)
    waiting = iter(range(len(calls)))

    async def worker() -> None:
        for number in waiting:
            started = time.perf_counter()
            answers[number] = await calls[number]()
            seconds[number] = time.perf_counter() - started

    cpu = time.process_time()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return Batch(contender, concurrency, seconds, (time.process_time() - cpu) / len(calls)), answers


@dataclass(frozen=True)
class Bare:
    """The same Agent, sent by a service account that may, to a namespace where nothing guards."""

    session: aiohttp.ClientSession
    path: str
    manifest: dict[str, Any]

    async def run(self, concurrency: int, calls: int) -> list[Batch]:
        """One batch; what it made is removed before it returns."""
        names = [f"sub-bare-{next(NUMBERS)}" for _ in range(calls)]
        batch, _ = await measured(BARE, concurrency, [partial(self._post, name) for name in names])
        await asyncio.gather(*map(self._delete, names))
        return [batch]

    async def _post(self, name: str) -> None:
        agent = copy.copy(self.manifest)
        agent["metadata"] = {**agent["metadata"], "name": name, "namespace": "bare"}
        body = json.dumps(agent, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json"}
        async with self.session.post(f"{self.path}?fieldValidation=Strict", data=body, headers=headers) as response:
            json.loads(await response.read())
            assert response.ok

    async def _delete(self, name: str) -> None:
        async with self.session.delete(f"{self.path}/{name}") as response:
            await response.read()
            assert response.ok


@dataclass(frozen=True)
class Operations:
    """Our operations, called in this process."""

    services: Services

    async def run(self, root: Root, concurrency: int, calls: int) -> list[Batch]:
        """Three batches: propose, apply and retire the same subagents."""
        caller = Caller(root)
        asked = [partial(self.propose, caller)] * calls
        first, proposals = await measured("operations propose", concurrency, asked)
        applied = [partial(self.apply, caller, made) for made in proposals]
        second, agents = await measured("operations apply", concurrency, applied)
        await self.services.later.settle()
        retired = [partial(self.retire, caller, made) for made in agents]
        third, _ = await measured("operations retire", concurrency, retired)
        await self.services.later.settle()
        return [first, second, third]

    async def propose(self, caller: Caller) -> Proposed:
        """Propose something that nobody asked for before."""
        ask = Ask("researcher", f"Question {next(NUMBERS)}", parameters=(("topic", TOPIC),))
        answer = await propose(self.services, caller, ask)
        assert isinstance(answer, Proposed), answer
        return answer

    async def apply(self, caller: Caller, proposal: Proposed) -> Applied:
        """Apply it."""
        answer = await apply(self.services, caller, proposal.proposal, proposal.digest)
        assert isinstance(answer, Applied), answer
        return answer

    async def retire(self, caller: Caller, agent: Applied) -> None:
        """Retire it."""
        answer = await retire(self.services, caller, agent.agent)
        assert isinstance(answer, Retired), answer
        assert answer.phase == "retired"


@dataclass(frozen=True)
class Mcp:
    """The tools of a server process, called over HTTP."""

    server: Server

    async def run(self, token: str, concurrency: int, calls: int) -> list[Batch]:
        """Three batches, as with the operations."""
        server = self.server.of(token)
        asked = [lambda: self._called(server, "propose_subagent", **_question())] * calls
        first, proposals = await measured("mcp propose", concurrency, asked)
        applied = [
            lambda made=made: self._called(server, "apply_subagent", proposal=made["proposal"], digest=made["digest"])
            for made in proposals
        ]
        second, agents = await measured("mcp apply", concurrency, applied)
        await asyncio.sleep(0.1)
        retired = [lambda made=made: self._called(server, "retire_subagent", agent=made["agent"]) for made in agents]
        third, _ = await measured("mcp retire", concurrency, retired)
        await asyncio.sleep(0.1)
        return [first, second, third]

    async def _called(self, server: Server, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = await server.call(tool, **arguments)
        assert answer["outcome"] == "allowed", answer
        return answer


def _question() -> dict[str, Any]:
    parameters = [{"name": "topic", "value": TOPIC}]
    return {"template": "researcher", "purpose": f"Question {next(NUMBERS)}", "parameters": parameters}
