from typing import Any

import pytest

from mcp_agentspawn.adapters.kubernetes.canary import Canary
from mcp_agentspawn.adapters.kubernetes.policies import OF_HOMES, OF_OUR_KINDS, Policies
from mcp_agentspawn.adapters.kubernetes.principals import Call
from mcp_agentspawn.adapters.kubernetes.transport import Answer
from mcp_agentspawn.core.errors import Refused, Unavailable
from tests.adapters.kubernetes.fake_api import Scripted

POLICIES, BINDINGS = "validatingadmissionpolicies", "validatingadmissionpolicybindings"
Said = tuple[int, dict[str, Any]] | Exception


def denied_by(policy: str) -> tuple[int, dict[str, Any]]:
    message = f"ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: no"
    return (422, {"kind": "Status", "reason": "Invalid", "message": message})


LOCK, SHAPE, FREEZE = denied_by("agentspawn-lock"), denied_by("agentspawn-shape"), denied_by("agentspawn-freeze")
RBAC = (403, {"kind": "Status", "reason": "Forbidden", "message": 'User "x" cannot create resource "agents"'})


class Guarded(Scripted):
    """Answers what the canary tries from a list, and what it looks up as deploy/ has it, but for `looked`."""

    def __init__(self, answers: list[Said], **looked: Said) -> None:
        super().__init__(answers)
        self.looked = looked

    async def send(self, call: Call) -> Answer:
        if call.method != "GET":
            return await super().send(call)
        self.calls.append(call)
        _, kind, name = call.path.rsplit("/", 2)
        said = self.looked.get(f"{kind}/{name}") or self.looked.get(kind) or (200, _object(kind, name))
        return await Scripted([said]).send(call)


def _object(kind: str, name: str) -> dict[str, Any]:
    """A policy, or a binding to the namespace in its name, as deploy/ and `agentspawn manifests` write them."""
    if kind == POLICIES:
        return {"spec": {"failurePolicy": "Fail"}}
    policy = "-".join(name.split("-")[:2])
    home = name.removeprefix(policy).removeprefix("-") or "subagents"
    names = [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": [home]}]
    resources = {"matchResources": {"namespaceSelector": {"matchExpressions": names}}} if policy in OF_HOMES else {}
    return {"spec": {"policyName": policy, "validationActions": ["Deny", "Audit"], **resources}}


def _binding(**changes: Any) -> Said:
    return (200, {"spec": {**_object(BINDINGS, "agentspawn-kin")["spec"], **changes}})


async def test_all_is_well_when_each_policy_refuses() -> None:
    wire = Guarded([LOCK, SHAPE, FREEZE])

    assert list(await Canary(wire.client(), ["subagents"]).problems()) == []
    tries = [call for call in wire.calls if call.method == "POST"]
    assert len(tries) == 3
    assert all(call.query["dryRun"] == "All" and not call.changes for call in tries)


async def test_what_a_freeze_must_stop_is_right_in_everything_else() -> None:
    wire = Guarded([LOCK, SHAPE, FREEZE])

    await Canary(wire.client(), ["subagents"]).problems()

    bodies = [str(call.body) for call in wire.calls if call.method == "POST"]
    assert ["sub-canary-frozen" in body for body in bodies] == [False, False, True]
    assert all('"agentspawn.dev/depth":"0"' in body for body in bodies)


@pytest.mark.parametrize(
    ("answers", "problems"),
    [
        ([(201, {}), SHAPE, FREEZE], ["agentspawn-lock in subagents: does not act: it let the canary through"]),
        ([LOCK, (201, {}), FREEZE], ["agentspawn-shape in subagents: does not act: it let the canary through"]),
        ([LOCK, SHAPE, (201, {})], ["agentspawn-freeze in subagents: does not act: it let the canary through"]),
        ([SHAPE, SHAPE, FREEZE], ["agentspawn-lock in subagents: the canary was refused by something else"]),
        ([LOCK, LOCK, FREEZE], ["agentspawn-shape in subagents: the canary was refused by something else"]),
        ([LOCK, SHAPE, LOCK], ["agentspawn-freeze in subagents: the canary was refused by something else"]),
        ([LOCK, RBAC, FREEZE], ["agentspawn-shape in subagents: the canary was refused by something else"]),
        ([(404, {}), SHAPE, FREEZE], ["agentspawn-lock in subagents: the canary got no answer"]),
        ([Unavailable("down"), SHAPE, FREEZE], ["agentspawn-lock in subagents: the canary got no answer: down"]),
        ([LOCK, ZeroDivisionError(), FREEZE], ["agentspawn-shape in subagents: the canary failed (ZeroDivisionError)"]),
    ],
)
async def test_whatever_else_happens_is_a_problem_and_never_raised(answers: list[Any], problems: list[str]) -> None:
    said = await Canary(Guarded(answers).client(), ["subagents"]).problems()

    assert len(said) == len(problems)
    assert all(found.startswith(expected) for found, expected in zip(said, problems, strict=True))


async def test_every_namespace_of_subagents_is_tried() -> None:
    wire = Guarded([(201, {})])

    said = await Canary(wire.client(), ["one", "two", "one"]).problems()

    assert len(said) == 6
    assert len({call.path for call in wire.calls if call.method == "POST"}) == 2


@pytest.mark.parametrize(
    ("looked", "problem"),
    [
        ({POLICIES: (404, {})}, "is not there"),
        ({POLICIES: (200, {"spec": {"failurePolicy": "Ignore"}})}, "lets pass what it can not judge"),
        ({POLICIES: (200, {"spec": {}})}, "lets pass what it can not judge"),
        ({POLICIES: (200, {})}, "can not be looked at"),
        ({POLICIES: Refused("forbidden", "no right")}, "can not be looked at: no right"),
        ({POLICIES: Unavailable("down")}, "can not be looked at: down"),
    ],
    ids=str,
)
async def test_a_policy_that_is_missing_or_weakened_is_a_problem(looked: dict[str, Said], problem: str) -> None:
    said = await Canary(Guarded([LOCK, SHAPE, FREEZE], **looked).client(), ["subagents"]).problems()

    assert [found.startswith("ValidatingAdmissionPolicy agentspawn-") for found in said] == [True] * 5
    assert [problem in found for found in said] == [True] * 5


@pytest.mark.parametrize(
    ("binding", "problem"),
    [
        ((404, {}), "is not there"),
        (_binding(validationActions=["Warn", "Audit"]), "does not deny"),
        (_binding(policyName="agentspawn-own"), "does not bind agentspawn-kin"),
        (_binding(matchResources=_object(BINDINGS, "agentspawn-kin-other")["spec"]["matchResources"]), "not reach"),
    ],
    ids=str,
)
async def test_a_binding_that_is_missing_or_weakened_is_a_problem(binding: Said, problem: str) -> None:
    wire = Guarded([LOCK, SHAPE, FREEZE], **{f"{BINDINGS}/agentspawn-kin": binding})

    (said,) = await Canary(wire.client(), ["subagents"]).problems()

    assert said.startswith("ValidatingAdmissionPolicyBinding agentspawn-kin: ")
    assert problem in said


@pytest.mark.parametrize("resources", [{}, {"namespaceSelector": {"matchLabels": {"team": "x"}}}])
async def test_a_binding_by_other_labels_is_taken_as_it_is(resources: dict[str, Any]) -> None:
    wire = Guarded([LOCK, SHAPE, FREEZE], **{f"{BINDINGS}/agentspawn-kin": _binding(matchResources=resources)})

    assert list(await Canary(wire.client(), ["subagents"]).problems()) == []


async def test_looking_that_fails_in_any_other_way_is_a_problem_too() -> None:
    said = await Canary(Guarded([LOCK, SHAPE, FREEZE], **{POLICIES: ZeroDivisionError()}).client(), []).problems()

    assert list(said) == ["the policies can not be looked at (ZeroDivisionError)"]


async def test_each_namespace_of_subagents_has_bindings_of_its_own_and_all_are_remembered() -> None:
    wire, moment = Guarded([LOCK]), [0.0]
    policies = Policies(wire.client(), ["subagents", "team-b"], lambda: moment[0])

    for moment[0] in (0.0, 4.9, 5.0):
        assert list(await policies.problems()) == []

    names = [call.path.rpartition("/")[2] for call in wire.calls if f"/{BINDINGS}/" in call.path]
    expected = [*OF_OUR_KINDS, *(name + end for name in OF_HOMES for end in ("", "-team-b"))]
    assert sorted(names) == sorted(expected * 2)
