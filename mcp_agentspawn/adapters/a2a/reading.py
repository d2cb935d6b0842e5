"""Reports of what agents answer: their texts bounded, what they made by reference, and what they wait for."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from a2a.types import a2a_pb2 as a2a
from google.protobuf.json_format import MessageToDict

from mcp_agentspawn.adapters.a2a.confirmations import asks_of, pending_of, question_text
from mcp_agentspawn.adapters.a2a.sound import Unreadable
from mcp_agentspawn.adapters.a2a.wires import Said
from mcp_agentspawn.core.delegation import ENDED, MOST_RESULT_BYTES, Artifact, Report, TaskState
from mcp_agentspawn.core.digest import canonical
from mcp_agentspawn.core.text import written_out
from mcp_agentspawn.core.untrusted import shown

MOST_TEXT_BYTES = 4 * MOST_RESULT_BYTES
MOST_ARTIFACTS = 32
MOST_NAME_CHARACTERS = 128
MOST_ID_CHARACTERS = 256
STATES: Mapping[int, TaskState] = {
    a2a.TASK_STATE_SUBMITTED: "submitted",
    a2a.TASK_STATE_WORKING: "working",
    a2a.TASK_STATE_COMPLETED: "completed",
    a2a.TASK_STATE_FAILED: "failed",
    a2a.TASK_STATE_CANCELED: "canceled",
    a2a.TASK_STATE_INPUT_REQUIRED: "input_required",
    a2a.TASK_STATE_REJECTED: "rejected",
    # It waits for a credential, and nobody here gives it one: for its caller it has failed, and there is no answer.
    a2a.TASK_STATE_AUTH_REQUIRED: "failed",
}


def report_of(said: Said) -> Report:
    """What an agent says. Raises `Unreadable` when it can not be told."""
    if isinstance(said, a2a.Message):
        text, truncated = _bounded(_texts(said.parts))
        return Report("", "completed", text, truncated, _files([("", "", said.parts)]))
    state = STATES.get(said.status.state, "working")
    if not said.id:
        raise Unreadable("a task without an id")
    if state == "input_required":
        return _asking(said)
    text, truncated = _bounded(_result(said)) if _has_result(said, state) else ("", False)
    return Report(_id(said.id), state, text, truncated, _files(_made(said)))


def _has_result(task: a2a.Task, state: TaskState) -> bool:
    """Before its end a task's status repeats what the agent was told, and what it has made is not done."""
    return state in ENDED and task.status.state != a2a.TASK_STATE_AUTH_REQUIRED


def _asking(task: a2a.Task) -> Report:
    parts = task.status.message.parts
    pending = pending_of((plain(part.data), plain(part.metadata)) for part in parts if part.HasField("data"))
    asks = asks_of(pending)
    questions = [question_text(pending)] if asks == "question" and pending else _texts(parts, data=False)
    text, truncated = _bounded(questions)
    return Report(_id(task.id), "input_required", text, truncated, (), asks=asks, pending=pending)


def _result(task: a2a.Task) -> Iterator[str]:
    """The texts of what it has made; what its status says when there is none."""
    any_text = False
    for artifact in task.artifacts:
        for text in _texts(artifact.parts):
            any_text = True
            yield text
    if not any_text:
        yield from _texts(task.status.message.parts)


def _texts(parts: Iterable[a2a.Part], *, data: bool = True) -> Iterator[str]:
    for part in parts:
        if part.text and not _is_thought(part):
            yield part.text
        elif data and part.HasField("data"):
            yield canonical(plain(part.data))


def _is_thought(part: a2a.Part) -> bool:
    """Whether it is what a model thought before it answered, as google's kit marks it."""
    metadata = plain(part.metadata) if part.HasField("metadata") else {}
    return any(metadata.get(f"{prefix}_thought") is True for prefix in ("adk", "kagent"))


def _bounded(texts: Iterable[str]) -> tuple[str, bool]:
    """Lines up to the bound, and whether there was more."""
    found = bytearray()
    for text in texts:
        found += b"\n" * bool(found) + text.encode()
        if len(found) > MOST_TEXT_BYTES:
            return found[:MOST_TEXT_BYTES].decode(errors="ignore"), True
    return found.decode(), False


def _made(task: a2a.Task) -> Iterator[tuple[str, str, Iterable[a2a.Part]]]:
    return ((artifact.artifact_id, artifact.name, artifact.parts) for artifact in task.artifacts)


def _files(made: Iterable[tuple[str, str, Iterable[a2a.Part]]]) -> tuple[Artifact, ...]:
    """Files only, for texts are the result. The address of one is the agent's word, and is not passed on."""
    files = [
        Artifact(_name(id_), _name(part.filename or name), _name(part.media_type), len(part.raw))
        for id_, name, parts in made
        for part in parts
        if part.WhichOneof("content") in {"raw", "url"}
    ]
    return tuple(files[:MOST_ARTIFACTS])


def _name(name: str) -> str:
    """It stands beside the fence around a result, so that nothing in it may read as a part of one."""
    seen, _ = shown(written_out(name[:MOST_NAME_CHARACTERS]), MOST_TEXT_BYTES)
    return seen[:MOST_NAME_CHARACTERS]


def _id(id_: str) -> str:
    if len(id_) > MOST_ID_CHARACTERS:
        raise Unreadable("an id that can not be kept")
    return id_


def plain(value: Any) -> Any:
    """A value of the protocol's types as JSON has it."""
    return MessageToDict(value)
