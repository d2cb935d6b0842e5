from typing import Any

import pytest

from mcp_agentspawn.adapters.kubernetes.canary import Canary
from mcp_agentspawn.adapters.kubernetes.policies import EVERYWHERE_BY_NAME, FREEZE, OF_HOMES, OF_OUR_KINDS, Policies
from mcp_agentspawn.adapters.kubernetes.principals import Call
from mcp_agentspawn.adapters.kubernetes.transport import Answer
from mcp_agentspawn.core.errors import Refused, Unavailable
from mcp_agentspawn.core.model import Root
from tests.adapters.kubernetes.fake_api import Scripted

NAME_LABEL = "kubernetes.io/metadata.name"
POLICIES, BINDINGS = "validatingadmissionpolicies", "validatingadmissionpolicybindings"
Said = tuple[int, dict[str, Any]] | Exception


def denied_by(policy: str) -> tuple[int, dict[str, Any]]:
    message = f"ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: no"
    return (422, {"kind": "Status", "reason": "Invalid", "message": message})


LOCK, SHAPE, FROZEN = denied_by("agentspawn-lock"), denied_by("agentspawn-shape"), denied_by(FREEZE)
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
    home = name.removeprefix(policy).removeprefix("-everywhere").removeprefix("-") or "subagents"
    parts = {} if policy in OF_OUR_KINDS else {"matchResources": _selecting(_named("In", home))}
    parts |= {"paramRef": EVERYWHERE_BY_NAME} if policy == FREEZE else {}
    return {"spec": {"policyName": policy, "validationActions": ["Deny", "Audit"], **parts}}


def _named(operator: str, *names: str, key: str = NAME_LABEL) -> dict[str, Any]:
    return {"key": key, "operator": operator} | ({"values": list(names)} if names else {})


def _selecting(*expressions: dict[str, Any], **labels: str) -> dict[str, Any]:
    selector = {"matchExpressions": list(expressions), "matchLabels": labels}
    return {"namespaceSelector": {what: said for what, said in selector.items() if said}}


def roots(*homes: str, namespace: str = "agents") -> list[Root]:
    return [Root(namespace, "orchestrator", home) for home in homes]


EVERY_POLICY = (*OF_OUR_KINDS, *OF_HOMES.values())
BESIDE, EVERYWHERE = "agentspawn-kin-agents", "agentspawn-freeze-everywhere"


def _binding(**changes: Any) -> Said:
    return (200, {"spec": {**_object(BINDINGS, "agentspawn-kin")["spec"], **changes}})


async def test_all_is_well_when_each_policy_refuses() -> None:
    wire = Guarded([LOCK, SHAPE, FROZEN])

    assert list(await Canary(wire.client(), roots("subagents")).problems()) == []
    tries = [call for call in wire.calls if call.method == "POST"]
    assert len(tries) == 3
    assert all(call.query["dryRun"] == "All" and not call.changes for call in tries)


async def test_what_a_freeze_must_stop_is_right_in_everything_else() -> None:
    wire = Guarded([LOCK, SHAPE, FROZEN])

    await Canary(wire.client(), roots("subagents")).problems()

    bodies = [str(call.body) for call in wire.calls if call.method == "POST"]
    assert ["sub-canary-frozen" in body for body in bodies] == [False, False, True]
    assert all('"agentspawn.dev/depth":"0"' in body for body in bodies)


@pytest.mark.parametrize(
    ("answers", "problems"),
    [
        ([(201, {}), SHAPE, FROZEN], ["agentspawn-lock in subagents: does not act: it let the canary through"]),
        ([LOCK, (201, {}), FROZEN], ["agentspawn-shape in subagents: does not act: it let the canary through"]),
        ([LOCK, SHAPE, (201, {})], ["agentspawn-freeze in subagents: does not act: it let the canary through"]),
        ([SHAPE, SHAPE, FROZEN], ["agentspawn-lock in subagents: the canary was refused by something else"]),
        ([LOCK, LOCK, FROZEN], ["agentspawn-shape in subagents: the canary was refused by something else"]),
        ([LOCK, SHAPE, LOCK], ["agentspawn-freeze in subagents: the canary was refused by something else"]),
        ([LOCK, RBAC, FROZEN], ["agentspawn-shape in subagents: the canary was refused by something else"]),
        ([(404, {}), SHAPE, FROZEN], ["agentspawn-lock in subagents: the canary got no answer"]),
        ([Unavailable("down"), SHAPE, FROZEN], ["agentspawn-lock in subagents: the canary got no answer: down"]),
        ([LOCK, ZeroDivisionError(), FROZEN], ["agentspawn-shape in subagents: the canary failed (ZeroDivisionError)"]),
    ],
)
async def test_whatever_else_happens_is_a_problem_and_never_raised(answers: list[Any], problems: list[str]) -> None:
    said = await Canary(Guarded(answers).client(), roots("subagents")).problems()

    assert len(said) == len(problems)
    assert all(found.startswith(expected) for found, expected in zip(said, problems, strict=True))


async def test_every_namespace_of_subagents_is_tried() -> None:
    wire = Guarded([(201, {})])

    said = await Canary(wire.client(), roots("one", "two", "one")).problems()

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
    said = await Canary(Guarded([LOCK, SHAPE, FROZEN], **looked).client(), roots("subagents")).problems()

    assert [found.startswith("ValidatingAdmissionPolicy agentspawn-") for found in said] == [True] * len(EVERY_POLICY)
    assert [problem in found for found in said] == [True] * len(EVERY_POLICY)


@pytest.mark.parametrize(
    ("binding", "problem"),
    [
        ((404, {}), "is not there"),
        (_binding(validationActions=["Warn", "Audit"]), "does not deny"),
        (_binding(policyName="agentspawn-own"), "does not bind agentspawn-kin"),
        (_binding(matchResources=_selecting(_named("In", "other"))), "not reach"),
        (_binding(matchResources=_selecting(_named("NotIn", "subagents", "agents"))), "not reach"),
        (_binding(matchResources=_selecting(_named("DoesNotExist"))), "not reach"),
        (_binding(matchResources=_selecting(**{NAME_LABEL: "other"})), "not reach"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["agentspawn-kin", BESIDE])
async def test_a_binding_that_is_missing_or_weakened_is_a_problem(binding: Said, problem: str, name: str) -> None:
    wire = Guarded([LOCK, SHAPE, FROZEN], **{f"{BINDINGS}/{name}": binding})

    (said,) = await Canary(wire.client(), roots("subagents")).problems()

    assert said.startswith(f"ValidatingAdmissionPolicyBinding {name}: ")
    assert problem in said


@pytest.mark.parametrize(
    "reference",
    [None, {**EVERYWHERE_BY_NAME, "parameterNotFoundAction": "Allow"}, {**EVERYWHERE_BY_NAME, "name": "other"}],
    ids=str,
)
async def test_what_refuses_without_the_lasting_freeze_must_do_so(reference: dict[str, Any] | None) -> None:
    spec = _object(BINDINGS, EVERYWHERE)["spec"]
    weakened = {key: value for key, value in {**spec, "paramRef": reference}.items() if value}
    wire = Guarded([LOCK, SHAPE, FROZEN], **{f"{BINDINGS}/{EVERYWHERE}": (200, {"spec": weakened})})

    (said,) = await Canary(wire.client(), roots("subagents")).problems()

    assert said == f"ValidatingAdmissionPolicyBinding {EVERYWHERE}: does not refuse without everywhere"


async def test_orchestrators_elsewhere_have_a_binding_of_their_own() -> None:
    wire = Guarded([LOCK, SHAPE, FROZEN], **{f"{BINDINGS}/agentspawn-kin-robots": (404, {})})

    (said,) = await Canary(wire.client(), roots("subagents", namespace="robots")).problems()

    assert said == "ValidatingAdmissionPolicyBinding agentspawn-kin-robots: is not there"


async def test_orchestrators_beside_subagents_of_others_have_theirs() -> None:
    wire = Guarded([LOCK])
    both = [Root("agents", "x", "team-b"), Root("team-b", "y", "subagents")]

    assert list(await Policies(wire.client(), both).problems()) == []

    names = [call.path.rpartition("/")[2] for call in wire.calls if f"/{BINDINGS}/" in call.path]
    assert sorted(name for name in names if "kin" in name) == ["agentspawn-kin", BESIDE, "agentspawn-kin-team-b"]


@pytest.mark.parametrize(
    "resources",
    [
        {},
        _selecting(team="x"),
        _selecting(_named("NotIn", "x", key="team")),
        _selecting(_named("NotIn", "agents"), _named("Exists")),
        _selecting(**{NAME_LABEL: "subagents"}),
    ],
    ids=str,
)
async def test_a_binding_that_names_this_namespace_or_other_labels_is_taken_as_it_is(resources: dict[str, Any]) -> None:
    wire = Guarded([LOCK, SHAPE, FROZEN], **{f"{BINDINGS}/agentspawn-kin": _binding(matchResources=resources)})

    assert list(await Canary(wire.client(), roots("subagents")).problems()) == []


async def test_looking_that_fails_in_any_other_way_is_a_problem_too() -> None:
    said = await Canary(Guarded([LOCK, SHAPE, FROZEN], **{POLICIES: ZeroDivisionError()}).client(), []).problems()

    assert list(said) == ["the policies can not be looked at (ZeroDivisionError)"]


async def test_each_namespace_of_subagents_has_bindings_of_its_own_and_all_are_remembered() -> None:
    wire, moment = Guarded([LOCK]), [0.0]
    policies = Policies(wire.client(), roots("subagents", "team-b"), lambda: moment[0])

    for moment[0] in (0.0, 4.9, 5.0):
        assert list(await policies.problems()) == []

    names = [call.path.rpartition("/")[2] for call in wire.calls if f"/{BINDINGS}/" in call.path]
    expected = [*OF_OUR_KINDS, BESIDE, *(name + end for name in OF_HOMES for end in ("", "-team-b"))]
    assert sorted(names) == sorted(expected * 2)
