import pytest

from mcp_agentspawn.adapters.index.words import LONGEST_KEY, keys, stems, words
from tests.adapters.index.finding import entry, index, names


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("Übersetzung", "übersetzung"),
        ("Übersetzung", "ubersetzung"),
        ("Übersetzung", "uebersetzung"),
        ("Uebersetzung", "Übersetzung"),
        ("Übersetzungen prüfen", "Übersetzung"),
        ("Größe", "groesse"),
        ("Straße", "strasse"),
        ("tłumaczenia", "tlumaczenie"),
        ("tłumaczeniami", "tłumaczenie"),
        ("żółć", "zolc"),
        ("księgowość", "ksiegowosci"),
        ("report", "Reports"),
        ("summarizing", "summarize"),
        ("\uff34\uff45\uff53\uff54", "test"),
        ("k8s", "K8S"),
        ("log4j2", "log4j2"),
    ],
)
def test_one_word_is_found_however_it_is_written_or_inflected(stored: str, asked: str) -> None:
    assert names(index(entry("one", stored), entry("two", "other")), asked) == ["one"]


@pytest.mark.parametrize(
    "stored", ["logAnalyst", "log-analyst", "log_analyst", "LogAnalyst", "log.analyst", "LOGAnalyst"]
)
@pytest.mark.parametrize("asked", ["log", "analyst", "loganalyst", "log-analyst", "logAnalyst", "log analyst"])
def test_the_parts_of_a_name_are_words_and_so_is_the_whole(stored: str, asked: str) -> None:
    assert names(index(entry("one", stored), entry("two", "other")), asked) == ["one"]


def test_a_joined_name_is_found_by_its_two_words() -> None:
    assert names(index(entry("one", "loganalyst"), entry("two", "other")), "log analyst") == ["one"]


def test_the_letter_of_a_compound_is_not_asked_for_by_itself() -> None:
    made = index(entry("plans", "plan e and plan b"), entry("mails", "sorts e-mail"))

    assert names(made, "e-mail") == ["mails"]


@pytest.mark.parametrize("text", ["", " \n", '"*()^:', "-_./", "\u200b", "\u0301"])
def test_a_text_without_words_has_no_keys(text: str) -> None:
    assert list(words(text)) == []
    assert keys(text) == []


def test_keys_are_short_however_long_a_word_is() -> None:
    assert {len(key) for key in keys("a" * 5000)} == {LONGEST_KEY}


def test_keys_are_letters_and_figures_and_the_sign_of_a_stem() -> None:
    told = keys('Logs" OR NEAR(x) * ^name : #facet =stem {brace} łódź Москва 日本語')

    assert all(key.removeprefix("=").isalnum() for key in told)


def test_the_stems_of_a_key_are_those_of_its_word() -> None:
    assert set(stems("ubersetzungen")) >= {"ubersetz"}
