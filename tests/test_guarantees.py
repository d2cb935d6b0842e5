"""No promise without a test, no security test without a promise, and the document says what the table says."""

import ast
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.builders import guard_names
from tests.guarantees import API_SERVER, ATTACKS, GUARANTEES, GUARDS, NOT_SECURITY, PITFALLS, Guarantee
from tests.guarantees_document import FILE, document

TESTS = Path(__file__).parent
SECURITY = ("attacks", "deploy", "drift", "faults", "fuzz")
"""Folders in which every test shows a promise."""
REAL = ("agents", "attacks", "clients", "deploy", "drift", "faults")
"""Folders whose tests meet a real API server, most of them through the real tools."""
POLICIES = TESTS.parent / "deploy"


def named(guarantee: Guarantee) -> str:
    return guarantee.id


def names_in(file: str) -> set[str]:
    """The names of a file's tests."""
    path = TESTS / file
    parsed = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    functions = (node for node in parsed.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def shown(guarantee: Guarantee) -> set[str]:
    """The node ids of its tests, a file meaning all of its own."""
    whole = [test for test in guarantee.tests if "::" not in test]
    return {test for test in guarantee.tests if "::" in test} | {
        f"{file}::{name}" for file in whole for name in names_in(file)
    }


def test_every_pitfall_every_attack_and_every_guard_has_an_entry() -> None:
    assert [entry.id for entry in PITFALLS] == [f"P{number}" for number in range(1, 58)]
    assert [entry.id for entry in ATTACKS] == [f"T{number}" for number in range(1, 22)]
    assert [entry.id for entry in GUARDS] == [f"G.{guard}" for guard in guard_names()]


def test_every_admission_policy_has_an_entry() -> None:
    documents = [found for file in POLICIES.glob("*.yaml") for found in yaml.safe_load_all(file.read_text())]
    policies = {
        found["metadata"]["name"].removeprefix("agentspawn-")
        for found in documents
        if found["kind"] == "ValidatingAdmissionPolicy"
    }

    assert policies <= {entry.id.removeprefix("A.") for entry in API_SERVER}


def test_every_promise_has_one_entry_and_says_something() -> None:
    assert [id_ for id_, count in Counter(entry.id for entry in GUARANTEES).items() if count > 1] == []
    assert [entry.id for entry in GUARANTEES if not (entry.promise.endswith((".", "?")) and entry.source)] == []


@pytest.mark.parametrize("guarantee", GUARANTEES, ids=named)
def test_a_promise_is_shown_by_tests_that_are_there_or_says_why_by_none(guarantee: Guarantee) -> None:
    missing = [test for test in shown(guarantee) if test.partition("::")[2] not in names_in(test.partition("::")[0])]

    assert missing == []
    assert bool(shown(guarantee)) is not bool(guarantee.why_not)
    assert all(names_in(test) for test in guarantee.tests if "::" not in test)


@pytest.mark.parametrize("guarantee", [entry for entry in GUARANTEES if entry.tests], ids=named)
def test_a_promise_is_shown_on_a_real_api_server(guarantee: Guarantee) -> None:
    assert [test for test in shown(guarantee) if test.startswith(REAL)]


def test_every_security_test_shows_a_promise() -> None:
    files = {str(path.relative_to(TESTS)) for folder in SECURITY for path in (TESTS / folder).rglob("test_*.py")}
    promised = {test for guarantee in GUARANTEES for test in shown(guarantee)}
    tests = {f"{file}::{name}" for file in files - NOT_SECURITY.keys() for name in names_in(file)}

    assert sorted(tests - promised) == []
    assert files >= NOT_SECURITY.keys()


def test_the_document_is_made_of_the_table() -> None:
    assert FILE.read_text(encoding="utf-8") == document(), "run `make guarantees`"
