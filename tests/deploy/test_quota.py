"""The second stop: exact for everybody at once, whatever the server thinks; in a namespace of its own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mcp_agentspawn.cli.manifests import render
from mcp_agentspawn.localplane import ControlPlane, install
from tests.deploy.cluster import Actor, Answer, Manifest, until
from tests.deploy.objects import fresh_id, named, subagent, tool_server, virtual_user
from tests.deploy.world import COUNTED, Everybody, policies_act

ACCOUNT, NAMESPACE, ORIGIN = "tess", "team-b", "team-b-orchestrators"
QUOTA = named("v1", "ResourceQuota", "agentspawn", NAMESPACE)
FREE, TRIED = 7, 40


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def team(
    on_reduced: Everybody, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Everybody]:
    """A second team, onboarded with namespaces of its own, as `agentspawn manifests` writes it."""
    origin = named("v1", "Namespace", ORIGIN, "")
    await on_reduced.administrator.apply(origin)
    file = Path(tmp_path_factory.mktemp("team")) / "team.yaml"
    file.write_text(render(ORIGIN, ACCOUNT, NAMESPACE, constrained=True), encoding="utf-8")
    await install(control_plane.admin, [file])
    await policies_act(on_reduced.cluster, NAMESPACE, ORIGIN)
    yield on_reduced
    await on_reduced.administrator.delete(origin)


def _agent(name: str) -> Manifest:
    agent = subagent(name, namespace=NAMESPACE)
    agent["metadata"]["annotations"]["agentspawn.dev/root"] = f"agentspawn:{ORIGIN}:{ACCOUNT}"
    return agent


def _root(everyone: Everybody, name: str) -> Actor:
    return everyone.server.impersonating(f"agentspawn:{ORIGIN}:{ACCOUNT}", proposal=name)


async def _create(everyone: Everybody, **query: str) -> Answer:
    name = fresh_id()
    return await _root(everyone, name).create(_agent(name), **query)


async def _limit(everyone: Everybody, most: int) -> None:
    """Set the limit and wait until the quota's own controller has it, and counts right."""
    await everyone.administrator.patch(QUOTA, {"spec": {"hard": {COUNTED: str(most)}}})

    async def counted() -> bool:
        status = (await everyone.administrator.get(QUOTA)).body["status"]
        return bool(status["hard"].get(COUNTED) == str(most))

    assert await until(counted)


async def _empty(everyone: Everybody) -> None:
    await everyone.administrator.send("DELETE", f"/apis/kagent.dev/v1alpha2/namespaces/{NAMESPACE}/agents")

    async def empty() -> bool:
        return bool((await everyone.administrator.get(QUOTA)).body["status"]["used"] == {COUNTED: "0"})

    assert await until(empty)


async def test_a_team_of_its_own_is_under_the_same_lock(team: Everybody) -> None:
    name = fresh_id()
    root = _root(team, name)

    made = await root.create(_agent(name))

    assert made.message == ""
    assert (await team.server.delete(_agent(name))).status == 200
    assert (await team.editor.create(_agent(fresh_id()))).status == 403
    assert (await team.cluster_admin.create(_agent(fresh_id()))).policy == "agentspawn-lock"
    assert (await _root(team, "").create(_agent(fresh_id()))).policy == "agentspawn-lock"


async def test_teams_do_not_reach_into_each_others_namespaces(team: Everybody) -> None:
    name = fresh_id()
    intruder = team.server.impersonating(virtual_user("mallory"), proposal=name)

    assert (await intruder.create(subagent(name, namespace=NAMESPACE))).status == 403
    assert (await _root(team, name).create(subagent(name))).status == 403


async def test_a_team_reads_its_own_kinds_through_the_server(team: Everybody) -> None:
    for plural in ("agents", "modelconfigs", "remotemcpservers"):
        path = f"/apis/kagent.dev/v1alpha2/namespaces/{NAMESPACE}/{plural}"
        assert (await team.server.send("GET", path)).status == 200


async def test_forty_at_once_with_seven_free_give_seven(team: Everybody) -> None:
    await _empty(team)
    await _limit(team, FREE)

    answers = await asyncio.gather(*(_create(team) for _ in range(TRIED)))

    assert sorted({answer.status for answer in answers}) == [201, 403]
    assert sum(answer.status == 201 for answer in answers) == FREE
    assert all("exceeded quota" in answer.message for answer in answers if answer.status == 403)


async def test_a_full_namespace_is_full_for_everybody_and_for_dry_runs(team: Everybody) -> None:
    await _empty(team)
    await _limit(team, 1)
    assert (await _create(team)).status == 201

    tried = [await _create(team, dryRun="All"), await team.operator.create(_agent(fresh_id()))]

    assert ["exceeded quota" in answer.message for answer in tried] == [True, True]


async def test_a_slot_is_free_again_when_its_agent_is_gone(team: Everybody) -> None:
    await _empty(team)
    await _limit(team, 1)
    name = fresh_id()
    await _root(team, name).create(_agent(name))
    assert (await _root(team, name).delete(_agent(name))).status == 200

    async def free() -> bool:
        return (await _create(team, dryRun="All")).status == 201

    assert await until(free)


async def test_a_namespace_that_is_deleted_takes_its_subagents_along(team: Everybody) -> None:
    """Last here: the namespace's controller removes what nobody else may."""
    await _empty(team)
    await _limit(team, FREE)
    assert (await _create(team)).status == 201
    await team.operator.create(tool_server("tools", NAMESPACE))
    namespace = named("v1", "Namespace", NAMESPACE, "")

    await team.administrator.delete(namespace)

    async def gone() -> bool:
        return not await team.administrator.has(namespace)

    assert await until(gone)
