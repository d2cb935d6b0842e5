"""Cutting off goes on after a refusal, starts again after a conflict, and a crash anywhere is completed later."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.cordon import KubernetesCordon
from mcp_agentspawn.adapters.kubernetes.principals import Call
from mcp_agentspawn.adapters.kubernetes.transport import Answer
from mcp_agentspawn.core.errors import Refused, Unavailable, UnknownOutcome, Upstream
from mcp_agentspawn.core.model import Subagent
from tests.adapters.kubernetes.fake_api import Scripted
from tests.builders import NOON, ROOT

HOME = "subagents"
OURS = {"app.kubernetes.io/part-of": "agentspawn"}
NOBODY = {"key": "kagent", "operator": "NotIn", "values": ["nobody"]}


@dataclass
class Namespace(Scripted):
    """The network policies of one namespace; the n-th write can fail, before or after it took effect."""

    answers: list[Any] = field(default_factory=list)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    failing: dict[int, Any] = field(default_factory=dict)
    lost: bool = False
    running: set[str] = field(default_factory=set)
    written: list[str] = field(default_factory=list)

    def put(self, name: str, selector: dict[str, Any]) -> None:
        metadata = {"name": name, "uid": f"of-{name}", "resourceVersion": "1", "labels": OURS}
        self.policies[name] = {"metadata": metadata, "spec": {"podSelector": selector, "egress": [{}]}}

    async def send(self, call: Call) -> Answer:
        name = call.path.rpartition("/")[2]
        if call.path.endswith("/pods"):
            items = [{"metadata": {"labels": {"kagent": agent}}} for agent in self.running]
            return _answer(200, {"items": items, "metadata": {}})
        if call.method == "GET":
            return _answer(200, {"items": list(self.policies.values()), "metadata": {}})
        failure = self.failing.pop(len(self.written), None)
        self.written.append(f"{call.method} {name}")
        if failure is None or self.lost:
            self._write(call.method, name, json.loads(call.body or b"{}"))
        if isinstance(failure, Exception):
            raise failure
        return _answer(failure or 200, {"kind": "Status", "reason": "AlreadyExists", "message": "x"})

    def _write(self, method: str, name: str, body: dict[str, Any]) -> None:
        if method == "DELETE":
            self.policies.pop(name, None)
        else:
            body["metadata"]["uid"] = f"of-{body['metadata']['name']}"
            self.policies[body["metadata"]["name"]] = body

    def left_out(self) -> dict[str, list[str]]:
        selectors = {name: policy["spec"]["podSelector"] for name, policy in self.policies.items()}
        return {
            name: found["matchExpressions"][0]["values"]
            for name, found in selectors.items()
            if "matchLabels" not in found
        }


def _answer(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(body).encode(), retry_after=False)


@pytest.fixture
def namespace() -> Namespace:
    namespace = Namespace()
    for name in ("a", "b"):
        namespace.put(name, {"matchExpressions": [NOBODY]})
    return namespace


@pytest.fixture
def cordon(namespace: Namespace) -> KubernetesCordon:
    return KubernetesCordon(Client(namespace))


@pytest.fixture
def agent() -> Subagent:
    return Subagent("sub-x", "u", HOME, ROOT.virtual_user, "", "researcher", "r", timedelta(hours=1), NOON)


DONE = ["PUT a", "PUT b", "POST networkpolicies"]


async def test_the_record_comes_last(namespace: Namespace, cordon: KubernetesCordon, agent: Subagent) -> None:
    await cordon.cut_off(agent)

    assert namespace.written == DONE


async def test_what_is_done_is_written_once(namespace: Namespace, cordon: KubernetesCordon, agent: Subagent) -> None:
    await cordon.cut_off(agent)
    await cordon.cut_off(agent)

    assert namespace.written == DONE


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("step", range(3))
@pytest.mark.parametrize("failure", [Unavailable("x"), UnknownOutcome("x"), 500], ids=str)
async def test_a_crash_between_any_two_steps_does_not_stand_and_is_completed(
    namespace: Namespace, cordon: KubernetesCordon, agent: Subagent, failure: Any, step: int, *, lost: bool
) -> None:
    namespace.failing, namespace.lost = {step: failure}, lost

    with pytest.raises(Upstream):
        await cordon.cut_off(agent)
    stood = dict(await cordon.standing(HOME))
    await cordon.cut_off(agent)

    assert stood == ({"sub-x": agent.uid} if (step, lost) == (2, True) else {})
    assert dict(await cordon.standing(HOME)) == {"sub-x": agent.uid}
    assert namespace.left_out() == {"a": ["nobody", "sub-x"], "b": ["nobody", "sub-x"]}


@pytest.mark.parametrize("step", range(3))
async def test_a_crash_while_lifting_is_completed(
    namespace: Namespace, cordon: KubernetesCordon, agent: Subagent, step: int
) -> None:
    await cordon.cut_off(agent)
    namespace.failing = {3 + step: Unavailable("x")}

    with pytest.raises(Unavailable):
        await cordon.lift(HOME, "sub-x")
    await cordon.lift(HOME, "sub-x")

    assert namespace.left_out() == {"a": ["nobody"], "b": ["nobody"]}
    assert set(namespace.policies) == {"a", "b"}


@pytest.mark.parametrize("status", [409, 404])
@pytest.mark.parametrize("step", range(3))
async def test_after_a_conflict_it_looks_again(
    namespace: Namespace, cordon: KubernetesCordon, agent: Subagent, step: int, status: int
) -> None:
    namespace.failing = {step: status}

    await cordon.cut_off(agent)

    assert dict(await cordon.standing(HOME)) == {"sub-x": agent.uid}
    assert namespace.written[step + 1] == namespace.written[step]


async def test_it_does_not_look_for_ever(namespace: Namespace, cordon: KubernetesCordon, agent: Subagent) -> None:
    namespace.failing = dict.fromkeys(range(100), 409)

    with pytest.raises(Unavailable):
        await cordon.cut_off(agent)


async def test_after_a_refusal_all_else_is_done(
    namespace: Namespace, cordon: KubernetesCordon, agent: Subagent
) -> None:
    namespace.failing = {0: 403}

    with pytest.raises(Refused) as refusal:
        await cordon.cut_off(agent)

    assert (refusal.value.code, refusal.value.message.endswith(": a.")) == ("cordon.incomplete", True)
    assert namespace.left_out() == {"a": ["nobody"], "b": ["nobody", "sub-x"]}
    assert "sub-x-quarantine" in namespace.policies
    assert namespace.written == DONE


async def test_a_record_that_is_refused_is_a_refusal(
    namespace: Namespace, cordon: KubernetesCordon, agent: Subagent
) -> None:
    namespace.failing = {2: 403}

    with pytest.raises(Refused) as refusal:
        await cordon.cut_off(agent)

    assert refusal.value.code == "forbidden"
    assert not await cordon.standing(HOME)


async def test_what_is_not_lifted_is_not_said_to_be(
    namespace: Namespace, cordon: KubernetesCordon, agent: Subagent
) -> None:
    await cordon.cut_off(agent)
    namespace.failing = {3: 403}

    with pytest.raises(Refused):
        await cordon.lift(HOME, "sub-x")

    assert namespace.left_out() == {"a": ["nobody", "sub-x"], "b": ["nobody"]}


async def test_whose_pod_is_there_stays_cut_off(
    namespace: Namespace, cordon: KubernetesCordon, agent: Subagent
) -> None:
    await cordon.cut_off(agent)
    namespace.running = {"sub-x"}

    with pytest.raises(Unavailable):
        await cordon.lift(HOME, "sub-x")

    assert namespace.written == DONE
    assert dict(await cordon.standing(HOME)) == {"sub-x": agent.uid}


@pytest.mark.parametrize("item", [{}, {"metadata": {}}, {"metadata": 1}, 1], ids=str)
async def test_what_can_not_be_read_is_no_answer(item: Any, agent: Subagent) -> None:
    cordon = KubernetesCordon(Scripted([(200, {"items": [item], "metadata": {}})]).client())

    for asked in (cordon.cut_off(agent), cordon.lift(HOME, "sub-x"), cordon.standing(HOME)):
        with pytest.raises(Unavailable):
            await asked
