"""A decision as it is stored, found and shown, whatever becomes of the policies."""

from collections.abc import Iterator
from typing import Any

from tests.deploy.decisions import KINDS, Kind, of_both_kinds, of_each_kind
from tests.deploy.objects import with_changes
from tests.deploy.world import Everybody

WORDS = {*(word for kind in KINDS for word in kind.words), "maybe", "Approve"}


def _alterations(kind: Kind) -> list[Any]:
    return [
        {"spec": {"decision": kind.words[-1]}},
        {"spec": {"digest": "sha256:9"}},
        {"spec": {f"{kind.about}Uid": "other"}},
        {"spec": {"decider": "bob"}},
        {"spec": {"reason": "Another"}},
        {"spec": {"decider": None}},
        {"spec": None},
        [{"op": "remove", "path": "/spec"}],
    ]


@of_each_kind("change", _alterations)
async def test_a_decision_never_changes_whatever_becomes_of_the_policy(
    everyone: Everybody, kind: Kind, change: Any
) -> None:
    """The kind itself refuses it, before any policy is asked."""
    stored = await kind.stored(everyone)

    answer = await everyone.administrator.patch(stored, change)

    assert (answer.status, answer.policy) == (422, "")


def _out_of_bounds(kind: Kind) -> Iterator[dict[str, Any]]:
    """What it may not hold: names of something else, words of the other kind, too much and too little."""
    yield from ({"metadata.name": name} for name in (f"{kind.doras}.x", "x"))
    strange = {other.doras for other in KINDS if other is not kind}
    yield from ({f"spec.{kind.about}": name} for name in (*strange, "researcher", "task-1", ""))
    yield from ({f"spec.{field}": ""} for field in (f"{kind.about}Uid", "digest"))
    yield from ({"spec.decision": word} for word in sorted(WORDS.difference(kind.words)))
    yield from ({"spec.reason": reason} for reason in ("x" * 501, None))
    yield {"spec": None}
    yield {"spec": {}}


@of_each_kind("changes", _out_of_bounds)
async def test_a_decision_keeps_its_bounds(everyone: Everybody, kind: Kind, changes: dict[str, Any]) -> None:
    answer = await everyone.alice.create(with_changes(kind.make(kind.fresh(), "alice"), changes))

    assert (answer.status, answer.policy) == (422, "")


@of_both_kinds
async def test_the_server_finds_the_decisions_on_one(everyone: Everybody, kind: Kind) -> None:
    stored, _ = await kind.stored(everyone), await kind.stored(everyone)
    one = f"spec.{kind.about}={stored['spec'][kind.about]}"

    found = await everyone.server.send("GET", kind.collection, fieldSelector=one)

    assert [item["metadata"]["name"] for item in found.body["items"]] == [stored["metadata"]["name"]]


@of_both_kinds
async def test_people_see_who_decided_what(everyone: Everybody, kind: Kind) -> None:
    shown, _ = await everyone.alice.columns(kind.collection)

    assert shown == ["Name", kind.about.capitalize(), "Decision", "Decider", "Age"]
