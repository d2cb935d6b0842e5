"""One Agent's life on this machine: understood, started, said to be ready, started again when it crashes, ended."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import aiohttp

from mcp_agentspawn.localplane.agents import translating
from mcp_agentspawn.localplane.agents.objects import Condition, NotAnswered, Objects, conditions
from mcp_agentspawn.localplane.agents.process import AgentRuntime, Process
from mcp_agentspawn.localplane.agents.translating import Endpoint, NotHere, Object, Untranslatable
from mcp_agentspawn.localplane.errors import ControlPlaneFailed

LOOK_AGAIN_SECONDS = 0.5
FIRST_PAUSE_SECONDS = 0.2
MOST_PAUSE_SECONDS = 5.0
WELL_AFTER_SECONDS = 30.0
ANSWERS_WITHIN_SECONDS = 60.0
CARD = "/.well-known/agent-card.json"
ACCEPTED = Condition("Accepted", True, "Reconciled", "Agent configuration accepted")  # noqa: FBT003 - as Kubernetes words it
READY = Condition("Ready", True, "DeploymentReady", "Deployment is ready")  # noqa: FBT003 - the same


class Host:
    """Runs one Agent until it is cancelled. `process` is there while it can be talked to."""

    def __init__(self, agent: Object, objects: Objects, runtime: AgentRuntime, endpoint: Endpoint) -> None:
        self.agent = agent
        self.process: Process | None = None
        self.restarts = 0
        self._code = 0
        self._objects = objects
        self._runtime = runtime
        self._endpoint = endpoint
        self._said: list[dict[str, Any]] = []

    async def live(self) -> None:
        """Run it; ends by cancellation, or with ControlPlaneFailed when the runtime has ended.

        What else keeps it from running is said of it, and tried again.
        """
        while True:
            try:
                await self._live()
            except ControlPlaneFailed:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, who looks at the Agent has to see it
                why = str(error) if isinstance(error, NotAnswered) else type(error).__name__
                with suppress(NotAnswered):
                    await self._refuse(f"the laptop can not run it: {why}")
            await asyncio.sleep(MOST_PAUSE_SECONDS)

    async def _live(self) -> None:
        name, config, card, key = await self._understood()
        await self._objects.make_pod(self.agent)
        await self._say(ACCEPTED, _not_ready("Deployment is not ready, 0/1 pods are ready"))
        pause = FIRST_PAUSE_SECONDS
        while True:
            begun = time.monotonic()
            process = await self._runtime.start(name, config, card, key)
            try:
                await self._run(process)
            finally:
                self.process = None
                await self._runtime.stop(process)
            await self._crashed(process.ended.result())
            pause = FIRST_PAUSE_SECONDS if time.monotonic() - begun > WELL_AFTER_SECONDS else pause
            await asyncio.sleep(pause)
            pause = min(2 * pause, MOST_PAUSE_SECONDS)

    async def _understood(self) -> tuple[str, dict[str, Any], dict[str, Any], str]:
        """What to start it with, as soon as all that it refers to is there."""
        while True:
            try:
                return await self._read()
            except NotHere as error:
                await self._say(ACCEPTED, _not_ready(str(error)))
                await asyncio.Event().wait()
            except Untranslatable as error:
                await self._refuse(str(error))
            except (NotAnswered, aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _read(self) -> tuple[str, dict[str, Any], dict[str, Any], str]:
        namespace = self.agent["metadata"]["namespace"]
        found = {}
        for kind, name in translating.references(self.agent):
            there = await self._objects.get(namespace, kind, name)
            if there is None:
                raise Untranslatable(f"there is no {kind}/{name} in {namespace}")
            found[kind, name] = there
        names = translating.secrets_of(self.agent, found)
        secrets = {name: await self._objects.secret(namespace, name) for name in names}
        return (
            translating.application_name(self.agent),
            translating.configuration(self.agent, found, secrets, self._endpoint),
            translating.card(self.agent),
            translating.model_key(self.agent, found, secrets, self._endpoint),
        )

    async def _run(self, process: Process) -> None:
        """Say that it is ready once it answers, and wait for its end."""
        answering = asyncio.create_task(_answers(process))
        try:
            either: set[asyncio.Future[Any]] = {answering, process.ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not process.ended.done():
                answering.result()
                self.process = process
                await self._objects.say_pod(self.agent, self.restarts, self._code, ready=True)
                await self._say(ACCEPTED, READY)
            await asyncio.wait({process.ended})
        finally:
            answering.cancel()

    async def _crashed(self, code: int) -> None:
        self.restarts, self._code = self.restarts + 1, code
        await self._objects.say_pod(self.agent, self.restarts, code, ready=False)
        await self._say(ACCEPTED, _not_ready("Deployment is not ready, 0/1 pods are ready"))

    async def _refuse(self, why: str) -> None:
        refused = Condition("Accepted", False, "ReconcileFailed", why)  # noqa: FBT003 - as Kubernetes words it
        await self._say(refused, _not_ready("Agent configuration is not accepted"))

    async def _say(self, *wanted: Condition) -> None:
        written = conditions(self.agent, list(wanted), self._said)
        if written != self._said:
            await self._objects.say(self.agent, written)
            self._said = written


def _not_ready(message: str) -> Condition:
    return Condition("Ready", False, "DeploymentNotReady", message)  # noqa: FBT003 - as Kubernetes words it


async def _answers(process: Process) -> None:
    """Wait until it shows its card."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ANSWERS_WITHIN_SECONDS)) as session:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(f"http://127.0.0.1:{process.port}{CARD}") as response:
                    if response.ok:
                        return
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
