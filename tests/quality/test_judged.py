"""The corpus that search quality is measured on is whole, and the measures give the values one finds by hand."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from math import log2
from pathlib import Path

import pytest
import yaml

from tests.quality.judged import (
    GRADES,
    Query,
    SampleTemplate,
    documents,
    entries,
    hit_at_1,
    ndcg_at_5,
    queries,
    templates,
)
from tests.quality.substring import rank

REPOSITORY = Path(__file__).parent.parent.parent
RELEVANT = {"a/exact": 3, "a/would-do": 2, "a/related": 1}
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
MOST_SENTENCES = 6
FEW = 2
KEYWORD_STUFFERS = "misc/"


def named(query: Query) -> str:
    return query.id


def exact(query: Query) -> set[str]:
    """What it is about; one for a tool or a label that many have is about none of them."""
    found = {key for key, grade in query.relevant.items() if grade == max(GRADES)}
    return set() if query.kind in {"tool", "label"} and len(found) > FEW else found


def has_diacritics(text: str) -> bool:
    return not text.isascii()


def letters(text: str) -> str:
    """A text as it is typed on a keyboard without diacritics, umlauts written with one letter."""
    replaced = unicodedata.normalize("NFD", text.replace("ß", "ss").replace("ł", "l"))
    plain = "".join(letter for letter in replaced if letter.isascii())
    return re.sub("([aou])e", r"\1", plain.lower())


@dataclass(frozen=True)
class Text:
    key: str
    texts: tuple[str, ...]


class TestMeasures:
    def test_the_best_order_is_one(self) -> None:
        assert ndcg_at_5(["a/exact", "a/would-do", "a/related"], RELEVANT) == pytest.approx(1)

    def test_no_result_is_zero(self) -> None:
        assert ndcg_at_5([], RELEVANT) == 0
        assert not hit_at_1([], RELEVANT)

    def test_gains_grow_with_the_grade_and_shrink_with_the_place(self) -> None:
        ideal = 7 + 3 / log2(3) + 1 / 2

        assert ndcg_at_5(["x", "a/exact"], RELEVANT) == pytest.approx(7 / log2(3) / ideal)
        assert ndcg_at_5(["a/related", "x", "a/would-do"], RELEVANT) == pytest.approx((1 + 3 / 2) / ideal)
        assert ndcg_at_5(["a/related", "x", "a/would-do"], RELEVANT) == pytest.approx(0.2662, abs=0.0001)

    def test_the_sixth_result_counts_nothing(self) -> None:
        assert ndcg_at_5(["v", "w", "x", "y", "z", "a/exact"], RELEVANT) == 0

    def test_of_many_answers_five_are_enough(self) -> None:
        relevant = {f"a/{number}": 3 for number in range(9)}

        assert ndcg_at_5([f"a/{number}" for number in range(4, 9)], relevant) == pytest.approx(1)

    def test_a_result_named_twice_counts_once(self) -> None:
        assert ndcg_at_5(["a/exact", "a/exact"], RELEVANT) == ndcg_at_5(["a/exact"], RELEVANT)

    @pytest.mark.parametrize(("first", "hit"), [("a/exact", True), ("a/would-do", True), ("a/related", False)])
    def test_a_hit_is_a_first_result_that_would_do(self, first: str, *, hit: bool) -> None:
        assert hit_at_1([first, "a/exact"], RELEVANT) is hit


class TestSubstring:
    def test_the_most_words_come_first_then_the_name(self) -> None:
        found = [
            Text("b/two", ("reads LOGS", "of pods")),
            Text("c/one", ("blogs",)),
            Text("a/one", ("catalogs",)),
            Text("a/none", ("invoices",)),
        ]

        assert rank("Logs, pod", found) == ["b/two", "a/one", "c/one"]

    def test_it_finds_what_the_corpus_says_in_the_same_words(self) -> None:
        assert rank("terraform plan", documents())[0] == "devtools/terraform-planner"


class TestCorpus:
    def test_there_is_enough_to_measure(self) -> None:
        assert len(entries()) >= 180
        assert len(queries()) >= 100
        assert len(templates()) == 6

    def test_each_key_is_there_once(self) -> None:
        keys = [document.key for document in documents()]

        assert len(set(keys)) == len(keys)

    def test_entries_are_what_a_registry_accepts(self) -> None:
        for entry in entries():
            assert SUBDOMAIN.fullmatch(entry.name), entry.key
            assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,63}", value) for value in entry.labels.values()), entry.key
            assert entry.description, entry.key

    def test_an_image_brings_its_own_instructions(self) -> None:
        assert [entry.key for entry in entries() if entry.image and entry.instructions] == []

    def test_instructions_are_short(self) -> None:
        for entry in entries():
            assert len(re.findall(r"[.?!](\s|$)", entry.instructions)) <= MOST_SENTENCES, entry.key

    def test_german_and_polish_have_their_share(self) -> None:
        languages = Counter(entry.labels.get("sprache", entry.labels.get("jezyk", "en"))[:2] for entry in entries())

        assert languages["de"] >= len(entries()) // 10
        assert languages["pl"] >= len(entries()) // 10

    @pytest.mark.parametrize("template", templates()[:4], ids=lambda template: template.name)
    def test_the_first_templates_are_the_real_ones(self, template: SampleTemplate) -> None:
        written = yaml.safe_load((REPOSITORY / "templates" / f"{template.name}.yaml").read_text())

        assert template.description == written["description"]
        assert template.keywords == written["keywords"]


class TestQueries:
    def test_each_is_there_once(self) -> None:
        assert len({query.id for query in queries()}) == len(queries())
        assert len({query.query for query in queries()}) == len(queries())

    def test_each_judges_what_is_there(self) -> None:
        keys = {document.key for document in documents()}

        assert {key for query in queries() for key in query.relevant} <= keys

    @pytest.mark.parametrize("query", queries(), ids=named)
    def test_each_has_an_answer_and_known_grades(self, query: Query) -> None:
        assert set(query.relevant.values()) <= set(GRADES)
        assert hit_at_1([max(query.relevant, key=query.relevant.__getitem__)], query.relevant)

    def test_keyword_stuffers_answer_nothing_exactly(self) -> None:
        assert any(entry.key.startswith(KEYWORD_STUFFERS) for entry in entries())
        for query in queries():
            assert all(grade == 1 for key, grade in query.relevant.items() if key.startswith(KEYWORD_STUFFERS))

    def test_a_third_is_held_out(self) -> None:
        tune, held_out = queries("tune"), queries("held_out")

        assert len(tune) + len(held_out) == len(queries())
        assert 0.3 <= len(held_out) / len(queries()) <= 0.37

    def test_each_kind_is_held_out_in_part(self) -> None:
        counted = Counter(query.kind for query in queries())
        held_out = Counter(query.kind for query in queries("held_out"))

        assert all(0.25 <= held_out[kind] / count <= 0.5 for kind, count in counted.items())

    def test_what_is_held_out_is_never_tuned_on_in_other_words(self) -> None:
        tuned = {key for query in queries("tune") for key in exact(query)}

        assert [query.id for query in queries("held_out") if exact(query) & tuned] == []

    def test_what_is_held_out_is_never_tuned_on_in_other_letters(self) -> None:
        tuned = {letters(query.query) for query in queries("tune")}

        assert [query.id for query in queries("held_out") if letters(query.query) in tuned] == []

    def test_each_with_diacritics_is_asked_without_them_too(self) -> None:
        by_id = {query.id: query for query in queries()}
        for query in queries():
            if has_diacritics(query.query):
                twin = by_id[f"{query.id}-plain"]
                assert letters(twin.query) == letters(query.query)
                assert (twin.split, twin.kind, twin.relevant) == (query.split, query.kind, query.relevant)
