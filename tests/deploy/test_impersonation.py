"""A server that impersonates wrongly is refused before any policy is asked."""

import pytest

from tests.deploy.cluster import EXTRA, HOME, KAGENT, MASTERS, ORCHESTRATORS, SERVER, Answer
from tests.deploy.objects import ROOT, fresh_id, named, subagent, virtual_user
from tests.deploy.world import Everybody

AGENTS = f"/apis/kagent.dev/v1alpha2/namespaces/{HOME}/agents"


@pytest.mark.parametrize(
    "user",
    [
        "agentspawn:agents:nobody",
        "system:serviceaccount:agents:mallory",
        "system:serviceaccount:kube-system:generic-garbage-collector",
        KAGENT,
        "oscar",
        "system:admin",
    ],
)
async def test_the_server_is_nobody_but_a_root_that_was_onboarded(everyone: Everybody, user: str) -> None:
    name = fresh_id()

    answer = await everyone.server.impersonating(user, proposal=name).create(subagent(name))

    assert (answer.status, answer.policy) == (403, "")
    assert "impersonate" in answer.message


@pytest.mark.parametrize(
    "header",
    [
        ("Impersonate-Group", MASTERS),
        ("Impersonate-Group", "agentspawn:operators"),
        ("Impersonate-Group", "system:serviceaccounts"),
        ("Impersonate-Uid", "1"),
        ("Impersonate-Extra-scopes", "all"),
        ("Impersonate-Extra-agentspawn.dev%2Fother", "x"),
        ("impersonate-GROUP", MASTERS),
    ],
    ids=str,
)
async def test_no_group_uid_or_other_extra_travels_along(everyone: Everybody, header: tuple[str, str]) -> None:
    name = fresh_id()

    answer = await everyone.root(name).saying(header).create(subagent(name))

    assert (answer.status, answer.policy) == (403, "")


async def test_the_orchestrators_own_token_impersonates_nobody(everyone: Everybody) -> None:
    name = fresh_id()
    asked = [virtual_user(ROOT), "system:serviceaccount:agents:mallory", SERVER]

    answers = [await everyone.orchestrator.impersonating(user, proposal=name).create(subagent(name)) for user in asked]

    assert [(answer.status, answer.policy) for answer in answers] == [(403, "")] * 3


@pytest.mark.parametrize(
    "extra",
    ["impersonate-extra-agentspawn.dev%2fproposal", "IMPERSONATE-EXTRA-AGENTSPAWN.DEV%2FPROPOSAL"],
)
async def test_the_case_of_a_header_makes_no_difference(everyone: Everybody, extra: str) -> None:
    name = fresh_id()
    root = everyone.server.impersonating(virtual_user(ROOT)).saying((extra, name))

    assert (await root.create(subagent(name), dryRun="All")).status == 201
    assert (await root.create(subagent(fresh_id()), dryRun="All")).policy == "agentspawn-lock"


async def test_a_slash_that_is_not_escaped_is_no_header(everyone: Everybody) -> None:
    name = fresh_id()
    root = everyone.server.impersonating(virtual_user(ROOT)).saying(("Impersonate-Extra-agentspawn.dev/proposal", name))

    assert (await root.create(subagent(name), dryRun="All")).status == 400


async def test_a_group_alone_is_nobody(everyone: Everybody) -> None:
    answer = await everyone.server.saying(("Impersonate-Group", MASTERS)).create(subagent(fresh_id()))

    assert answer.status in {400, 403, 500}
    assert "impersonat" in answer.message


async def _looks(everyone: Everybody) -> list[Answer]:
    root = everyone.root(fresh_id())
    return [
        await root.send("GET", AGENTS),
        await root.send("GET", f"{AGENTS}/x"),
        await root.send("PATCH", f"{AGENTS}/x", {}, media="application/merge-patch+json"),
        await root.send("DELETE", AGENTS),
        await root.send("GET", f"/api/v1/namespaces/{HOME}/secrets"),
        await root.send("GET", f"/api/v1/namespaces/{ORCHESTRATORS}/secrets"),
        await root.create(named("v1", "ConfigMap", "x")),
        await root.create(subagent(fresh_id(), namespace=ORCHESTRATORS)),
    ]


async def test_as_a_root_the_server_creates_and_deletes_agents_and_nothing_else(everyone: Everybody) -> None:
    answers = await _looks(everyone)

    assert {(answer.status, answer.policy) for answer in answers} == {(403, "")}
    assert ["impersonate-on:user-info:" in answer.message for answer in answers] == [True] * len(answers)


async def test_before_1_36_a_root_has_no_more_rights(everyone_before_1_36: Everybody) -> None:
    assert {(answer.status, answer.policy) for answer in await _looks(everyone_before_1_36)} == {(403, "")}


async def test_before_1_36_the_lock_holds_the_same(everyone_before_1_36: Everybody) -> None:
    everyone, name = everyone_before_1_36, fresh_id()

    agent = await everyone.spawn()

    assert (await everyone.root().create(subagent(name))).policy == "agentspawn-lock"
    assert (await everyone.root(name).create(subagent(fresh_id()))).policy == "agentspawn-lock"
    assert (await everyone.server.create(subagent(name))).status == 403
    assert (await everyone.root(agent["metadata"]["name"]).delete(agent)).status == 200


@pytest.mark.parametrize("user", ["agentspawn:agents:nobody", "system:serviceaccount:agents:mallory", "oscar"])
async def test_before_1_36_the_server_is_nobody_else(everyone_before_1_36: Everybody, user: str) -> None:
    name = fresh_id()

    answer = await everyone_before_1_36.server.impersonating(user, proposal=name).create(subagent(name))

    assert (answer.status, answer.policy) == (403, "")
    assert "cannot impersonate resource" in answer.message


async def test_before_1_36_no_group_travels_along(everyone_before_1_36: Everybody) -> None:
    name = fresh_id()
    root = everyone_before_1_36.server.impersonating(virtual_user(ROOT), MASTERS).saying((EXTRA, name))

    answer = await root.create(subagent(name))

    assert answer.status == 403
    assert "cannot impersonate resource" in answer.message


@pytest.mark.parametrize("namespace", ["default", ORCHESTRATORS])
async def test_with_the_option_kagent_writes_no_agents_anywhere(
    everyone_before_1_36: Everybody, namespace: str
) -> None:
    everyone, agent = everyone_before_1_36, subagent(fresh_id(), namespace=namespace)
    assert (await everyone.operator.create(agent)).status == 201

    created = await everyone.kagent.create(subagent(fresh_id(), namespace=namespace))
    changed = await everyone.kagent.patch(agent, {"spec": {"description": "mine"}})
    reported = await everyone.kagent.patch(agent, {"status": {"observedGeneration": 1}}, "status")

    assert created.policy in {"agentspawn-kagent-creates-no-agents", "agentspawn-kin"}
    assert changed.policy in {"agentspawn-kagent-creates-no-agents", "agentspawn-kin"}
    assert reported.status == 200
