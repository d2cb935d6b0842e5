from dataclasses import replace
from datetime import timedelta

import pytest

from mcp_agentspawn.core.lineage import Excess, excesses, misnamed
from mcp_agentspawn.core.model import Grant, Scalar

PARENT = Grant(
    tools=("k8s/logs", "web/fetch", "web/search"),
    models=("fast",),
    lifetime=timedelta(hours=1),
    depth=1,
    ask_first=("web/fetch",),
    parameters={"budget": 10},
)
CHILD = replace(PARENT, tools=("web/search",), depth=0, ask_first=())


def kinds(child: Grant, parent: Grant = PARENT) -> list[str]:
    return [excess.kind for excess in excesses(child, parent)]


def test_what_is_within_its_parents_grant_exceeds_nothing() -> None:
    assert kinds(CHILD) == []
    assert kinds(replace(CHILD, tools=())) == []


def test_every_tool_and_model_beyond_is_named() -> None:
    greedy = replace(CHILD, tools=("k8s/delete", "web/search", "web/Search"), models=("fast", "slow"))

    assert list(excesses(greedy, PARENT)) == [
        Excess("tool", "k8s/delete"),
        Excess("tool", "web/Search"),
        Excess("model", "slow"),
    ]


def test_a_parent_that_holds_nothing_gives_nothing() -> None:
    nothing = replace(PARENT, tools=(), models=())

    assert kinds(CHILD, nothing) == ["tool", "model"]


@pytest.mark.parametrize(("child", "parent", "fine"), [(0, 1, True), (1, 1, False), (0, 0, False), (1, 2, True)])
def test_a_child_has_less_depth_than_its_parent(child: int, parent: int, fine: bool) -> None:
    assert (kinds(replace(CHILD, depth=child), replace(PARENT, depth=parent)) == []) is fine


def test_a_tool_approval_is_kept_down_the_line() -> None:
    assert kinds(replace(CHILD, tools=("web/fetch",))) == ["tool_approval"]
    assert kinds(replace(CHILD, tools=("web/fetch",), ask_first=("web/fetch",))) == []


@pytest.mark.parametrize(
    ("child", "parent", "fine"),
    [
        (10, 10, True),
        (9, 10, True),
        (11, 10, False),
        (9.5, 10, True),
        (False, True, True),
        (False, False, True),
        (True, True, True),
        (True, False, False),
        (True, 1, False),
        (1, True, False),
        ("read", "read", True),
        ("read", "read,write", False),
        ("5", 10, False),
    ],
)
def test_a_narrowing_value_is_within_its_parents(child: Scalar, parent: Scalar, fine: bool) -> None:
    narrowed = replace(CHILD, parameters={"budget": child})

    assert (kinds(narrowed, replace(PARENT, parameters={"budget": parent})) == []) is fine


def test_a_narrowing_value_that_only_one_of_them_has_is_not_within() -> None:
    assert kinds(replace(CHILD, parameters={})) == ["parameter"]
    assert kinds(CHILD, replace(PARENT, parameters={})) == ["parameter"]


@pytest.mark.parametrize(
    "name",
    [
        "web/*",
        "web/search ",
        " web/search",
        "web/sea rch",
        "web/search.",
        "w\u0435b/search",
        "\uff57eb/search",
        "web/s?",
        "a\tb",
        "%2f",
    ],
)
def test_a_name_that_only_looks_like_one_is_misnamed(name: str) -> None:
    assert list(misnamed((name, "web/search"))) == [name]
