"""What kagent adds to A2A when a tool call waits for a person: how it is told, and how it is answered.

A call waits as a data part that is a function call of a long running tool. kagent takes an answer to a question for
the approval of all that waits, and a call that an answer leaves out for approved: so answers name every call, and
what is only rejected is rejected as a whole.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from json import loads
from typing import Any

from mcp_agentspawn.adapters.a2a.sound import Unreadable
from mcp_agentspawn.core.delegation import MOST_ARGUMENTS_CHARACTERS, Asks, Message, PendingCall
from mcp_agentspawn.core.digest import MOST_INTEGER, canonical

QUESTION = "ask_user"
MOST_PENDING = 32
MOST_NAME_CHARACTERS = 256
MOST_ARGUMENTS_BYTES = 128 * 1024
"""Of all calls of a task together, as they are stored: an object has at most a megabyte and a half."""
DOUBLED = re.compile(r'["\\]')
WRITTEN_OUT = re.compile("[<>&\u2028\u2029]")
ESCAPE_BYTES = 6
AGENT_INFIX = "__NS__"
"""In the name of a tool that is an agent: what that one's own calls are is not told through two levels."""

Part = tuple[Mapping[str, Any], Mapping[str, Any]]
"""The data and the metadata of a data part."""


def pending_of(parts: Iterable[Part]) -> tuple[PendingCall, ...]:
    """The calls that wait; those for whose arguments there is no room have `""` for them.

    Raises `Unreadable` when there are more than can be shown, or one can not be told.
    """
    calls = tuple(chain.from_iterable(_calls(data) for data, metadata in parts if _waits(metadata)))
    if len(calls) > MOST_PENDING or any(len(word) > MOST_NAME_CHARACTERS for c in calls for word in (c.id, c.tool)):
        raise Unreadable("more waits than can be shown")
    return tuple(_with_room(calls))


def asks_of(pending: Sequence[PendingCall]) -> Asks:
    """What a task in `input_required` waits for. One call that is no question makes it a tool approval."""
    return "question" if all(is_question(call) for call in pending) else "tool_approval"


def is_question(call: PendingCall) -> bool:
    """Whether this is kagent's own tool for questions, with its own arguments; a tool server may use its name."""
    return call.tool == QUESTION and bool(_questions(call))


def question_text(pending: Iterable[PendingCall]) -> str:
    """The questions, one after the other, each with its choices below it."""
    return "\n".join(line for call in pending for question in _questions(call) for line in _lines(question))


def answers_to(pending: Iterable[PendingCall], text: str) -> dict[str, Any]:
    """The data that answers all these questions with this text."""
    questions = max(len(_questions(call)) for call in pending)
    return {"decision_type": "approve", "ask_user_answers": [{"answer": [text]}] * questions}


def decided(pending: Sequence[PendingCall], message: Message) -> dict[str, Any]:
    """The data that decides on all these calls; those that the message says nothing of are rejected."""
    approved = [call.id for call in pending if message.decisions.get(call.id)]
    if not approved:
        reason = {"rejection_reason": message.text} if message.text else {}
        return {"decision_type": "reject", **reason}
    decisions = {call.id: "approve" if call.id in approved else "reject" for call in pending}
    rejected = [id_ for id_, decision in decisions.items() if decision == "reject"]
    reasons = {"rejection_reasons": dict.fromkeys(rejected, message.text)} if message.text and rejected else {}
    return {"decision_type": "batch", "decisions": decisions, **reasons}


def can_be_decided(pending: Sequence[PendingCall], message: Message) -> bool:
    """Whether exactly what was approved would be done: it waits as it was seen, whole, and can be told apart."""
    approved = {id_ for id_, yes in message.decisions.items() if yes}
    ids = [call.id for call in pending]
    told_apart = all(ids) and len(set(ids)) == len(ids)
    seen = {call.id for call in pending if call.arguments and call in message.calls}
    return not approved or (told_apart and approved <= seen)


def _with_room(calls: Iterable[PendingCall]) -> Iterator[PendingCall]:
    room = MOST_ARGUMENTS_BYTES
    for call in calls:
        needed = _stored_bytes(call.arguments)
        if needed > room:
            yield replace(call, arguments="")
            continue
        room -= needed
        yield call


def _stored_bytes(arguments: str) -> int:
    """How long it is within the JSON of an API server, which writes some characters out that need not be."""
    written_out = WRITTEN_OUT.findall(arguments)
    plain = len(arguments.encode()) - sum(len(character.encode()) for character in written_out)
    return plain + len(DOUBLED.findall(arguments)) + ESCAPE_BYTES * len(written_out)


def _waits(metadata: Mapping[str, Any]) -> bool:
    """Read as kagent reads it: the prefix of google's kit first, then its own."""
    kind, waits = (metadata.get(f"adk_{key}", metadata.get(f"kagent_{key}")) for key in ("type", "is_long_running"))
    return kind == "function_call" and waits is True


def _calls(data: Mapping[str, Any]) -> Iterator[PendingCall]:
    arguments = _mapping(data.get("args"))
    payload = _mapping(_mapping(arguments.get("toolConfirmation")).get("payload"))
    inner = payload.get("hitl_parts")
    if isinstance(inner, list) and inner:
        yield from (_inner_call(_mapping(_mapping(part).get("originalFunctionCall"))) for part in inner)
    else:
        yield _call(_mapping(arguments.get("originalFunctionCall")) or data)


def _inner_call(original: Mapping[str, Any]) -> PendingCall:
    call = _call(original)
    return PendingCall(call.id, call.tool) if AGENT_INFIX in call.tool else call


def _call(original: Mapping[str, Any]) -> PendingCall:
    return PendingCall(_word(original.get("id")), _word(original.get("name")), _arguments(original.get("args")))


def _arguments(arguments: Any) -> str:
    """As they are, or nothing: a number that the protocol's types do not hold exactly is not shown as another one."""
    if not _is_exact(arguments):
        return ""
    text = canonical(_mapping(arguments))
    return text if len(text) <= MOST_ARGUMENTS_CHARACTERS else ""


def _is_exact(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(map(_is_exact, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, int | float) or abs(value) <= MOST_INTEGER


def _questions(call: PendingCall) -> list[Mapping[str, Any]]:
    questions = _mapping(loads(call.arguments or "{}")).get("questions")
    found = [_mapping(question) for question in questions] if isinstance(questions, list) else []
    return found if all(_word(question.get("question")) for question in found) else []


def _lines(question: Mapping[str, Any]) -> Iterator[str]:
    yield _word(question["question"])
    choices = question.get("choices")
    yield from (f"- {choice}" for choice in (choices if isinstance(choices, list) else ()) if isinstance(choice, str))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""
