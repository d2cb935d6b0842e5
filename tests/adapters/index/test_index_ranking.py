from itertools import pairwise

import pytest

from mcp_agentspawn.adapters.index.gathering import MOST_POSTINGS, MOST_RANKED
from mcp_agentspawn.core.registry import Blueprint
from tests.adapters.index.finding import ask, entry, index, names

FILLER = [entry(f"filler-{number}", f"other subject {number}") for number in range(30)]


def test_the_field_that_says_most_comes_first() -> None:
    made = index(
        entry("a", instructions="Handle invoices."),
        entry("b", "Handles invoices."),
        entry("c", skills=("invoices",)),
        entry("d", labels={"domain": "invoices"}),
        entry("e", title="Invoices"),
        *FILLER,
    )

    assert names(made, "invoices") == ["e", "d", "c", "b", "a"]


def test_the_word_itself_comes_before_its_inflection_before_its_beginning() -> None:
    made = index(entry("a", "certificateless"), entry("b", "certificates"), entry("c", "certificate"), *FILLER)

    assert names(made, "certificate") == ["c", "b", "a"]


def test_all_words_once_come_before_one_word_often() -> None:
    made = index(entry("a", "invoices invoices invoices, invoices."), entry("b", "Translates invoices."), *FILLER)

    assert names(made, "translate invoices") == ["b", "a"]


def test_saying_a_word_again_gains_nothing() -> None:
    made = index(entry("a", "logs " * 50), entry("b", "logs"), *FILLER)

    assert len({finding.place.score for finding in ask(made, "logs")}) == 1


def test_listing_everything_counts_less_than_being_for_something() -> None:
    lists = "logs, research, invoices, contracts, translation, hiring, sales, charts, backups, tickets, slides, code"
    made = index(entry("all", lists, skills=("logs", "invoices")), entry("one", "Pays invoices in time."), *FILLER)

    assert names(made, "invoices") == ["one", "all"]


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("kubernetes", "kuberentes"),
        ("kubernetes", "kubernetis"),
        ("translate", "tranlsate"),
        ("accessibility", "accesibility"),
        ("accessibility", "accesibilty"),
        ("logs", "lgos"),
    ],
)
def test_a_misspelt_word_is_found(stored: str, asked: str) -> None:
    assert names(index(entry("one", stored), *FILLER), asked) == ["one"]


@pytest.mark.parametrize(("stored", "asked"), [("cat", "car"), ("logs", "legal"), ("invoice", "invited")])
def test_another_word_is_no_misspelt_one(stored: str, asked: str) -> None:
    assert names(index(entry("one", stored), *FILLER), asked) == []


def test_a_word_that_is_known_is_not_taken_for_misspelt() -> None:
    made = index(entry("one", "forms"), entry("two", "farms"), *FILLER)

    assert names(made, "farms") == ["two"]


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("Rechnungsprüfung", "Rechnung"),
        ("Rechnungsprüfung", "Rechnungen"),
        ("Rechnungsprüfung", "Prüfung"),
        ("Prüfung von Rechnungen", "Rechnungsprüfung"),
        ("tłumacz", "przetłumacz"),
        ("ortografia", "ortograficzne"),
        ("kubernetes", "kube"),
    ],
)
def test_compounds_and_kin_are_found_by_their_parts(stored: str, asked: str) -> None:
    assert names(index(entry("one", stored), *FILLER), asked) == ["one"]


@pytest.mark.parametrize(
    ("stored", "asked"),
    [("Rechnung", "invoice"), ("faktura", "Rechnungen"), ("translator", "tłumaczenie"), ("kubernetes", "k8s")],
)
def test_a_query_in_one_language_finds_agents_in_another(stored: str, asked: str) -> None:
    assert names(index(entry("one", stored), *FILLER), asked) == ["one"]


def test_the_word_that_was_asked_for_comes_before_another_one_of_its_meaning() -> None:
    made = index(entry("a", "faktura"), entry("b", "invoice"), *FILLER)

    assert names(made, "invoice") == ["b", "a"]


def test_suspected_entries_come_last_however_well_they_fit() -> None:
    made = index(entry("logs", "logs", title="logs", suspected_by=("rule",)), entry("zz", "one of its skills is logs"))

    assert [(finding.place.suspected, finding.place.key[:2]) for finding in ask(made, "logs")] == [
        (False, "zz"),
        (True, "lo"),
    ]
    assert names(made, "") == ["zz", "logs"]


def test_templates_and_entries_stand_in_one_order() -> None:
    helper = Blueprint("helper", "Reads logs.", ("logs",))
    made = index(entry("reader", "Reads the logs of last week."), *FILLER, templates=(helper,))

    assert names(made, "logs") == ["template/helper", "reader"]


def test_findings_stand_in_the_order_of_their_places_with_scores_from_0_to_1() -> None:
    made = index(*(entry(f"n{number}", "logs " + "and invoices " * (number % 3)) for number in range(20)))
    places = [finding.place for finding in ask(made, "invoices in logs")]

    assert all(first.order < second.order for first, second in pairwise(places))
    assert all(0 < place.score <= 1 and place.score == round(place.score, 4) for place in places)


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("logs", ("logs (name, description)",)),
        ("Kubernets logs", ("kubernets (labels)", "logs (name, description)")),
        ("kubrenetes", ("kubernetes~kubrenetes (typo, labels)",)),
        ("kube", ("kube (prefix, labels)",)),
        ("protokoll", ("protokoll (related, name, description)",)),
        ("metakubernetes", ("metakubernetes (part, labels)",)),
    ],
)
def test_a_hit_says_by_which_words_of_which_fields(text: str, matched: tuple[str, ...]) -> None:
    made = index(entry("log-reader", "Reads logs.", labels={"domain": "kubernetes"}), *FILLER)

    assert ask(made, text)[0].matched == matched


def test_what_is_said_of_a_match_is_bounded() -> None:
    many = " ".join(f"word{letter}x" for letter in "abcdefghijklmnop")
    made = index(entry("one", many), *FILLER)
    matched = ask(made, many)[0].matched

    assert len(matched) == 8
    assert max(map(len, matched)) < 120


def test_function_words_find_nothing_beside_others_but_do_when_alone() -> None:
    made = index(entry("one", "who is who"), entry("two", "logs"))

    assert names(made, "who reads the logs") == ["two"]
    assert names(made, "who") == ["one"]


@pytest.mark.parametrize("word", ["report", "report everywhere"])
def test_a_word_that_is_everywhere_still_finds(word: str) -> None:
    made = index(*(entry(f"n{number:05}", "report", title="everywhere") for number in range(MOST_POSTINGS + 500)))

    assert names(made, word) == [f"n{number:05}" for number in range(50)]


def test_a_word_that_is_in_many_descriptions_finds_names_first_and_then_others() -> None:
    many = [entry(f"n{number:05}", "report") for number in range(MOST_POSTINGS + 500)]
    found = names(index(*many, entry("z", title="report")), "report", limit=100)

    assert found[:2] == ["z", "n00000"]
    assert len(found) == MOST_RANKED


def test_what_is_frequent_everywhere_is_found_where_a_search_is_narrowed_to() -> None:
    many = [entry(f"n{number:05}", "report", title="report") for number in range(MOST_POSTINGS + 500)]
    made = index(*many, entry("b", "a report", registry="other"), entry("a", "a report here", registry="other"))

    assert sorted(names(made, "report", source="other")) == ["a", "b"]
