from typing import Any

import pytest

from mcp_agentspawn.adapters.kubernetes.canary import Canary
from mcp_agentspawn.core.errors import Unavailable
from tests.adapters.kubernetes.fake_api import Scripted


def denied_by(policy: str) -> tuple[int, dict[str, Any]]:
    message = f"ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: no"
    return (422, {"kind": "Status", "reason": "Invalid", "message": message})


LOCK, SHAPE = denied_by("agentspawn-lock"), denied_by("agentspawn-shape")
RBAC = (403, {"kind": "Status", "reason": "Forbidden", "message": 'User "x" cannot create resource "agents"'})


async def test_all_is_well_when_lock_and_shape_refuse() -> None:
    wire = Scripted([LOCK, SHAPE])

    assert list(await Canary(wire.client(), ["subagents"]).problems()) == []
    assert all(call.query["dryRun"] == "All" and not call.changes for call in wire.calls)


@pytest.mark.parametrize(
    ("answers", "problems"),
    [
        ([(201, {}), SHAPE], ["agentspawn-lock in subagents: does not act: it let the canary through"]),
        ([LOCK, (201, {})], ["agentspawn-shape in subagents: does not act: it let the canary through"]),
        ([SHAPE, SHAPE], ["agentspawn-lock in subagents: the canary was refused by something else"]),
        ([LOCK, LOCK], ["agentspawn-shape in subagents: the canary was refused by something else"]),
        ([LOCK, RBAC], ["agentspawn-shape in subagents: the canary was refused by something else"]),
        ([(404, {}), SHAPE], ["agentspawn-lock in subagents: the canary got no answer"]),
        ([Unavailable("down"), SHAPE], ["agentspawn-lock in subagents: the canary got no answer: down"]),
        ([LOCK, ZeroDivisionError()], ["agentspawn-shape in subagents: the canary failed (ZeroDivisionError)"]),
    ],
)
async def test_whatever_else_happens_is_a_problem_and_never_raised(answers: list[Any], problems: list[str]) -> None:
    said = await Canary(Scripted(answers).client(), ["subagents"]).problems()

    assert len(said) == len(problems)
    assert all(found.startswith(expected) for found, expected in zip(said, problems, strict=True))


async def test_every_namespace_of_subagents_is_tried() -> None:
    wire = Scripted([(201, {})])

    said = await Canary(wire.client(), ["one", "two", "one"]).problems()

    assert len(said) == 4
    assert len({call.path for call in wire.calls}) == 2
