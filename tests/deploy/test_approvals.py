"""A decision on a proposal is a person's own, whom RBAC lets approve that very proposal."""

from typing import Any

import pytest

from tests.deploy.cluster import BROAD, EXTRA, MASTERS, SERVER, SYSTEM, Actor, Manifest, until
from tests.deploy.objects import approval, fresh_id, virtual_user, with_changes
from tests.deploy.strangers import MALLORY, NO_PERSONS
from tests.deploy.world import DORAS, Everybody

APPROVALS = "agentspawn-approvals"
COLLECTION = f"/apis/agentspawn.dev/v1alpha1/namespaces/{SYSTEM}/subagentapprovals"


async def _decided(everyone: Everybody, **changes: Any) -> Manifest:
    manifest = approval(fresh_id(), "alice", **changes)
    answer = await everyone.alice.create(manifest, fieldValidation="Strict")
    assert answer.status == 201, answer.message
    return manifest


@pytest.mark.parametrize("decision", ["approve", "deny"])
@pytest.mark.parametrize("person", ["alice", "bob"])
async def test_an_approver_decides_in_their_own_name(everyone: Everybody, person: str, decision: str) -> None:
    manifest = approval(fresh_id(), person, decision=decision, reason="Looks right. " * 38)

    answer = await everyone.named(person).create(manifest, fieldValidation="Strict")

    assert (answer.status, answer.body["spec"]) == (201, manifest["spec"])


@pytest.mark.parametrize("who", NO_PERSONS)
async def test_what_is_no_person_decides_nothing(everyone: Everybody, who: str) -> None:
    user, *groups = NO_PERSONS[who]
    actor = everyone.cluster.person(user, BROAD, *groups)

    answer = await actor.create(approval(fresh_id(), user))

    assert (answer.status, answer.policy) == (422, APPROVALS)


@pytest.mark.parametrize("who", NO_PERSONS)
async def test_what_is_no_person_takes_no_decision_back(everyone: Everybody, who: str) -> None:
    user, *groups = NO_PERSONS[who]
    stored = await _decided(everyone)

    answer = await everyone.cluster.person(user, BROAD, *groups).delete(stored)

    assert (answer.status, answer.policy) == ((200, "") if user == SERVER else (422, APPROVALS))


async def test_an_orchestrators_token_has_no_right_on_decisions(everyone: Everybody) -> None:
    stored = await _decided(everyone)

    answers = [
        await everyone.orchestrator.create(approval(fresh_id(), MALLORY)),
        await everyone.orchestrator.send("GET", COLLECTION),
        await everyone.orchestrator.delete(stored),
        await everyone.root(fresh_id()).create(approval(fresh_id(), virtual_user("mallory"))),
        await everyone.server.create(approval(fresh_id(), SERVER)),
    ]

    assert [(answer.status, answer.policy) for answer in answers] == [(403, "")] * 5


async def test_a_person_who_stands_in_for_a_root_decides_nothing(everyone: Everybody) -> None:
    """The extra says that somebody writes for a proposal, whoever it is."""
    name = fresh_id()
    keys = [(EXTRA, name), ("Impersonate-Extra-agentspawn.dev%2Fother", "x")]

    answers = [await everyone.alice.saying(key).create(approval(name, "alice")) for key in keys]

    assert [answer.policy for answer in answers] == [APPROVALS, APPROVALS]


@pytest.mark.parametrize("decider", ["bob", "Alice", "alice ", "", "system:serviceaccount:agents:mallory"])
async def test_nobody_decides_in_anothers_name(everyone: Everybody, decider: str) -> None:
    answer = await everyone.alice.create(approval(fresh_id(), decider))

    assert answer.status == 422
    assert answer.policy == APPROVALS or "spec.decider" in answer.message


async def test_not_even_an_administrator_decides_in_anothers_name(everyone: Everybody) -> None:
    administrator = everyone.cluster.person("root", MASTERS)

    assert (await administrator.create(approval(fresh_id(), "alice"))).policy == APPROVALS
    assert (await administrator.create(approval(fresh_id(), "root"))).status == 201


async def test_who_may_store_decisions_and_not_approve_decides_nothing(everyone: Everybody) -> None:
    answers = [
        await everyone.carol.create(approval(fresh_id(), "carol", decision=word)) for word in ("approve", "deny")
    ]

    assert [(answer.status, answer.policy) for answer in answers] == [(422, APPROVALS)] * 2


async def test_a_right_to_approve_one_proposal_is_none_to_approve_another(everyone: Everybody) -> None:
    other = await everyone.dora.create(approval(fresh_id(), "dora"))
    longer = await everyone.dora.create(approval(f"{DORAS}-2", "dora"))
    disguised = await everyone.dora.create(approval(fresh_id(), "dora", proposal=DORAS))
    own = await everyone.dora.create(approval(DORAS, "dora"))

    assert (other.policy, longer.policy, disguised.status, own.status) == (APPROVALS, APPROVALS, 422, 201)
    assert (await everyone.dora.delete(approval(DORAS, "dora"))).status == 200


async def test_who_may_only_look_stores_nothing(everyone: Everybody) -> None:
    stored = await _decided(everyone)

    assert (await everyone.vera.get(stored)).status == 200
    assert (await everyone.vera.create(approval(fresh_id(), "vera"))).status == 403
    assert (await everyone.vera.delete(stored)).status == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata.ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]},
        {"metadata.finalizers": ["example.com/never"]},
        {"metadata.generateName": "sub-test-"},
    ],
    ids=str,
)
async def test_a_decision_has_no_owner_no_finalizer_and_a_written_name(
    everyone: Everybody, changes: dict[str, Any]
) -> None:
    answer = await everyone.alice.create(with_changes(approval(fresh_id(), "alice"), changes))

    assert (answer.status, answer.policy) == (422, APPROVALS)


async def test_a_name_that_the_api_server_would_choose_is_refused(everyone: Everybody) -> None:
    name = fresh_id()
    manifest = with_changes(approval(name, "alice"), {"metadata.name": None, "metadata.generateName": f"{name}.x"})

    assert (await everyone.alice.send("POST", COLLECTION, manifest)).policy == APPROVALS


@pytest.mark.parametrize("namespace", ["subagents", "default", "agents"])
async def test_decisions_lie_with_the_server_alone(everyone: Everybody, namespace: str) -> None:
    manifest = with_changes(approval(fresh_id(), "eve"), {"metadata.namespace": namespace})

    assert (await everyone.cluster_admin.create(manifest)).policy == APPROVALS


@pytest.mark.parametrize("actor", ["alice", "administrator", "operator", "cluster_admin", "server_with_every_right"])
@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"labels": {"x": "y"}}},
        {"metadata": {"annotations": {"x": "y"}}},
        {"metadata": {"finalizers": ["example.com/never"]}},
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]}},
    ],
    ids=str,
)
async def test_nobody_touches_a_decision(everyone: Everybody, actor: str, change: Any) -> None:
    stored = await _decided(everyone)

    answer = await everyone.named(actor).patch(stored, change)

    assert answer.policy == APPROVALS or (actor, answer.status) == ("alice", 403)


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"decision": "deny"}},
        {"spec": {"digest": "sha256:9"}},
        {"spec": {"proposalUid": "other"}},
        {"spec": {"decider": "bob"}},
        {"spec": {"reason": "Another"}},
        {"spec": {"decider": None}},
        {"spec": None},
        [{"op": "remove", "path": "/spec"}],
    ],
    ids=str,
)
async def test_a_decision_never_changes_whatever_becomes_of_the_policy(everyone: Everybody, change: Any) -> None:
    """The kind itself refuses it, before any policy is asked."""
    stored = await _decided(everyone)

    answer = await everyone.administrator.patch(stored, change)

    assert (answer.status, answer.policy) == (422, "")


@pytest.mark.parametrize("actor", ["bob", "administrator", "operator", "cluster_admin", "kagent"])
async def test_a_decision_is_taken_back_by_nobody_else(everyone: Everybody, actor: str) -> None:
    stored = await _decided(everyone)

    one = await everyone.named(actor).delete(stored)
    many = await everyone.named(actor).send("DELETE", COLLECTION)

    assert one.policy == APPROVALS
    assert many.policy == APPROVALS or (actor, many.status) == ("bob", 403)


async def test_who_decided_takes_it_back(everyone: Everybody) -> None:
    stored = await _decided(everyone)

    assert (await everyone.alice.delete(stored)).status == 200
    assert not await everyone.administrator.has(stored)


async def test_the_server_clears_old_decisions_away(everyone: Everybody) -> None:
    stored = await _decided(everyone)

    assert (await everyone.server.delete(stored)).status == 200


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
async def test_a_decision_that_was_taken_back_is_gone_however_that_spreads(everyone: Everybody, policy: str) -> None:
    """In the foreground the collector takes its own finalizer off, and a decision that stays would still count."""
    stored = await _decided(everyone)

    await everyone.alice.delete(stored, propagationPolicy=policy)

    async def gone() -> bool:
        return not await everyone.administrator.has(stored)

    assert await until(gone, seconds=60)  # the collector learns of a new kind after half a minute


@pytest.mark.parametrize("collector", ["generic-garbage-collector", "namespace-controller"])
async def test_a_collector_collects_and_decides_nothing(everyone: Everybody, collector: str) -> None:
    name = f"system:serviceaccount:kube-system:{collector}"
    actor: Actor = everyone.cluster.person(name, BROAD)
    stored = await _decided(everyone)

    refused = [
        await actor.create(approval(fresh_id(), name)),
        await actor.patch(stored, {"metadata": {"labels": {"x": "y"}}}),
    ]

    assert [answer.policy for answer in refused] == [APPROVALS] * 2
    assert (await actor.delete(stored)).status == 200


async def test_one_person_may_say_it_twice_and_the_server_counts_people(everyone: Everybody) -> None:
    name = fresh_id()

    answers = [await everyone.alice.create(approval(name, "alice", suffix)) for suffix in ("x", "y", "x")]

    assert [answer.status for answer in answers] == [201, 201, 409]


async def test_a_decision_on_a_proposal_that_is_not_there_is_stored(everyone: Everybody) -> None:
    """Admission can not look a proposal up: the server compares its uid and digest."""
    assert (await everyone.alice.create(approval("sub-no-such-proposal", "alice"))).status == 201
