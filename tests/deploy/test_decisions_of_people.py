"""A decision is made by a person, whom RBAC lets decide on that very proposal or task, in that person's own name."""

from typing import Any

import pytest

from tests.deploy.cluster import BROAD, EXTRA, MASTERS, SERVER
from tests.deploy.decisions import Kind, of_both_kinds, of_each_kind
from tests.deploy.objects import virtual_user, with_changes
from tests.deploy.strangers import MALLORY, NO_PERSONS
from tests.deploy.world import Everybody

OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}


@of_each_kind("word", lambda kind: kind.words)
@pytest.mark.parametrize("person", ["alice", "bob"])
async def test_an_approver_decides_in_their_own_name(everyone: Everybody, person: str, kind: Kind, word: str) -> None:
    manifest = kind.make(kind.fresh(), person, decision=word, reason="Looks right. " * 38)

    answer = await everyone.named(person).create(manifest, fieldValidation="Strict")

    assert (answer.status, answer.body["spec"]) == (201, manifest["spec"])


@of_both_kinds
@pytest.mark.parametrize("who", NO_PERSONS)
async def test_what_is_no_person_decides_nothing(everyone: Everybody, who: str, kind: Kind) -> None:
    user, *groups = NO_PERSONS[who]
    actor = everyone.cluster.person(user, BROAD, *groups)

    answers = [await actor.create(kind.make(kind.fresh(), name)) for name in (user, "alice")]

    assert [(answer.status, answer.policy) for answer in answers] == [(422, kind.policy)] * 2


@of_both_kinds
async def test_an_orchestrators_token_has_no_right_on_decisions_and_what_they_are_about(
    everyone: Everybody, kind: Kind
) -> None:
    stored = await kind.stored(everyone)

    answers = [
        await everyone.orchestrator.create(kind.make(kind.fresh(), MALLORY)),
        await everyone.orchestrator.send("GET", kind.collection),
        await everyone.orchestrator.send("GET", kind.collection_of_what_it_is_about),
        await everyone.orchestrator.delete(stored),
        await everyone.root(kind.fresh()).create(kind.make(kind.fresh(), virtual_user("mallory"))),
        await everyone.server.create(kind.make(kind.fresh(), SERVER)),
    ]

    assert [(answer.status, answer.policy) for answer in answers] == [(403, "")] * 6


@of_both_kinds
async def test_a_person_who_stands_in_for_a_root_decides_nothing(everyone: Everybody, kind: Kind) -> None:
    """The extra says that somebody writes for a proposal, whoever it is."""
    name = kind.fresh()
    keys = [(EXTRA, name), ("Impersonate-Extra-agentspawn.dev%2Fother", "x")]

    answers = [await everyone.alice.saying(key).create(kind.make(name, "alice")) for key in keys]

    assert [answer.policy for answer in answers] == [kind.policy] * 2


@of_both_kinds
@pytest.mark.parametrize("decider", ["bob", "Alice", "alice ", "", "system:serviceaccount:agents:mallory"])
async def test_nobody_decides_in_anothers_name(everyone: Everybody, decider: str, kind: Kind) -> None:
    answer = await everyone.alice.create(kind.make(kind.fresh(), decider))

    assert answer.status == 422
    assert answer.policy == kind.policy or "spec.decider" in answer.message


@of_both_kinds
async def test_not_even_an_administrator_decides_in_anothers_name(everyone: Everybody, kind: Kind) -> None:
    administrator = everyone.cluster.person("root", MASTERS)

    assert (await administrator.create(kind.make(kind.fresh(), "alice"))).policy == kind.policy
    assert (await administrator.create(kind.make(kind.fresh(), "root"))).status == 201


@of_both_kinds
async def test_who_may_store_decisions_and_not_decide_decides_nothing(everyone: Everybody, kind: Kind) -> None:
    answers = [await everyone.carol.create(kind.make(kind.fresh(), "carol", decision=word)) for word in kind.words]

    assert [(answer.status, answer.policy) for answer in answers] == [(422, kind.policy)] * 2


@of_both_kinds
async def test_a_right_to_decide_on_one_is_none_to_decide_on_another(everyone: Everybody, kind: Kind) -> None:
    other = await everyone.dora.create(kind.make(kind.fresh(), "dora"))
    disguised = await everyone.dora.create(kind.make(kind.fresh(), "dora", **{kind.about: kind.doras}))
    own = await everyone.dora.create(kind.make(kind.doras, "dora"))

    assert (other.policy, disguised.status, own.status) == (kind.policy, 422, 201)
    assert (await everyone.dora.delete(kind.make(kind.doras, "dora"))).status == 200


@of_both_kinds
@pytest.mark.parametrize(
    "changes",
    [{"metadata.ownerReferences": [OWNER]}, {"metadata.finalizers": ["example.com/never"]}],
    ids=str,
)
async def test_a_decision_has_no_owner_and_no_finalizer(
    everyone: Everybody, changes: dict[str, Any], kind: Kind
) -> None:
    answer = await everyone.alice.create(with_changes(kind.make(kind.fresh(), "alice"), changes))

    assert (answer.status, answer.policy) == (422, kind.policy)


@of_both_kinds
@pytest.mark.parametrize("written", [True, False])
async def test_a_name_that_the_api_server_would_choose_is_refused(
    everyone: Everybody, written: bool, kind: Kind
) -> None:
    name = kind.fresh()
    chosen = {"metadata.generateName": f"{name}.x"} | ({} if written else {"metadata.name": None})

    answer = await everyone.alice.send("POST", kind.collection, with_changes(kind.make(name, "alice"), chosen))

    assert (answer.status, answer.policy) == (422, kind.policy)


@of_both_kinds
@pytest.mark.parametrize("namespace", ["subagents", "default", "agents"])
async def test_decisions_lie_with_the_server_alone(everyone: Everybody, namespace: str, kind: Kind) -> None:
    manifest = with_changes(kind.make(kind.fresh(), "eve"), {"metadata.namespace": namespace})

    assert (await everyone.cluster_admin.create(manifest)).policy == kind.policy


@of_both_kinds
@pytest.mark.parametrize("actor", ["alice", "administrator", "operator", "cluster_admin", "server_with_every_right"])
@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"labels": {"x": "y"}}},
        {"metadata": {"annotations": {"x": "y"}}},
        {"metadata": {"finalizers": ["example.com/never"]}},
        {"metadata": {"ownerReferences": [OWNER]}},
    ],
    ids=str,
)
async def test_nobody_touches_a_decision(everyone: Everybody, actor: str, change: Any, kind: Kind) -> None:
    stored = await kind.stored(everyone)

    answer = await everyone.named(actor).patch(stored, change)

    assert answer.policy == kind.policy or (actor, answer.status) == ("alice", 403)


@of_both_kinds
@pytest.mark.parametrize("collector", ["generic-garbage-collector", "namespace-controller"])
async def test_a_collector_collects_and_decides_nothing(everyone: Everybody, collector: str, kind: Kind) -> None:
    name = f"system:serviceaccount:kube-system:{collector}"
    actor, stored = everyone.cluster.person(name, BROAD), await kind.stored(everyone)

    refused = [
        await actor.create(kind.make(kind.fresh(), name)),
        await actor.patch(stored, {"metadata": {"labels": {"x": "y"}}}),
    ]

    assert [answer.policy for answer in refused] == [kind.policy] * 2
    assert (await actor.delete(stored)).status == 200
