"""What is written about network policies, from what they say."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from mcp_agentspawn.adapters.kubernetes.network_policies import (
    QUARANTINE,
    Write,
    cutting,
    holes,
    lifting,
    over,
    standing,
)

OWNER = {"kind": "Agent", "uid": "u"}
OURS = {"app.kubernetes.io/part-of": "agentspawn"}
Policy = dict[str, Any]


def policy(name: str, *left_out: str, labels: Mapping[str, str] = OURS, **spec: Any) -> Policy:
    selector = {"matchExpressions": [{"key": "kagent", "operator": "NotIn", "values": list(left_out)}]}
    said = {"podSelector": selector if left_out else {}, "egress": [{}], **spec}
    return {"metadata": {"name": name, "uid": f"of-{name}", "labels": dict(labels)}, "spec": said}


def record(agent: str, uid: str = "u", **changes: Any) -> Policy:
    owners = [{"kind": "Agent", "name": agent, "uid": uid}]
    metadata = {"name": f"{agent}-quarantine", "uid": f"of-{agent}", "labels": {**OURS, QUARANTINE: agent}}
    spec = {"podSelector": {"matchLabels": {"kagent": agent}}, "policyTypes": ["Ingress", "Egress"]}
    return {"metadata": {**metadata, "ownerReferences": owners, **changes}, "spec": spec}


def brief(writes: Sequence[Write]) -> list[tuple[str, str]]:
    return [(write.method, write.name) for write in writes]


def left_out(write: Write) -> list[str]:
    return [name for item in write.body["spec"]["podSelector"]["matchExpressions"] for name in item["values"]]


def test_the_record_is_written_last() -> None:
    writes = cutting([policy("a", "nobody"), policy("b", "nobody", "sub-x")], "sub-y", OWNER)

    assert brief(writes) == [("PUT", "a"), ("PUT", "b"), ("POST", "sub-y-quarantine")]
    assert [left_out(write) for write in writes[:2]] == [["nobody", "sub-y"], ["nobody", "sub-x", "sub-y"]]


def test_what_is_done_is_not_done_again() -> None:
    assert brief(cutting([policy("a", "nobody", "sub-y"), record("sub-y")], "sub-y", OWNER)) == []


def test_a_record_of_an_earlier_agent_is_taken_away_first() -> None:
    policies = [policy("a", "nobody", "sub-y"), record("sub-y", "earlier")]

    assert brief(cutting(policies, "sub-y", OWNER)) == [("DELETE", "sub-y-quarantine")]
    assert cutting(policies, "sub-y", OWNER)[0].body == {"preconditions": {"uid": "of-sub-y"}}


def test_lifting_takes_the_record_away_last() -> None:
    policies = [policy("a", "nobody", "sub-x", "sub-y"), policy("b", "sub-y"), record("sub-x"), record("sub-y")]

    writes = lifting(policies, "sub-y")

    assert brief(writes) == [("PUT", "a"), ("PUT", "b"), ("DELETE", "sub-y-quarantine")]
    assert [left_out(write) for write in writes[:2]] == [["nobody", "sub-x"], ["nobody"]]


def test_lifting_forgets_those_whom_nothing_else_says_to_be_cut_off() -> None:
    (write,) = lifting([policy("a", "nobody", "an-operators", "sub-gone", "sub-x"), record("sub-x")], "sub-z")

    assert left_out(write) == ["nobody", "an-operators", "sub-x"]


def test_who_still_runs_is_not_forgotten() -> None:
    policies = [policy("a", "nobody", "sub-ending", "sub-gone", "sub-x"), record("sub-x")]

    assert list(over(policies, "sub-z")) == ["sub-ending", "sub-gone", "sub-z"]
    (write,) = lifting(policies, "sub-z", {"sub-ending"})
    assert left_out(write) == ["nobody", "sub-ending", "sub-x"]


@pytest.mark.parametrize(
    "other",
    [
        policy("a", "nobody", labels={}),
        policy("a", "nobody", labels={"app.kubernetes.io/part-of": "others"}),
        policy("a"),
        policy("a", "nobody", egress=[]),
        policy("a", "nobody", egress=None),
        {"metadata": {"name": "a"}, "spec": {"egress": [{}]}},
    ],
    ids=str,
)
def test_what_is_not_ours_to_adjust_is_left_alone(other: Policy) -> None:
    assert brief(cutting([other], "sub-y", OWNER)) == [("POST", "sub-y-quarantine")]
    assert brief(lifting([other], "sub-y")) == []


@pytest.mark.parametrize(
    "half",
    [
        [policy("a", "nobody"), record("sub-y")],
        [policy("a", "nobody", "sub-y")],
        [policy("a", "nobody", "sub-y"), record("sub-y", name="another")],
        [policy("a", "nobody", "sub-y"), record("sub-y", labels=OURS)],
    ],
    ids=["not left out", "no record", "a record of another name", "a record without a label"],
)
def test_what_is_half_done_does_not_stand(half: list[Policy]) -> None:
    assert dict(standing(half)) == {}


def test_what_is_done_stands_with_the_uid_of_its_owner() -> None:
    ownerless = record("sub-x", ownerReferences=None)
    policies = [policy("a", "nobody", "sub-y", "sub-x"), policy("own", labels={}), record("sub-y"), ownerless]

    assert dict(standing(policies)) == {"sub-y": "u", "sub-x": ""}


def test_a_policy_without_room_is_told_and_keeps_nothing_from_standing() -> None:
    many = [f"sub-{number}" for number in range(200)]
    full = policy("a", "nobody", "an-operators", *many)

    assert brief(cutting([policy("a", "nobody", "an-operators", *many[1:])], "sub-y", OWNER))[0] == ("PUT", "a")
    assert brief(cutting([full], "sub-y", OWNER)) == [("POST", "sub-y-quarantine")]
    assert holes([full, record("sub-y")], "sub-y") == ["a"]
    assert dict(standing([full, record("sub-y")])) == {"sub-y": "u"}


@pytest.mark.parametrize(
    ("operator", "values", "may"),
    [
        ("In", ["sub-y"], True),
        ("In", ["sub-x"], False),
        ("NotIn", ["sub-x"], True),
        ("NotIn", ["sub-y"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("OfTomorrow", [], True),
    ],
)
def test_a_selector_is_read_as_kubernetes_does(operator: str, values: list[str], *, may: bool) -> None:
    expression = {"key": "kagent", "operator": operator, "values": values}
    own = policy("a", podSelector={"matchExpressions": [expression]})

    assert holes([own], "sub-y") == (["a"] if may else [])


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"a-webhooks": "label"}},
        {"matchExpressions": [{"key": "a-webhooks", "operator": "In", "values": ["x"]}]},
        {"matchExpressions": [{"key": "a-webhooks", "operator": "DoesNotExist"}]},
    ],
    ids=str,
)
def test_a_label_that_kagent_does_not_write_may_be_there_or_not(selector: dict[str, Any]) -> None:
    assert holes([policy("a", podSelector=selector)], "sub-y") == ["a"]


@pytest.mark.parametrize("allowed", [{"egress": [{}]}, {"ingress": [{}]}], ids=str)
def test_either_direction_is_a_way(allowed: dict[str, Any]) -> None:
    way = policy("a", "nobody", **({"egress": None} | allowed))

    assert holes([way], "sub-y") == ["a"]
    assert brief(cutting([way], "sub-y", OWNER)) == [("PUT", "a"), ("POST", "sub-y-quarantine")]


@pytest.mark.parametrize("selector", [None, {}, {"matchLabels": None, "matchExpressions": None}])
def test_no_selector_selects_everything(selector: Any) -> None:
    assert holes([policy("a", podSelector=selector)], "sub-y") == ["a"]
