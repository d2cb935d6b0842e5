"""Worlds of agents that the contract of talking to them is played on: the twin, and real servers of both wires."""

import asyncio
import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvicorn
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandlerV2
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import a2a_pb2 as a2a
from google.protobuf.json_format import MessageToDict, ParseDict
from starlette.applications import Starlette

from mcp_agentspawn.adapters.a2a import A2aAgents
from mcp_agentspawn.adapters.memory.delegation import MemoryRemoteAgents
from mcp_agentspawn.core.delegation import Address, Card, Message, PendingCall, RemoteAgents, Report
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.localplane.tools import tool_servers
from tests.clients.orchestrators import orchestrator
from tests.clients.scripted_model import ToolCall, scripted_model

SKILLS = ("look-up", "sum-up")
QUESTIONS = {"questions": [{"question": "Which cluster?", "choices": ["east", "west"]}]}
ASKED = PendingCall("call-1", "ask_user", '{"questions":[{"choices":["east","west"],"question":"Which cluster?"}]}')
QUESTION_TEXT = "Which cluster?\n- east\n- west"
TOOL = PendingCall("call-2", "fetch", '{"address":"library:1"}')


def message(text: str, **changes: Any) -> Message:
    return replace(Message(uuid4().hex, uuid4().hex, text), **changes)


def address(agent: str = "helper-1") -> Address:
    return Address("subagents", agent, f"uid-of-{agent}", "agentspawn:agents:root")


@dataclass
class RemoteAgentsStage(ABC):
    """`helper-1` says back what it is told, unless it was taught something else; nobody is `nobody-1`."""

    agents: RemoteAgents
    is_kagent = False

    @abstractmethod
    def teach(self, behaviour: str) -> None:
        """Let it `ask` a question, need an `approval` or be `slow`, once, when it is told something."""


class MemoryRemoteAgentsStage(RemoteAgentsStage):
    agents: MemoryRemoteAgents

    def teach(self, behaviour: str) -> None:
        asking = Report("", "input_required", QUESTION_TEXT, asks="question", pending=(ASKED,))
        waiting = Report("", "input_required", asks="tool_approval", pending=(TOOL,))
        working, done, canceled = (
            Report("", "working"),
            Report("", "completed", "east"),
            Report("", "canceled"),
        )
        scripts = {"ask": [asking, done], "approval": [waiting, done], "slow": [working, working, canceled]}
        self.agents.script["helper-1"] = scripts[behaviour]


def memory_stage() -> MemoryRemoteAgentsStage:
    agents = MemoryRemoteAgents(cards={"helper-1": Card("helper_1", SKILLS)})
    agents.failing["nobody-1"] = Unavailable("nobody is there")
    return MemoryRemoteAgentsStage(agents)


@dataclass
class Helper(AgentExecutor):
    """A real server's agent; `taught` is what it does next, `heard` what it was told, as the protocol has it."""

    taught: list[str] = field(default_factory=list)
    heard: list[a2a.Message] = field(default_factory=list)

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id
        assert context.context_id
        assert context.message
        self.heard.append(context.message)
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        if context.current_task is None:
            status = a2a.TaskStatus(state=a2a.TASK_STATE_SUBMITTED, message=context.message)
            await event_queue.enqueue_event(a2a.Task(id=context.task_id, context_id=context.context_id, status=status))
        await updater.start_work()
        match self.taught.pop() if self.taught else "":
            case "ask":
                await updater.requires_input(updater.new_agent_message([confirmation(ASKED)]))
            case "approval":
                await updater.requires_input(updater.new_agent_message([confirmation(TOOL)]))
            case "slow":
                await asyncio.Event().wait()
            case _:
                await updater.add_artifact([a2a.Part(text=_echo(context.message))])
                await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id
        assert context.context_id
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def confirmation(call: PendingCall, **payload: Any) -> a2a.Part:
    """How kagent tells that a call waits."""
    original = {"id": call.id, "name": call.tool, "args": json.loads(call.arguments)}
    confirming = {"hint": "", "confirmed": False, **({"payload": payload} if payload else {})}
    data = {
        "id": f"adk-{call.id}",
        "name": "adk_request_confirmation",
        "args": {"originalFunctionCall": original, "toolConfirmation": confirming},
    }
    metadata = {"kagent_type": "function_call", "kagent_is_long_running": True}
    return ParseDict({"data": data, "metadata": metadata}, a2a.Part())


def _echo(told: a2a.Message) -> str:
    [part] = told.parts
    data = MessageToDict(part.data) if part.HasField("data") else {}
    answers = data.get("ask_user_answers") or [{"answer": [part.text]}]
    return "".join(word for answer in answers for word in answer["answer"])


class ServedStage(RemoteAgentsStage):
    """Agents of the protocol's own kit."""

    helper: Helper

    def teach(self, behaviour: str) -> None:
        self.helper.taught.append(behaviour)


class Quiet(uvicorn.Server):
    """Leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(application: Any) -> AsyncIterator[str]:
    """Serve an ASGI application on a free loopback port; yields its base URL."""
    server = Quiet(uvicorn.Config(application, port=0, log_config=None, access_log=False, lifespan="off"))
    running = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not running.done()
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.force_exit = True
        server.should_exit = True
        await running


def card(wire: str) -> a2a.AgentCard:
    elsewhere = a2a.AgentInterface(url="http://203.0.113.1/", protocol_binding="JSONRPC", protocol_version=wire)
    return a2a.AgentCard(
        name="helper_1",
        description="Helps",
        version="1",
        capabilities=a2a.AgentCapabilities(),
        default_input_modes=["text"],
        default_output_modes=["text"],
        supported_interfaces=[elsewhere],
        skills=[a2a.AgentSkill(id=skill, name=skill, description="-", tags=["-"]) for skill in SKILLS],
    )


def agent_application(helper: AgentExecutor, wire: str) -> Starlette:
    """A real server of this wire and no other, at `/helper-1/`."""
    handler = DefaultRequestHandlerV2(helper, InMemoryTaskStore(), card(wire))
    routes = create_jsonrpc_routes(handler, "/helper-1/", enable_v0_3_compat=wire == "0.3")
    cards = create_agent_card_routes(card(wire), card_url="/helper-1/.well-known/agent-card.json")
    return Starlette(routes=[*routes, *cards])


@asynccontextmanager
async def served_stage(wire: str) -> AsyncIterator[RemoteAgentsStage]:
    helper = Helper()
    async with (
        served(agent_application(helper, wire)) as base,
        A2aAgents(base + "/{name}/", chance=lambda: 0.0) as agents,
    ):
        stage = ServedStage(agents)
        stage.helper = helper
        yield stage


class KagentStage(RemoteAgentsStage):
    """kagent's own runtime, for one agent at every address. It can not cancel, and its card names no skills."""

    is_kagent = True
    taught: list[str]

    def teach(self, behaviour: str) -> None:
        self.taught.append(behaviour)


@asynccontextmanager
async def kagent_stage(folder: Path) -> AsyncIterator[RemoteAgentsStage]:
    taught: list[str] = []

    def says(_: Sequence[Any]) -> ToolCall | str:
        match taught.pop() if taught else "":
            case "ask":
                return ToolCall("ask_user", QUESTIONS)
            case "approval":
                return ToolCall(TOOL.tool, json.loads(TOOL.arguments))
            case _:
                return _last(model.requests[-1]["messages"])

    async with (
        scripted_model(says, says) as model,
        tool_servers() as tools,
        orchestrator(folder, _settings(model.url, tools.urls["web-search"])) as runtime,
        A2aAgents(runtime.url) as agents,
    ):
        stage = KagentStage(agents)
        stage.taught = taught
        yield stage


def _last(messages: Sequence[dict[str, Any]]) -> str:
    content = messages[-1]["content"]
    text = content if isinstance(content, str) else "".join(part["text"] for part in content)
    return str(json.loads(text)[0]["answer"][0]) if text.startswith("[") else text


def _settings(model_url: str, tools_url: str) -> dict[str, Any]:
    tools = {"params": {"url": tools_url, "headers": {}, "timeout": 30.0}, "tools": ["fetch"]}
    return {
        "model": {"type": "openai", "model": "scripted", "base_url": model_url, "api_format": "chatCompletions"},
        "description": "Helps",
        "instruction": "Help.",
        "http_tools": [{**tools, "require_approval": ["fetch"]}],
        "stream": False,
    }
