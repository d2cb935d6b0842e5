"""Nothing of a credential is left in what a subagent says. Examples are joined: no scanner takes them for secrets."""

import base64
from collections.abc import Callable, Mapping
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_agentspawn.content import rules, scan
from mcp_agentspawn.content.credentials import VALUE, spans
from mcp_agentspawn.content.patterns import PatternSet, ScanFailed
from mcp_agentspawn.content.redacting import MOST_RUNS, WITHHELD, redacted
from mcp_agentspawn.content.rules import Rule
from mcp_agentspawn.content.views import View
from tests.content.corpus import load

SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
TOKEN = f"ghp_{SECRET}"
MADE = "[redacted: credential.vendor-token]"
MOST_HONEST_TOUCHED = 3
CREDENTIALS = [
    text for text in load("hostile") if any(match.rule.startswith("credential.") for match in scan(text.text))
]


def credentials(text: str) -> list[str]:
    return [match.rule for match in scan(text) if match.rule.startswith("credential.")]


@pytest.mark.parametrize("text", [text.text for text in CREDENTIALS])
def test_every_hostile_credential_is_cut_out(text: str) -> None:
    left, count = redacted(text)

    assert count > 0
    assert credentials(left) == []
    assert redacted(left) == (left, 0)


def test_honest_texts_stay_as_they_are_but_for_those_that_look_like_a_credential() -> None:
    touched = [text for text in load("benign") if redacted(text.text) != (text.text, 0)]

    assert len(touched) <= MOST_HONEST_TOUCHED
    assert all(credentials(text.text) for text in touched)


@pytest.mark.parametrize(
    "rule", [rule for rule in rules().values() if rule.id.startswith("credential.")], ids=lambda rule: rule.id
)
def test_a_rule_cuts_what_it_catches_and_leaves_what_it_spares(rule: Rule) -> None:
    for text in rule.catches:
        assert "[redacted: credential." in redacted(f"See {text} here")[0]
    for text in rule.spares:
        assert redacted(text) == (text, 0)


@given(st.text(st.characters(codec=None), max_size=60), st.text(st.characters(codec=None), max_size=60))
def test_whatever_stands_around_it_nothing_of_it_is_left(before: str, after: str) -> None:
    left, count = redacted(f"{before} {TOKEN} {after}")

    assert count
    assert SECRET not in left


@given(st.text(st.characters(codec=None), max_size=200))
def test_every_text_can_be_read_and_a_second_time_nothing_is_left_to_cut(text: str) -> None:
    left, _ = redacted(text)

    assert redacted(left) == (left, 0)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"a {TOKEN}TAIL/of+it, b", f"a {MADE} b"),
        (f"{TOKEN} {TOKEN}", f"{MADE} {MADE}"),
        (f"{TOKEN}{TOKEN}", MADE),
        (f"token={TOKEN}!x", f"token={MADE}"),
        (f'{{"token":"{TOKEN}","name":"b"}}', f'{{"token":"{MADE}","name":"b"}}'),
        ("token token: a8f3e9c2b7d4", "token token: [redacted: credential.assigned]"),
        ("secret is password: a8f3e9c2b7d4<b", "secret is password: [redacted: credential.assigned]"),
        (f"password: a1{'bcdefgh' * 50}", "password: [redacted: credential.assigned]"),
        (f"half \ud83d {TOKEN} \udc00", f"half \ud83d {MADE} \udc00"),
        (f"(AQVNx8Kd02LmQz71{'RtYpWc93HgBvNs64JfTa'}).", "([redacted: credential.random])."),
    ],
)
def test_it_is_cut_out_to_its_end_and_what_is_beside_it_stays(text: str, left: str) -> None:
    assert redacted(text)[0] == left


KEY = ("BEGIN RSA PRIV", "ATE KEY-----")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            f"k -----{''.join(KEY)}\nMIIx\n-----END RSA PRIV{'ATE KEY'}-----\nmore",
            "k -----[redacted: credential.private-key]\nmore",
        ),
        (f"k -----{''.join(KEY)}\nMIIx cut", "k -----[redacted: credential.private-key]"),
        ("PuTTY-User-Key-File" + "-2: ssh-rsa\nPrivate-Lines: 1\nAAAA", "[redacted: credential.private-key]"),
        (
            "key: LS0tLS1CRUdJTiBS" + "U0EgUFJJVkFURSBLRVkt\n  TUlJRXZnSUJBREFO\n  QmdrcQ==\nand more",
            "key: [redacted: credential.private-key]\nand more",
        ),
    ],
)
def test_a_private_key_is_cut_out_with_all_of_its_lines(text: str, left: str) -> None:
    assert redacted(text)[0] == left


DISGUISES: Mapping[str, Callable[[str], str]] = {
    "zero width": "\u200b".join,
    "wide": lambda text: text.translate({point: point + 0xFEE0 for point in range(0x21, 0x7F)}),
    "lookalikes": lambda text: text.translate({ord("g"): "\u0261", ord("h"): "\u04bb", ord("p"): "\u0440"}),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 in lines": lambda text: "\n".join(_in_parts(base64.b64encode(text.encode()).decode(), 20)),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal pairs": lambda text: text.encode().hex(" "),
    "hexadecimal lines": lambda text: "\n".join(_in_parts(text.encode().hex(" "), 48)),
    "percent": lambda text: "".join(f"%{ord(character):02x}" for character in text),
    "partly percent": lambda text: text.replace("_", "%5F"),
    "quoted printable": lambda text: "=\n".join(_in_parts(text.replace("_", "=5F"), 12)),
    "escapes": lambda text: "".join(f"\\x{ord(character):02x}" for character in text),
    "unicode escapes": lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
    "entities": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "entities in hexadecimal": lambda text: "".join(f"&#x{ord(character):x};" for character in text),
    "entities that are none": lambda text: f"{text.replace('_', '&#95;')}&#x110000;&colon;",
    "base64 of wide ones": lambda text: DISGUISES["base64"](DISGUISES["wide"](text)),
}


def _in_parts(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


@pytest.mark.parametrize("disguise", DISGUISES)
def test_what_hides_one_goes_as_a_whole(disguise: str) -> None:
    hidden = DISGUISES[disguise](TOKEN)
    left, count = redacted(f"before: {hidden} after")

    assert left == f"before: {MADE} after"
    assert count == 1


def test_what_hides_one_beyond_what_can_be_traced_is_withheld_with_all_around_it() -> None:
    twice = TOKEN.replace("_", "&#37;5F")

    assert redacted(f"before {twice} after") == (WITHHELD, 1)


def test_more_runs_than_anybody_writes_are_not_looked_at_one_by_one() -> None:
    runs = DISGUISES["base64"](TOKEN) + " "

    assert redacted(runs * (MOST_RUNS + 1)) == (WITHHELD, MOST_RUNS)


def test_a_text_that_can_not_be_read_to_its_end_is_withheld() -> None:
    with patch.object(PatternSet, "matches", side_effect=ScanFailed("no memory")):
        assert redacted("anything") == (WITHHELD, 1)


def test_what_is_withheld_or_cut_out_is_no_credential() -> None:
    assert redacted(f"{WITHHELD} {MADE}") == (f"{WITHHELD} {MADE}", 0)


def test_a_value_is_found_behind_the_name_that_the_rule_has() -> None:
    assert rules()["credential.assigned"].pattern.endswith(VALUE)


def test_a_view_leads_back_to_the_text() -> None:
    view = View.of(b"abc&x;def", [(3, 6, b""), (6, 7, b"DD")])

    assert view.data == b"abcDDef"
    assert view.origin(0, 3) == (0, 3)
    assert view.origin(1, 4) == (1, 7)
    assert view.origin(4, 6) == (6, 8)


@pytest.mark.parametrize(
    "piece", ["token=", "token=a8f3e9c2b7d4 ", f"{TOKEN} ", "BEGIN PRIVATE KEY ", "a://b:1@", f"gh\u200bp_{SECRET} "]
)
def test_twice_the_text_is_at_most_twice_the_looks(piece: str) -> None:
    once, twice = (len(spans((piece * (size // len(piece))).encode())) for size in (16384, 32768))

    assert twice <= 2.2 * max(once, 1)
