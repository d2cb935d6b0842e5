"""What work costs when it is given through us, against a direct A2A call to the same agent, interleaved in one run.

    python -m bench.delegate [--rounds N] [--save]

The agent lives in kagent's own Python runtime (`make setup`) behind a scripted model. The ratio is of work that takes
a model a second, which is little, and a quarter of one, which is less; with a model that answers at once, what is added
is seen alone.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiohttp import web

from bench.figures import save
from mcp_agentspawn.adapters.a2a import A2aAgents
from mcp_agentspawn.adapters.a2a.agents import CARD_PATH
from mcp_agentspawn.adapters.audit_log import opened
from mcp_agentspawn.adapters.kubernetes.world import connect
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.localplane import Binaries, ControlPlane, find_or_build
from mcp_agentspawn.localplane.agents import AgentRuntime
from mcp_agentspawn.localplane.agents.translating import application_name, card
from mcp_agentspawn.operations.answers import Applied, Proposed, TaskAnswered
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.delegate import delegate
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.services import Services
from tests.builders import FixedRules, ask, policy, services_on, template
from tests.clients.environments import kagent_python
from tests.clients.scripted_model import ScriptedModel, serving
from tests.faults.cluster import AGENTS, Cluster, equip
from tests.faults.replicas import ROOMY, kubeconfig
from tests.localplane.waiting import until

AIM = 1.3
THOUGHT_SECONDS = (0.0, 0.25, 1.0)
WAIT_SECONDS = 20
NUMBERS = count(1)


@dataclass
class Model(ScriptedModel):
    """Takes its time before it answers."""

    seconds: float = 0.0

    async def answer(self, request: web.Request) -> web.Response:
        """What the script says, later."""
        await asyncio.sleep(self.seconds)
        return await super().answer(request)


@dataclass(frozen=True)
class Field:
    """One agent, and both ways to it."""

    services: Services
    caller: Caller
    agent: str
    url: str
    session: aiohttp.ClientSession
    model: "Model"

    async def direct(self) -> float:
        """Seconds of one blocking `message/send`."""
        number = next(NUMBERS)
        part = {"kind": "text", "text": f"Count to {number}"}
        message = {"kind": "message", "messageId": f"direct-{number}", "role": "user", "parts": [part]}
        params = {"message": message, "configuration": {"blocking": True}}
        began = time.perf_counter()
        body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": params}
        async with self.session.post(self.url, json=body) as response:
            assert (await response.json())["result"]["status"]["state"] == "completed"
        return time.perf_counter() - began

    async def through_us(self) -> float:
        """Seconds of one `delegate_task` that waits for the result."""
        began = time.perf_counter()
        text = f"Count to {next(NUMBERS)}"
        answer = await delegate(self.services, self.caller, self.agent, text, wait_seconds=WAIT_SECONDS)
        assert isinstance(answer, TaskAnswered), answer
        assert answer.state == "completed", answer
        return time.perf_counter() - began


@asynccontextmanager
async def prepared(binaries: Binaries) -> AsyncIterator[Field]:
    """Start all of it: a control plane, a subagent on it, and the runtime that it lives in."""
    async with AsyncExitStack() as stack:
        plane = await stack.enter_async_context(ControlPlane(binaries))
        cluster = await stack.enter_async_context(equip(plane))
        root = await cluster.onboard("bench")
        rules = FixedRules({"researcher": template()}, {"default": policy(**ROOMY)})
        world = await stack.enter_async_context(connect([root], kubeconfig=kubeconfig(cluster, root)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        audit = await stack.enter_async_context(opened(folder / "audit.jsonl", "bench", world.clock))
        services, caller = services_on(world, audit, rules), Caller(root)
        agent = await _spawned(services, caller)
        model = Model([lambda _: "Done."])
        url = await stack.enter_async_context(_living(cluster, agent, model))
        remote = await stack.enter_async_context(A2aAgents(url))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Field(replace(services, remote_agents=remote), caller, agent, url, session, model)


async def _spawned(services: Services, caller: Caller) -> str:
    proposed = await propose(services, caller, ask())
    assert isinstance(proposed, Proposed), proposed
    applied = await apply(services, caller, proposed.proposal, proposed.digest)
    assert isinstance(applied, Applied), applied
    return applied.agent


@asynccontextmanager
async def _living(cluster: Cluster, name: str, model: Model) -> AsyncIterator[str]:
    """Let an agent live, without the tools that it has; yields its address."""
    agent = await cluster.get(f"{AGENTS}/{name}")
    assert agent is not None
    application = web.Application()
    application.router.add_post("/v1/chat/completions", model.answer)
    async with AgentRuntime(kagent_python()) as runtime, serving(application) as base:
        settings: dict[str, Any] = {
            "model": {"type": "openai", "model": "scripted", "base_url": f"{base}/v1", "api_format": "chatCompletions"},
            "description": "Counts",
            "instruction": "Count.",
            "stream": False,
        }
        process = await runtime.start(application_name(agent), settings, card(agent), "none")
        url = f"http://127.0.0.1:{process.port}/"
        async with aiohttp.ClientSession() as session:
            await until(lambda: _answers(session, url))
        await cluster.start(name)
        yield url


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url + CARD_PATH) as response:
            return response.ok
    except aiohttp.ClientError:
        return False


@dataclass(frozen=True)
class Series:
    """The median seconds of both ways, with a model that takes so long."""

    thought: float
    direct: float
    ours: float

    @property
    def ratio(self) -> float:
        """What it takes through us, in direct calls."""
        return self.ours / self.direct

    def shown(self) -> str:
        """One line."""
        aim = f" (aim <= {AIM}){' !' * (self.ratio > AIM)}" if self.thought else ""
        times = f"direct {self.direct * 1000:.0f} ms, delegate_task {self.ours * 1000:.0f} ms"
        return f"a model that takes {self.thought:g} s: p50 {times}, ratio {self.ratio:.2f}{aim}"


async def measured(binaries: Binaries, rounds: int) -> list[Series]:
    """With a model that answers at once, and with ones that think; two calls of each way are not counted."""
    async with prepared(binaries) as field:
        return [await series(field, thought, rounds) for thought in THOUGHT_SECONDS]


async def series(field: Field, thought: float, rounds: int) -> Series:
    """Both ways, one after the other, again and again."""
    field.model.seconds = thought
    pairs = [(await field.direct(), await field.through_us()) for _ in range(rounds + 2)][2:]
    direct, ours = zip(*pairs, strict=True)
    return Series(thought, statistics.median(direct), statistics.median(ours))


def main() -> None:
    """Measure, print, and save when asked to."""
    parser = argparse.ArgumentParser(description="What work through us costs, against a direct A2A call.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--save", action="store_true", help="keep it in bench/results.json")
    asked = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measured(find_or_build(), asked.rounds))
    print("\n".join(one.shown() for one in found))
    if asked.save:
        quick, *_, slow = found
        save(delegate_ratio=slow.ratio, delegate_added_milliseconds=(quick.ours - quick.direct) * 1000)


if __name__ == "__main__":
    main()
