"""Proposals and ledgers: written by the server alone, and never against their own rules."""

from typing import Any

import pytest

from tests.deploy.cluster import HOME, SYSTEM, Manifest
from tests.deploy.objects import fresh_id, ledger, proposal, with_changes
from tests.deploy.world import Everybody

OWN = "agentspawn-own"
OPEN = {"proposal": "p", "until": "2030-01-01T00:00:00Z", "parent": ""}
STEP = {"phase": "ready", "at": "2030-01-01T00:00:00Z", "reason": "greeted"}
COUNTS = {"tasks": 7, "succeeded": 5, "seconds": 3600, "retries": 2, "quarantines": 1}
OUTCOMES = {"key": "template:researcher", **COUNTS, "recent": ["task-1"]}
OUTSIDERS = ["administrator", "operator", "cluster_admin", "kagent"]


async def _proposed(everyone: Everybody) -> Manifest:
    return await everyone.server.store(proposal(fresh_id()))


async def _kept(everyone: Everybody) -> Manifest:
    return await everyone.server.store(ledger(fresh_id()))


@pytest.mark.parametrize("outsider", OUTSIDERS)
async def test_nobody_but_the_server_writes_a_proposal(everyone: Everybody, outsider: str) -> None:
    actor, stored = everyone.named(outsider), await _proposed(everyone)

    answers = [
        await actor.create(proposal(fresh_id())),
        await actor.patch(stored, {"metadata": {"labels": {"x": "y"}}}),
        await actor.patch(stored, {"status": {"phase": "ready"}}, "status"),
        await actor.delete(stored),
    ]

    assert [(answer.status, answer.policy) for answer in answers] == [(422, OWN)] * 4


@pytest.mark.parametrize("outsider", OUTSIDERS)
async def test_nobody_but_the_server_writes_a_ledger(everyone: Everybody, outsider: str) -> None:
    actor, stored = everyone.named(outsider), await _kept(everyone)

    answers = [
        await actor.create(ledger(fresh_id())),
        await actor.patch(stored, {"spec": {"spawned": 6}}),
        await actor.delete(stored),
    ]

    assert [(answer.status, answer.policy) for answer in answers] == [(422, OWN)] * 3


@pytest.mark.parametrize("namespace", [HOME, "default", "agents"])
async def test_not_even_the_server_writes_them_elsewhere(everyone: Everybody, namespace: str) -> None:
    server = everyone.server_with_every_right

    answers = [await server.create(proposal(fresh_id(), namespace)), await server.create(ledger("x", namespace))]

    assert [answer.policy for answer in answers] == [OWN, OWN]


async def test_the_server_forgets_no_ledger_and_rewrites_no_proposal(everyone: Everybody) -> None:
    kept, proposed = await _kept(everyone), await _proposed(everyone)

    assert (await everyone.server.delete(kept)).status == 403
    assert (await everyone.server.patch(proposed, {"metadata": {"labels": {"x": "y"}}})).status == 403


async def test_a_new_proposal_reads_as_proposed_whatever_it_says(everyone: Everybody) -> None:
    manifest = proposal(fresh_id()) | {"status": {"phase": "ready"}}
    await everyone.server.create(manifest)

    assert (await everyone.server.get(manifest)).body["status"] == {"phase": "proposed"}


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"purpose": "Another"}},
        {"spec": {"parameters": {"topic": "tides!"}}},
        {"spec": {"parameters": {"count": 4}}},
        {"spec": {"parameters": {"share": 0.25}}},
        {"spec": {"parameters": {"sure": False}}},
        {"spec": {"parameters": {"more": "x"}}},
        {"spec": {"parameters": {"topic": None}}},
        {"spec": {"parameters": {"topic": None, "topics": "tides"}}},
        {"spec": {"parameters": {"topic": None, "topics": {"nested": "tides"}}}},
        {"spec": {"parameters": {"count": "3"}}},
        {"spec": {"tools": []}},
        {"spec": {"tools": ["web-search/search", "web-search/fetch"]}},
        {"spec": {"grant": {"depth": 1}}},
        {"spec": {"grant": {"singleTask": True}}},
        {"spec": {"grant": {"models": ["other"]}}},
        {"spec": {"grant": {"askFirst": []}}},
        {"spec": {"grant": {"parameters": {"language": "German"}}}},
        {"spec": {"grant": {"parameters": {"language": None, "languages": "English"}}}},
        {"spec": {"restsOn": {"policy": "sha256:9"}}},
        {"spec": {"restsOn": {"parent": "7d5c"}}},
        {"spec": {"expiresAt": "2031-01-01T00:00:00.000000Z"}},
        {"spec": {"digest": "sha256:9"}},
        {"spec": {"manifest": "{ }"}},
        {"spec": {"lifetimeSeconds": 86400}},
        {"spec": {"root": "agents/trudy"}},
        {"spec": {"risk": None}},
        {"spec": None},
        [{"op": "remove", "path": "/spec"}],
        [{"op": "replace", "path": "/spec", "value": {}}],
    ],
    ids=str,
)
async def test_a_proposal_never_changes(everyone: Everybody, change: Any) -> None:
    stored = await _proposed(everyone)
    before = (await everyone.server.get(stored)).body["spec"]

    answer = await everyone.server_with_every_right.patch(stored, change)

    assert (answer.status, answer.policy) == (422, "")
    assert (await everyone.server.get(stored)).body["spec"] == before


async def test_what_a_proposal_became_is_no_change_of_it(everyone: Everybody) -> None:
    stored = await _proposed(everyone)

    for phase in ("creating", "starting", "ready", "quarantined", "retiring", "retired"):
        current = (await everyone.server.get(stored)).body
        answer = await everyone.server.replace({**current, "status": {"phase": phase}}, "status")
        assert answer.body["status"]["phase"] == phase


@pytest.mark.parametrize(
    ("history", "status"),
    [
        ([STEP] * 16, 200),
        ([STEP] * 17, 422),
        ([{**STEP, "phase": "done"}], 422),
        ([{**STEP, "at": "now"}], 422),
        ([{**STEP, "reason": "x" * 1025}], 422),
        ([{"phase": "ready"}], 422),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_what_a_proposal_came_to_is_kept_in_bounds(everyone: Everybody, history: Any, status: int) -> None:
    current = (await everyone.server.get(await _proposed(everyone))).body

    answer = await everyone.server.replace({**current, "status": {"phase": "ready", "history": history}}, "status")

    assert (answer.status, answer.policy) == (status, "")
    assert status != 200 or answer.body["status"]["history"] == history


@pytest.mark.parametrize(("single", "status"), [(True, 201), (False, 201), ("yes", 422)])
async def test_a_grant_may_say_that_it_is_for_a_single_task(everyone: Everybody, single: Any, status: int) -> None:
    manifest = with_changes(proposal(fresh_id()), {"spec.grant.singleTask": single})

    assert (await everyone.server.create(manifest, fieldValidation="Strict")).status == status


@pytest.mark.parametrize("final", ["lapsed", "retired"])
@pytest.mark.parametrize("later", ["proposed", "creating", "ready", "lapsed", "retired", None])
async def test_a_final_phase_is_final(everyone: Everybody, final: str, later: str | None) -> None:
    stored = await _proposed(everyone)
    server = everyone.server_with_every_right  # of its own it has none to patch
    await server.patch(stored, {"status": {"phase": final}}, "status")

    change = {"status": {"phase": later}} if later else {"status": None}
    answer = await server.patch(stored, change, "status")

    assert answer.status == (200 if later == final else 422)
    assert (await everyone.server.get(stored)).body["status"]["phase"] == final


async def test_a_phase_is_one_of_the_list(everyone: Everybody) -> None:
    stored = await _proposed(everyone)

    server = everyone.server_with_every_right

    assert (await server.patch(stored, {"status": {"phase": "done"}}, "status")).status == 422


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata.name": "researcher-1"},
        {"metadata.name": "sub-" + "a" * 37},
        {"metadata.name": "sub-1"},
        {"spec.risk": "none"},
        {"spec.root": "orchestrator"},
        {"spec.lifetimeSeconds": 0},
        {"spec.lifetimeSeconds": 86401},
        {"spec.expiresAt": "tomorrow"},
        {"spec.manifest": "x" * 131073},
        {"spec.purpose": "x" * 4097},
        {"spec.grant.depth": 3},
        {"spec.grant": {}},
        {"spec.grant.askFirst": None},
        {"spec.grant.parameters": None},
        {"spec.restsOn": None},
        {"spec.restsOn": {"policy": "", "crd": ""}},
        {"spec": None},
    ],
    ids=lambda changes: str(changes)[:60],
)
async def test_a_proposal_keeps_its_bounds(everyone: Everybody, changes: dict[str, Any]) -> None:
    answer = await everyone.server.create(with_changes(proposal(fresh_id()), changes))

    assert (answer.status, answer.policy) == (422, "")


async def test_the_largest_proposal_is_stored(everyone: Everybody) -> None:
    large = {
        "spec.manifest": "x" * 131072,
        "spec.purpose": "ü" * 4096,
        "spec.tools": [f"server-{number}/" + "t" * 400 for number in range(100)],
        "spec.parameters": {f"p{number}": "x" * 100 for number in range(150)},
    }

    assert (await everyone.server.create(with_changes(proposal(fresh_id()), large))).status == 201


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"spawned": 4}},
        {"spec": {"spawned": 0}},
        {"spec": {"spawned": None}},
        {"spec": {"root": "agents/trudy"}},
        {"spec": None},
        [{"op": "remove", "path": "/spec"}],
    ],
    ids=str,
)
async def test_the_count_of_what_was_ever_spawned_never_falls(everyone: Everybody, change: Any) -> None:
    stored = await _kept(everyone)

    answer = await everyone.server_with_every_right.patch(stored, change)

    assert (answer.status, answer.policy) == (422, "")
    assert (await everyone.server.get(stored)).body["spec"]["spawned"] == 5


async def test_the_server_changes_a_ledger_against_the_version_it_read(everyone: Everybody) -> None:
    stored = await _kept(everyone)
    read = (await everyone.server.get(stored)).body
    changed = with_changes(dict(read), {"spec.spawned": 6, "spec.live": {}, "spec.open": {}})

    answers = [await everyone.server.replace(changed), await everyone.server.replace(changed)]

    assert [answer.status for answer in answers] == [200, 409]
    assert answers[0].body["spec"]["live"] == {}


def _ledger_with(**slot: Any) -> Manifest:
    return with_changes(ledger("z"), {f"spec.live.sub-a-2.{key}": value for key, value in slot.items()})


@pytest.mark.parametrize(
    "manifest",
    [
        with_changes(ledger("x"), {"metadata.name": "agents.y"}),
        with_changes(ledger("x.y"), {"spec.root": "agents.x/y"}),
        ledger("z", spawned=-1),
        _ledger_with(at="now"),
        _ledger_with(credentials=["0" * 64] * 9),
        _ledger_with(credentials=["agentspawn/agents/orchestrator/sub-a/secret"]),
        _ledger_with(credentials=None),
        ledger("z", open={f"sha256:{number}": OPEN for number in range(1001)}),
        with_changes(ledger("z"), {"spec.used": None}),
        with_changes(ledger("z"), {"spec.account": None}),
        ledger("z", outcomes=[OUTCOMES] * 129),
        ledger("z", outcomes=[{**OUTCOMES, "tasks": -1}]),
        ledger("z", outcomes=[{**OUTCOMES, "key": ""}]),
        ledger("z", outcomes=[{**OUTCOMES, "key": "x" * 601}]),
        ledger("z", outcomes=[{**OUTCOMES, "recent": ["x"] * 17}]),
        ledger("z", outcomes=[{**OUTCOMES, "recent": ["x" * 65]}]),
        ledger("z", outcomes=[{"key": "template:researcher"}]),
    ],
    ids=[
        "not named after its root",
        "named after two roots",
        "negative",
        "no time",
        "too many credentials",
        "a credential itself",
        "no credentials",
        "too many",
        "incomplete",
        "of no account",
        "too many outcomes",
        "fewer tasks than none",
        "outcomes of nothing",
        "outcomes of too much",
        "too many that were counted",
        "one that is too long",
        "outcomes without counts",
    ],
)
async def test_a_ledger_keeps_its_bounds(everyone: Everybody, manifest: Manifest) -> None:
    assert (await everyone.server.create(manifest)).status == 422


@pytest.mark.parametrize(
    "outcomes",
    [None, [], [{**OUTCOMES, "key": f"template:{number}", "recent": ["x" * 37] * 16} for number in range(128)]],
    ids=["unknown", "none", "many"],
)
async def test_a_ledger_holds_how_its_subagents_have_done_and_need_not(everyone: Everybody, outcomes: Any) -> None:
    manifest = with_changes(ledger(fresh_id()), {"spec.outcomes": outcomes})

    answer = await everyone.server.create(manifest, fieldValidation="Strict")

    assert (answer.status, answer.body["spec"].get("outcomes")) == (201, outcomes)


async def test_people_see_what_matters(everyone: Everybody) -> None:
    """What `kubectl get proposals` prints."""
    await _proposed(everyone)
    path = f"/apis/agentspawn.dev/v1alpha1/namespaces/{SYSTEM}/subagentproposals"

    shown, more = await everyone.administrator.columns(path)

    assert (shown, more) == (["Name", "Phase", "Template", "Root", "Risk", "Expires", "Age"], ["Purpose"])
