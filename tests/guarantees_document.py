"""`docs/guarantees.md`, made of the table of guarantees: `python -m tests.guarantees_document` writes it."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from tests.guarantees import API_SERVER, ATTACKS, GUARDS, PITFALLS, Guarantee

FILE = Path(__file__).parents[1] / "docs" / "guarantees.md"
INTRODUCTION = """# Guarantees

Each promise, where it comes from, and the tests that show it, most of them through the real tools on a real API server.
Made of `tests/guarantees.py` by `make guarantees`: change that, not this.
"""
PARTS: Sequence[tuple[str, str, Sequence[Guarantee]]] = (
    ("Pitfalls", "What projects that let agents make agents have got wrong, each tried here.", PITFALLS),
    ("Published attacks", "Attacks and incidents that were published, each tried here.", ATTACKS),
    ("Guards", "The rule book, in the order in which it is asked.", GUARDS),
    ("The API server", "What is refused there, whatever becomes of the server.", API_SERVER),
)


def document() -> str:
    """The whole text."""
    parts = [f"## {title}\n\n{words}\n\n{''.join(map(_entry, entries))}" for title, words, entries in PARTS]
    return "\n".join([INTRODUCTION, *parts])


def _entry(guarantee: Guarantee) -> str:
    lines = [f"- **{guarantee.id}** {guarantee.promise} *({guarantee.source})*", *_shown(guarantee)]
    return "".join(f"{line}\n" for line in lines)


def _shown(guarantee: Guarantee) -> Iterator[str]:
    if guarantee.why_not:
        yield f"  - No test: {guarantee.why_not}"
    for file, tests in groupby(guarantee.tests, key=lambda test: test.partition("::")[0]):
        sentences = [_sentence(test.partition("::")[2]) for test in tests]
        yield f"  - [{_named(file)}](../tests/{file}): {'; '.join(sentences)}"


def _named(file: str) -> str:
    """`faults/test_races.py` as `faults: races`."""
    folder, _, name = file.removesuffix(".py").rpartition("/")
    return f"{folder or 'tests'}: {name.removeprefix('test_').replace('_', ' ')}"


def _sentence(test: str) -> str:
    return test.removeprefix("test_").replace("_", " ") if test else "all of it"


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
