"""The one table from what an operation said, or failed with, to what goes on the wire."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from traceback import extract_tb
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mcp_agentspawn.core.errors import Unavailable, UnknownOutcome
from mcp_agentspawn.core.verdict import Outcome, Reason
from mcp_agentspawn.operations.answers import Answer, Refusal

REFUSED: frozenset[Outcome] = frozenset({"denied", "stale", "unavailable"})
MOST_COMPLAINTS = 20
MOST_NAME_CHARACTERS = 64

RETRY = "Make the same call again in a few seconds: a call that was made twice has one effect."
FAILURES: Mapping[type[Exception], tuple[str, str, str]] = {
    Unavailable: ("server.unavailable", "The cluster, or the audit, did not answer in time.", RETRY),
    TimeoutError: ("server.unavailable", "There was no answer in time.", RETRY),
    UnknownOutcome: ("server.unknown_outcome", "The change was sent, but its answer was lost.", RETRY),
}
FAILED = ("server.failed", "The server failed on this call.", "Try again later, and tell the operator if it stays so.")

_ADAPTERS: dict[type[Answer], TypeAdapter[Any]] = {}


def to_wire(answer: Answer, world: str = "") -> dict[str, Any]:
    """The result of a tool call: the same compact JSON as text and as structured content."""
    body = as_json(answer) | ({"world": world} if world else {})
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return {
        "content": [{"type": "text", "text": text}],
        "structuredContent": body,
        "isError": answer.outcome in REFUSED,
        "resultType": "complete",
    }


def as_json(answer: Answer) -> dict[str, Any]:
    """An answer as JSON values."""
    values: dict[str, Any] = adapter(type(answer)).dump_python(answer, mode="json")
    return values


def adapter(kind: type[Answer]) -> TypeAdapter[Any]:
    """What writes answers of one kind, and knows their schema."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def refusal(outcome: Outcome, code: str, message: str, *, field: str = "", next_step: str = "") -> Refusal:
    """Refuse for one reason."""
    return Refusal(outcome=outcome, reasons=(Reason(code, message, field),), next_step=next_step)


def failure(error: Exception) -> Refusal:
    """What a caller hears of an exception: never its text."""
    known = (entry for kind, entry in FAILURES.items() if isinstance(error, kind))
    code, message, next_step = next(known, FAILED)
    return refusal("unavailable", code, message, next_step=next_step)


def is_known(error: Exception) -> bool:
    """Whether this failure is one of the world's, and not a fault of ours."""
    return isinstance(error, tuple(FAILURES))


def frames(error: BaseException) -> list[str]:
    """Where it was raised, innermost last. An exception's own text may quote arguments, so it is left out."""
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]


def complaints(error: ValidationError) -> Refusal:
    """Everything that is wrong with the arguments, by field; their values are never repeated."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    reasons = [
        Reason("arguments.invalid", f"{detail['msg']}.", field_path(detail["loc"]))
        for detail in details[:MOST_COMPLAINTS]
    ]
    return Refusal(
        outcome="denied",
        reasons=tuple(reasons),
        next_step="Correct the named arguments as the tool's input schema says, and call again.",
    )


def field_path(location: Sequence[str | int]) -> str:
    """`parameters[0].value`; a name that is no identifier was made up by the caller and is not repeated."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step if _is_name(step) else '(name withheld)'}"
    return path.removeprefix(".")


def _is_name(step: str) -> bool:
    return step.isidentifier() and step.isascii() and len(step) <= MOST_NAME_CHARACTERS
