"""People decide and stop with their own identity: the real command, two real servers, a real API server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from time import monotonic

import pytest
import pytest_asyncio

from mcp_agentspawn.core.model import Root
from tests.attacks.orchestrators import Orchestrator, codes
from tests.cli.replicas_for_people import Replicas, replicas
from tests.dev_fixtures import REPOSITORY, DevServer

FOLDERS = ("--templates", str(REPOSITORY / "templates"), "--policies", str(REPOSITORY / "policies"))
pytestmark = pytest.mark.timeout(180)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def at_work(dev_server: DevServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replicas]:
    async with replicas(dev_server, tmp_path_factory.mktemp("people")) as running:
        yield running


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _nothing_is_left(at_work: Replicas) -> AsyncIterator[None]:
    yield
    for entry in (await at_work.caller().call("list_subagents"))["subagents"]:
        await at_work.caller().retire(entry["agent"])


def names(dev: DevServer) -> set[str]:
    return {agent["metadata"]["name"] for agent in dev.agents()}


async def test_an_apply_that_waits_for_one_person_goes_on_when_she_approves(at_work: Replicas) -> None:
    proposed = await at_work.propose("one-asked", "Waits for alice")
    held = await at_work.caller(1).apply(proposed)
    assert (proposed["outcome"], held["outcome"]) == ("pending_approval", "pending_approval")
    assert proposed["proposal"] not in names(at_work.dev)

    listed = at_work.person("alice", "proposals")
    shown = at_work.person("alice", "show", proposed["proposal"])
    waiting = asyncio.create_task(at_work.caller(1).apply(proposed, wait_seconds=20))
    approved = await asyncio.to_thread(
        at_work.person, "alice", "approve", proposed["proposal"], "--digest", proposed["digest"], "--reason", "Fine"
    )
    applied = await waiting

    assert (listed.returncode, shown.returncode, approved.returncode) == (0, 0, 0), approved.stderr
    assert f"{proposed['proposal']}  risk medium, 0 of 1 approvals" in listed.stdout
    assert f"approve {proposed['proposal']} --digest {proposed['digest']}" in shown.stdout
    assert (applied["outcome"], applied.get("agent")) == ("allowed", proposed["proposal"]), applied
    assert proposed["proposal"] in names(at_work.dev)


async def test_a_high_risk_needs_two_different_people(at_work: Replicas) -> None:
    proposed = await at_work.propose("two-asked", "Waits for alice and bob")

    for _ in range(2):
        assert at_work.person("alice", "approve", proposed["proposal"]).returncode == 0
        assert (await at_work.caller().apply(proposed))["outcome"] == "pending_approval"
    assert at_work.person("bob", "approve", proposed["proposal"]).returncode == 0

    assert (await at_work.caller().apply(proposed))["outcome"] == "allowed"


async def test_one_denial_is_the_end_of_it(at_work: Replicas) -> None:
    proposed = await at_work.propose("one-asked", "Denied by bob")

    assert at_work.person("alice", "approve", proposed["proposal"]).returncode == 0
    assert at_work.person("bob", "deny", proposed["proposal"], "--reason", "No").returncode == 0

    assert codes(await at_work.caller().apply(proposed)) == {"approval.denied"}


async def test_neither_the_orchestrator_nor_the_server_approves(at_work: Replicas) -> None:
    proposed = await at_work.propose("one-asked", "Approves itself")
    server = at_work.dev.kubeconfig.with_name("server.kubeconfig")

    refused = [
        at_work.with_kubeconfig(kubeconfig, "approve", proposed["proposal"])
        for kubeconfig in (at_work.api_token_file, server)
    ]

    assert [result.returncode for result in refused] == [1, 1]
    assert all(result.stderr.startswith("forbidden") for result in refused)
    assert (await at_work.caller().apply(proposed))["outcome"] == "pending_approval"


@contextmanager
def frozen(at_work: Replicas) -> Iterator[float]:
    """Frozen by alice as long as the block lasts; gives the moment."""
    assert at_work.person("alice", "freeze", "--root", "agents/planner", "--reason", "Stop").returncode == 0
    try:
        yield monotonic()
    finally:
        assert at_work.person("alice", "unfreeze", "--root", "agents/planner").returncode == 0


async def test_a_freeze_stops_spawning_on_every_replica_within_a_second_and_nothing_else(at_work: Replicas) -> None:
    agent = await at_work.caller().spawn("Stands before the freeze", template="nobody-asked")
    open_ = await at_work.propose("nobody-asked", "Applied too late")

    with frozen(at_work) as since:
        for replica in range(2):
            while (await at_work.propose("nobody-asked", f"Frozen {replica}", replica))["outcome"] == "allowed":
                assert monotonic() < since + 1
            assert codes(await at_work.propose("nobody-asked", "Frozen out", replica)) == {"freeze.frozen"}
            assert codes(await at_work.caller(replica).apply(open_)) == {"freeze.frozen"}
        here = at_work.caller(1)
        assert agent in [entry["agent"] for entry in (await here.call("list_subagents"))["subagents"]]
        assert (await here.call("get_subagent", agent=agent))["outcome"] == "allowed"
        assert (await here.retire(agent))["outcome"] == "allowed"
        assert "agents/planner, by alice" in at_work.person("bob", "freeze", "--list").stdout

    await _until_allowed(at_work, open_)


async def _until_allowed(at_work: Replicas, proposal: dict[str, str]) -> None:
    """A freeze that has just ended is remembered for half a second."""
    since = monotonic()
    while (answer := await at_work.caller().apply(proposal))["outcome"] != "allowed":
        assert codes(answer) == {"freeze.frozen"}
        assert monotonic() < since + 2


async def test_who_has_no_role_is_refused_and_told_which(at_work: Replicas) -> None:
    refused = [
        at_work.with_kubeconfig(at_work.api_token_file, *command) for command in (("freeze", "--list"), ("proposals",))
    ]

    assert [result.returncode for result in refused] == [1, 1]
    assert all("the role agentspawn-viewer" in result.stderr for result in refused)


async def test_who_only_approves_neither_freezes_nor_resets_nor_retires(at_work: Replicas) -> None:
    agent = await at_work.caller().spawn("Is not bob's to remove", template="nobody-asked")

    tried = [
        at_work.person("bob", "freeze", "--root", "agents/planner", "--reason", "x"),
        at_work.person("bob", "unfreeze"),
        at_work.person("bob", "reset", "agents/planner", "--counts", "--reason", "x"),
        at_work.person("bob", "retire-tree", "agents/planner", "--keep-open"),
    ]

    assert [result.returncode for result in tried] == [1, 1, 1, 1]
    assert all(result.stderr.startswith("forbidden") for result in tried)
    assert agent in names(at_work.dev)


async def test_a_tree_is_removed_by_a_person_while_no_server_does_anything(at_work: Replicas) -> None:
    agent = await at_work.caller().spawn("Goes without a server", template="nobody-asked")

    with at_work.standing_still():
        result = at_work.person("alice", "retire-tree", "agents/planner", "--reason", "Clean up")
        left = {agent for agent in names(at_work.dev) if agent.startswith("sub-nobody-asked")}
    assert at_work.person("alice", "unfreeze", "--root", "agents/planner").returncode == 0

    assert (result.returncode, left) == (0, set()), result.stderr
    assert f"Gone: {agent}" in result.stdout


async def test_an_operator_says_that_counts_begin_anew_and_which_account_may_go_on(at_work: Replicas) -> None:
    result = at_work.person(
        "alice", "reset", "agents/planner", "--counts", "--account", "current", "--reason", "It was made again"
    )

    assert result.returncode == 0, result.stderr
    assert "as alice" in result.stdout


async def test_a_sample_on_the_server_that_make_run_starts_asks_a_person_and_show_says_why(at_work: Replicas) -> None:
    dev = at_work.dev
    orchestrator = Orchestrator(Root("agents", "orchestrator", "subagents"), dev.mcp_url, dev.token("orchestrator"))
    question = [{"name": "question", "value": "Which ways are there to run agents?"}]

    proposed = await orchestrator.propose("Compare the ways", template="lead-researcher", parameters=question)
    shown = at_work.person("bob", "show", proposed["proposal"], *FOLDERS)
    approved = at_work.person("bob", "approve", proposed["proposal"], "--digest", proposed["digest"])
    applied = await orchestrator.apply(proposed, wait_seconds=5)
    await orchestrator.retire(proposed["proposal"])

    assert (proposed["outcome"], proposed["risk"]) == ("pending_approval", "medium")
    assert "may spawn agents itself" in shown.stdout
    assert (approved.returncode, applied["outcome"]) == (0, "allowed"), approved.stderr
