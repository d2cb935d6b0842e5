"""What was right when it was proposed is judged again when it is applied, by what is true then."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mcp_agentspawn.core.model import Root
from mcp_agentspawn.operations.answers import Answer
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.services import PROPOSAL_LIFETIME
from tests.builders import RESEARCHER, policy, template
from tests.faults.cluster import HOME, SYSTEM, Cluster
from tests.faults.paths import ledger_holds
from tests.faults.replicas import ROOMY, Replica, start
from tests.faults.servers import Answer as Said
from tests.faults.servers import Rules, Server, serve
from tests.localplane.waiting import until

CHANGED = "Answers two questions from the web."
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"


async def _nothing_was_made(cluster: Cluster, root: Root, answer: Answer) -> str:
    """The one code of a refusal that left no Agent and took no slot."""
    assert await cluster.agents_of(root) == []
    assert await ledger_holds(cluster, root) == set()
    reason, *drifted = answer.reasons
    assert {more.code for more in drifted} <= {"proposal.policy_changed"}
    return f"{answer.outcome} {reason.code}"


async def test_another_callers_proposal(cluster: Cluster, root: Root, other: Replica) -> None:
    proposal = await other.propose()
    thief = await cluster.onboard(f"{root.account}-thief")
    async with start(cluster, thief) as stranger:
        answer = await stranger.applied(proposal)
    assert await _nothing_was_made(cluster, root, answer) == "denied proposal.unknown"
    assert await cluster.agents_of(thief) == []


async def test_another_digest(cluster: Cluster, root: Root, other: Replica) -> None:
    first, second = await other.propose(), await other.propose(purpose="Something else")
    answer = await apply(other.services, other.caller, first.proposal, second.digest)
    assert await _nothing_was_made(cluster, root, answer) == "denied proposal.digest"


async def test_a_proposal_whose_time_is_over(cluster: Cluster, root: Root, other: Replica) -> None:
    proposal = await other.propose()
    answer = await other.later(PROPOSAL_LIFETIME + timedelta(seconds=1)).applied(proposal)
    assert await _nothing_was_made(cluster, root, answer) == "stale proposal.expired"


async def test_a_template_that_changed(cluster: Cluster, root: Root, other: Replica) -> None:
    proposal = await other.propose()
    other.rules.templates["researcher"] = template(description=CHANGED)
    answer = await other.applied(proposal)
    assert await _nothing_was_made(cluster, root, answer) == "stale proposal.template_changed"


async def test_a_policy_that_allows_the_template_no_longer(cluster: Cluster, root: Root, other: Replica) -> None:
    proposal = await other.propose()
    other.rules.policies["default"] = policy(template={"allow": []})
    answer = await other.applied(proposal)
    assert (await _nothing_was_made(cluster, root, answer)).startswith("denied template.")


async def test_a_policy_with_no_place_any_more(cluster: Cluster, root: Root, other: Replica) -> None:
    proposal = await other.propose()
    other.rules.policies["default"] = policy(**{**ROOMY, "quota": {"live_per_parent": 0}})
    answer = await other.applied(proposal)
    assert await _nothing_was_made(cluster, root, answer) == "denied quota.live_per_parent"


@pytest.mark.parametrize(("namespace", "code"), [(SYSTEM, "template."), (HOME, "access.forbidden.rbac")])
async def test_rights_that_were_taken_away(
    cluster: Cluster, root: Root, other: Replica, namespace: str, code: str
) -> None:
    proposal = await other.propose()
    await cluster.remove(f"{RBAC}/{namespace}/rolebindings/agentspawn-{root.account}")
    async with start(cluster, root) as fresh:  # whose answers about rights are not remembered ones
        answer = await fresh.applied(proposal)
        await fresh.services.later.settle()
    assert (await _nothing_was_made(cluster, root, answer)).startswith(f"denied {code}")


async def test_rules_that_were_changed_on_disk_count_for_what_was_proposed_before(
    cluster: Cluster, root: Root, tmp_path: Path
) -> None:
    rules = Rules(tmp_path)
    rules.write()
    async with serve(cluster, [root], rules) as server:
        proposals = [await server.propose(f"Question {number}") for number in range(3)]
        rules.write(quota={**ROOMY["quota"], "live_per_parent": 0})
        await _until_offered(server, lambda offer: offer["allowance"]["live_subagents"] == 0)
        assert _code(await server.apply(proposals[0])) == "denied quota.live_per_parent"
        rules.write(template={**RESEARCHER, "description": CHANGED})
        await _until_offered(server, lambda offer: offer["templates"][0]["description"] == CHANGED)
        assert _code(await server.apply(proposals[1])) == "stale proposal.template_changed"
        rules.write(callers={"service_accounts": ["agents/somebody-else"]})
        await _until_offered(server, lambda offer: offer["outcome"] == "denied")
        assert _code(await server.apply(proposals[2])) == "denied policy.none"
    assert await cluster.agents_of(root) == []
    assert await ledger_holds(cluster, root) == set()


async def _until_offered(server: Server, wanted: Callable[[Said], bool]) -> None:
    """Wait until the server has taken the changed rules up."""

    async def offered() -> bool:
        return wanted(await server.call("list_templates"))

    await until(offered)


def _code(answer: Said) -> str:
    (reason,) = answer["reasons"]
    return f"{answer['outcome']} {reason['code']}"
