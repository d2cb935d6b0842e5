"""JSON-RPC of both wires: requests in bytes, and answers as the protocol's own types (those of 1.0)."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from a2a.compat.v0_3 import conversions, types
from a2a.types import a2a_pb2 as a2a
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message as Protobuf

from mcp_agentspawn.adapters.a2a.failures import Declined
from mcp_agentspawn.adapters.a2a.patience import Wire
from mcp_agentspawn.adapters.a2a.sound import Unreadable, sound

VERSION_HEADER = "a2a-version"
LEAST_HISTORY: Mapping[Wire, int] = {"0.3": 1, "1.0": 0}
"""How much of what was said before is sent along with a task: as little as can be. In 0.3, none means all."""
METHODS: Mapping[Wire, Mapping[str, str]] = {
    "0.3": {"send": "message/send", "get": "tasks/get", "cancel": "tasks/cancel"},
    "1.0": {"send": "SendMessage", "get": "GetTask", "cancel": "CancelTask"},
}
KNOWN_STATES = frozenset(state.value for state in types.TaskState)

Said = a2a.Task | a2a.Message
"""What an agent answers with."""


def sending(wire: Wire, message: a2a.Message) -> bytes:
    """Say something, and wait for no more than its being taken."""
    configuration = a2a.SendMessageConfiguration(return_immediately=True, history_length=LEAST_HISTORY[wire])
    request = a2a.SendMessageRequest(message=message, configuration=configuration)
    return _request(wire, "send", request, conversions.to_compat_send_message_request)


def looking(wire: Wire, remote: str) -> bytes:
    """Ask for a task."""
    request = a2a.GetTaskRequest(id=remote, history_length=LEAST_HISTORY[wire])
    return _request(wire, "get", request, conversions.to_compat_get_task_request)


def canceling(wire: Wire, remote: str) -> bytes:
    """Ask to stop a task."""
    return _request(wire, "cancel", a2a.CancelTaskRequest(id=remote), conversions.to_compat_cancel_task_request)


def said(wire: Wire, body: bytes) -> Said:
    """The task or the message of an answer. Raises `Declined`, `Failed`, and `ValueError` when it can not be read."""
    answer = sound(body)
    if not isinstance(answer, dict):
        raise Unreadable("no answer of JSON-RPC")
    if answer.get("error") is not None:
        raise Declined(_code(answer["error"]))
    try:
        return (_said_03 if wire == "0.3" else _said_10)(_without_history(answer["result"]))
    except Exception as error:  # what a stranger's values do within the library is not ours to list
        raise Unreadable("no task and no message") from error


def _request(wire: Wire, verb: str, request: Protobuf, older: Callable[[Any, int], Any]) -> bytes:
    params = MessageToDict(request)
    if wire == "0.3":
        params = older(request, 1).params.model_dump(by_alias=True, exclude_none=True, mode="json")
    body = {"jsonrpc": "2.0", "id": 1, "method": METHODS[wire][verb], "params": params}
    return json.dumps(body, ensure_ascii=False).encode()


def _code(error: Any) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(code, int):
        raise Unreadable("no error of JSON-RPC")
    return code


def _without_history(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what is read of none: all that was said before, and what agents note for themselves."""
    return {
        key: _without_history(value) if key in {"task", "message"} and isinstance(value, dict) else value
        for key, value in result.items()
        if key not in {"history", "metadata"}
    }


def _said_10(result: dict[str, Any]) -> Said:
    if "id" in result:
        return _task_10(result)
    response = ParseDict(result, a2a.SendMessageResponse(), ignore_unknown_fields=True)
    found: Said = getattr(response, response.WhichOneof("payload"))
    return found


def _task_10(result: dict[str, Any]) -> a2a.Task:
    return ParseDict(result, a2a.Task(), ignore_unknown_fields=True)


def _said_03(result: dict[str, Any]) -> Said:
    if result.get("kind") == "message" or "messageId" in result:
        return conversions.to_core_message(types.Message.model_validate(result))
    status = dict(result["status"].items())
    state = status.get("state")
    status["state"] = state if isinstance(state, str) and state in KNOWN_STATES else "unknown"
    status.pop("timestamp", None)  # not read, and the library refuses some
    return conversions.to_core_task(types.Task.model_validate({**result, "status": status}))
