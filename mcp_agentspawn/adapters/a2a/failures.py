"""What an exchange with an agent can come to instead of an answer, and what that means to whoever asked."""

from typing import Literal

from mcp_agentspawn.core.errors import Missing, Refused, Unavailable, UnknownOutcome, Upstream

Kind = Literal["crowded", "unsent", "absent", "away", "lost", "denied", "too_large", "unreadable"]
"""`crowded`: there was no connection free in time. `unsent`: nothing of the request left us.

`absent`: who answered knows of no such agent, or takes no more requests now. `away`: it can not answer now, which a
proxy before it says as well when the agent has broken off with the request in its hands. `lost`: the request was sent,
and there was no whole answer. `denied`: it was answered with no, by the status of HTTP.
"""
TASK_NOT_FOUND = -32001
TASK_NOT_CANCELABLE = -32002
UNSUPPORTED_OPERATION = -32004
INTERNAL_ERROR = -32603
NOT_CANCELABLE = frozenset({TASK_NOT_CANCELABLE, UNSUPPORTED_OPERATION, INTERNAL_ERROR})
"""kagent's Python runtime can not cancel, and says so with an internal error."""
OTHER_WIRE = frozenset({-32601, -32009})
"""No such method, and no such version: it was another wire than its agent speaks now."""
PASSING = OTHER_WIRE | {INTERNAL_ERROR}
"""kagent's runtimes answer with an internal error while the controller, which keeps their tasks, is away."""


class Failed(Exception):
    """There was no answer that can be used."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.kind = kind


class Declined(Exception):
    """It was answered with an error of JSON-RPC. Its text is a stranger's, so it is not kept."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def of_asking(failure: Failed | Declined) -> Upstream:
    """What it means for what changes nothing: a card or a look. What may pass is no definite no."""
    if isinstance(failure, Declined):
        if failure.code == TASK_NOT_FOUND:
            return Missing("The agent knows of no such task.")
        return _silent() if failure.code in PASSING else Refused("rejected", "The agent does not answer this.")
    if failure.kind == "too_large":
        return _too_large()
    return Refused("unreadable", "The agent's answer can not be read.") if failure.kind == "unreadable" else _silent()


def of_sending(failure: Failed | Declined) -> Upstream:
    """What it means for a message."""
    kind = _like(failure.code) if isinstance(failure, Declined) else failure.kind
    if kind == "denied":
        return Refused("rejected", "The agent does not take this message.")
    if kind == "too_large":
        return _too_large()
    if kind in {"away", "lost", "unreadable"}:
        return UnknownOutcome("The agent may have taken the message: its answer was lost, or can not be read.")
    return Unavailable("The agent can not be reached.")


def _like(code: int) -> Kind:
    """What comes to the same for a message. One that failed within the agent may be at work all the same."""
    if code in OTHER_WIRE:
        return "unsent"
    return "lost" if code == INTERNAL_ERROR else "denied"


def of_canceling(failure: Failed | Declined) -> Upstream:
    """What it means for a cancellation."""
    if isinstance(failure, Declined):
        if failure.code in NOT_CANCELABLE:
            return Refused("not_cancelable", "The agent can not cancel this task.")
        return of_asking(failure)
    return of_sending(failure)


def _silent() -> Unavailable:
    return Unavailable("The agent does not answer.")


def _too_large() -> Refused:
    return Refused("too_large", "The agent's answer is too large.")
