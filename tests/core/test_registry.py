import pytest

from mcp_agentspawn.core.registry import EVERY_NAMESPACE, Handle, Place, Scope, View
from tests.builders import SOME_HASH, registry_entry

SCOPE = Scope("main", frozenset({"default"}))


@pytest.mark.parametrize(
    "handle",
    [
        Handle("main", "default", "summarizer", "stable", SOME_HASH),
        Handle("main", "team-a.docs", "io.example/tools.summarizer_2", "1.0.0+build-7", SOME_HASH),
        Handle("m", "a", "b", "c", SOME_HASH),
    ],
)
def test_a_handle_is_read_as_it_is_written(handle: Handle) -> None:
    assert Handle.read(str(handle)) == handle


@pytest.mark.parametrize(
    "text",
    [
        "",
        "researcher",
        f"main/default/summarizer@stable#{SOME_HASH}\n",
        f"main/default/summarizer@stable#{SOME_HASH[:-1]}",
        f"main/default/summarizer@stable#{SOME_HASH.upper()}",
        "main/default/summarizer@stable",
        f"main/default/summarizer#{SOME_HASH}",
        f"main/default/../summarizer@stable#{SOME_HASH}",
        f"main/de fault/summarizer@stable#{SOME_HASH}",
        f"Main/default/summarizer@stable#{SOME_HASH}",
        f"main/default/summarizer@sta@ble#{SOME_HASH}",
        f"main/default/summ\u0430rizer@stable#{SOME_HASH}",
        f"main/default/summarizer?x=y@stable#{SOME_HASH}",
    ],
)
def test_anything_else_is_no_handle(text: str) -> None:
    assert Handle.read(text) is None


def test_an_entry_is_named_with_its_hash() -> None:
    assert str(registry_entry().handle) == f"main/default/summarizer@stable#{SOME_HASH}"
    assert registry_entry(labels={"b": "2", "a": "1"}).label_words == ("a=1", "b=2")


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        (SCOPE, True),
        (Scope("main", frozenset({EVERY_NAMESPACE})), True),
        (Scope("main", frozenset({"default"}), frozenset({("team", "docs")})), True),
        (Scope("main", frozenset()), False),
        (Scope("main", frozenset({"team-a"})), False),
        (Scope("other", frozenset({EVERY_NAMESPACE})), False),
        (Scope("main", frozenset({"default"}), frozenset({("team", "sre")})), False),
        (Scope("main", frozenset({"default"}), frozenset({("team", "docs"), ("tier", "1")})), False),
    ],
)
def test_a_scope_holds_what_all_of_it_fits(scope: Scope, holds: bool) -> None:
    assert scope.holds(registry_entry()) is holds
    assert View(frozenset({scope})).holds(registry_entry()) is holds


@pytest.mark.parametrize(
    ("scopes", "whole"),
    [
        ([Scope("main", frozenset({EVERY_NAMESPACE}))], True),
        ([SCOPE, Scope("main", frozenset({EVERY_NAMESPACE}))], True),
        ([Scope("main", frozenset({EVERY_NAMESPACE}), frozenset({("team", "docs")}))], False),
        ([SCOPE], False),
        ([Scope("other", frozenset({EVERY_NAMESPACE}))], False),
        ([], False),
    ],
)
def test_a_registry_is_seen_whole_in_every_namespace_and_whatever_its_labels(scopes: list[Scope], whole: bool) -> None:
    assert View(frozenset(scopes)).is_whole("main") is whole


def test_a_view_of_nothing_holds_nothing() -> None:
    assert not View().holds(registry_entry())
    assert View(frozenset({SCOPE})).registries == {"main"}


def test_suspected_ones_come_last_and_routed_ones_first() -> None:
    places = [
        Place(suspected=True, routed=True, score=9.0, key="a"),
        Place(suspected=False, routed=False, score=1.0, key="c"),
        Place(suspected=False, routed=False, score=1.0, key="b"),
        Place(suspected=False, routed=False, score=2.0, key="d"),
        Place(suspected=False, routed=True, score=0.5, key="e"),
    ]

    assert "".join(place.key for place in sorted(places, key=lambda place: place.order)) == "edbca"
