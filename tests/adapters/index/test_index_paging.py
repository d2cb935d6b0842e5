import sqlite3
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from mcp_agentspawn.adapters.index.build import build
from mcp_agentspawn.adapters.index.index import Index
from mcp_agentspawn.adapters.index.templates import MOST_SHELVES
from mcp_agentspawn.core.registry import Blueprint, Place, Query, RegistryEntry, Scope, View
from tests.adapters.index.finding import ask, entry, index, name, names

HELPER = Blueprint("helper", "Helps with logs.", ("logs", "help"))
WATCHER = Blueprint("watcher", "Watches the logs.", ("logs",))
SHELF = (
    entry("Beta", "logs of beta", labels={"team": "sre", "stage": "prod"}),
    entry("alpha", "logs of alpha", labels={"team": "sre"}),
    entry("alpha", "logs of another alpha", namespace="other", registry="west"),
    entry("gamma", "invoices"),
    entry("delta", "logs, hidden", suspected_by=("rule",), labels={"team": "sre"}),
)


@pytest.mark.parametrize("text", ["", "logs", "logs of alpha and invoices"])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_every_page_follows_the_last_one_and_everything_comes_once(text: str, limit: int) -> None:
    made = index(*SHELF, templates=(HELPER, WATCHER))
    whole, found, after, more = names(made, text), list[str](), None, True
    while more:
        page = made.find((), Query(text, limit, frozenset({"helper", "watcher"}), after=after))
        found += [name(finding) for finding in page.findings]
        after, more = page.findings[-1].place, page.more

    assert found == whole
    assert len(found) >= 6


def test_without_text_everything_is_there_by_name_and_nothing_has_a_score() -> None:
    found = ask(index(*SHELF, templates=(HELPER,)), " \n")

    assert list(map(name, found)) == ["alpha", "alpha", "Beta", "gamma", "template/helper", "delta"]
    assert {(finding.place.score, finding.matched) for finding in found} == {(0.0, ())}


def test_the_next_page_begins_behind_a_place_that_is_gone() -> None:
    after = Place(suspected=False, routed=False, score=0.0, key="beta zzz")

    assert names(index(*SHELF), "", after=after) == ["gamma", "delta"]


@pytest.mark.parametrize(
    ("labels", "source", "found"),
    [
        (("team=sre",), "", ["alpha", "Beta", "delta"]),
        (("team=sre", "stage=prod"), "", ["Beta"]),
        (("logs",), "", ["template/helper", "template/watcher"]),
        (("logs", "help"), "", ["template/helper"]),
        (("team=sre", "logs"), "", []),
        (("team",), "", []),
        ((), "west", ["alpha"]),
        ((), "template", ["template/helper", "template/watcher"]),
        ((), "nowhere", []),
        (("team=sre",), "west", []),
        (('" OR "',), "", []),
    ],
)
@pytest.mark.parametrize("text", ["", "logs"])
def test_labels_and_source_narrow_a_search(text: str, labels: tuple[str, ...], source: str, found: list[str]) -> None:
    made = index(*SHELF, templates=(HELPER, WATCHER))

    assert sorted(names(made, text, labels=labels, source=source)) == sorted(found)


def test_a_narrowed_list_is_paged_by_place_too() -> None:
    made = index(*SHELF)
    first = made.find((), Query("", 2, labels=("team=sre",)))
    rest = made.find((), Query("", 2, labels=("team=sre",), after=first.findings[-1].place))

    assert [name(finding) for finding in (*first.findings, *rest.findings)] == ["alpha", "Beta", "delta"]
    assert (first.more, rest.more) == (True, False)


@pytest.mark.parametrize("text", ["", "logs"])
def test_only_templates_that_the_caller_may_use_are_found(text: str) -> None:
    made = index(templates=(HELPER, WATCHER))

    assert names(made, text, templates=frozenset({"watcher", "none"})) == ["template/watcher"]
    assert names(made, text, templates=frozenset()) == []


def test_templates_that_the_caller_may_not_use_change_no_score_and_no_correction() -> None:
    secret = Blueprint("secret", "Logs of kubernetes.", ("kubernetes", "logs"))
    without, beside = index(*SHELF, templates=(HELPER,)), index(*SHELF, templates=(HELPER, secret))

    for text in ("logs", "kubernets", "kube", "logs of kubernetes"):
        assert ask(beside, text) == ask(without, text)


def test_templates_are_those_that_were_set_last() -> None:
    made = index(*SHELF, templates=(HELPER,))
    assert names(made, "help") == ["template/helper"]

    made.set_blueprints([replace(HELPER, description="Cooks.", keywords=()), WATCHER])

    assert names(made, "cooks") == ["template/helper"]
    assert names(made, "watches") == ["template/watcher"]


def test_few_sets_of_templates_are_kept_ready() -> None:
    blueprints = [Blueprint(f"t{number}", "Reads logs.") for number in range(MOST_SHELVES + 3)]
    made = index(templates=tuple(blueprints))

    for blueprint in (*blueprints, *blueprints):
        assert names(made, "logs", templates=frozenset({blueprint.name})) == [f"template/{blueprint.name}"]


def test_an_entry_comes_back_as_it_was() -> None:
    whole = entry(
        "one",
        'Bücher & "Zitate"',
        title="T",
        labels={"a": "b"},
        skills=("s", "t"),
        tool_servers=("github",),
        form="declarative",
        image="registry/image@sha256:0",
        instructions="Read.\nWrite.",
        missing_prompt=True,
        running="ns/agent",
        suspected_by=("y",),
    )

    assert [finding.entry for finding in ask(index(whole), "bücher")] == [whole]


TABLES = ("SELECT * FROM hit", "SELECT * FROM word", "SELECT * FROM ending", "SELECT * FROM search")


def view(*scopes: Scope) -> View:
    return View(scopes=frozenset(scopes))


def built(path: Path, seen: View, entries: list[RegistryEntry]) -> Index:
    build(path, seen, entries)
    made = Index.open(path)
    path.unlink()
    return made


def dump(path: Path, seen: View, entries: list[RegistryEntry]) -> list[str]:
    build(path, seen, entries)
    with sqlite3.connect(path) as file:
        return [str(row) for table in TABLES for row in file.execute(table)]


def test_an_index_is_read_from_a_file_that_is_gone(tmp_path: Path) -> None:
    made = built(tmp_path / "index file?#%.db", view(Scope("acme", frozenset("*"))), list(SHELF))

    assert names(made, "") == ["alpha", "Beta", "gamma", "delta"]
    assert names(made, "invoices") == ["gamma"]
    made.close()


def test_what_is_outside_of_a_view_leaves_no_trace(tmp_path: Path) -> None:
    seen = view(Scope("acme", frozenset({"default"}), frozenset({("team", "sre")})))
    others = [entry(f"x{number}", "logs of kubernetes", namespace="secret") for number in range(20)]

    alone = dump(tmp_path / "alone", seen, [SHELF[0], SHELF[1], SHELF[4]])
    assert dump(tmp_path / "beside", seen, [*others[:10], *SHELF, *others[10:]]) == alone


def test_the_order_of_building_changes_nothing(tmp_path: Path) -> None:
    seen = view(Scope("acme", frozenset("*")), Scope("west", frozenset("*")))

    assert dump(tmp_path / "there", seen, list(SHELF)) == dump(tmp_path / "back", seen, list(reversed(SHELF)))


def test_an_entry_that_comes_twice_is_there_once(tmp_path: Path) -> None:
    assert names(built(tmp_path / "f", view(Scope("acme", frozenset("*"))), [SHELF[0], SHELF[0]]), "") == ["Beta"]


def test_an_empty_index_answers_everything_with_nothing() -> None:
    made = Index.empty()

    assert names(made, "") == []
    assert names(made, "logs") == []


def test_an_index_can_be_asked_from_another_thread() -> None:
    made, found = index(*SHELF, templates=(HELPER,)), list[str]()
    asking = Thread(target=lambda: found.extend(names(made, "invoices")))
    asking.start()
    asking.join()

    assert found == ["gamma"]
