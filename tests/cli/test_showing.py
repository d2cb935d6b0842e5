"""`agentspawn show` says everything, and nothing that it shows can pass for what it says."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_agentspawn.cli.showing import AGREED, UNCHECKED, Shown, lines
from mcp_agentspawn.core.digest import canonical, hash_of
from mcp_agentspawn.core.model import Approval, Grant, Proposal, Request
from mcp_agentspawn.core.outcomes import Outcomes
from tests.builders import NOON, RESEARCHER, ROOT, template
from tests.cli.office import MEDIUM, Office, office, rules_in

TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\u202e\u200b\x1b\r\u2028\\| \n")))
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
MANIFESTS = st.recursive(
    TEXT | st.booleans() | st.integers(0, 9) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
HEADINGS = (
    "",
    "Who asks, and what for",
    "Risk",
    "Decisions of people",
    "What it may hold at most, beside its parent",
    "Difference to the template's defaults",
    "Manifest, whole: the Agent that will be created",
    "Manifest, whole: the Agent that would be created",
    "Digest",
)
BEHIND_GUTTER = re.compile(r" *([a-z][a-z ]*)? *[|:] ")
OURS = (
    "  none yet",
    "  recomputed:",
    "  sha256:",
    "  It is over the canonical bytes",
    "  A decision is bound to it:",
    "  It was denied: whoever",
    "  agentspawn approve sub-x --digest sha256:",
)


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def proposal(**changes: Any) -> Proposal:
    request = Request("researcher", "Find out", {"topic": "Pods"}, ("web-search/search",), "m", timedelta(minutes=30))
    stored = Proposal(
        id="sub-x",
        root="agents/orchestrator",
        parent="",
        home="subagents",
        request=request,
        template_hash="",
        request_digest="",
        digest=hash_of(b""),
        risk="medium",
        expires_at=NOON + timedelta(hours=1),
        manifest='{"kind":"Agent"}',
        grant=Grant(("web-search/search",), ("m",), timedelta(minutes=30)),
        uid="uid",
    )
    return replace(stored, **changes)


def shown(stored: Proposal, *ancestors: Proposal, decisions: tuple[Approval, ...] = ()) -> list[str]:
    return list(lines(Shown(stored, ancestors, decisions, template(), None, NOON)))


def section(page: list[str], heading: str) -> str:
    after = page[page.index(heading) + 1 :]
    return "\n".join(after[: after.index("")] if "" in after else after)


@given(MANIFESTS, TEXT, TEXT, TEXT)
def test_nothing_of_others_stands_before_a_gutter_or_can_hide(
    manifest: Any, purpose: str, value: str, word: str
) -> None:
    request = replace(proposal().request, purpose=purpose, parameters={"topic": value}, model=word, tools=(word,))
    grant = Grant((word,), (word,), timedelta(minutes=1), parameters={"topic": value})
    stored = proposal(
        request=request, manifest=canonical({"it": manifest}), grant=grant, parent=word, root=word, home=word
    )
    decision = Approval("name", "sub-x", "uid", stored.digest, "deny", word, value, NOON)

    page = shown(stored, proposal(id=word, grant=grant), decisions=(decision,))

    assert all(line.isprintable() for line in page)
    others = [line for line in page if line not in HEADINGS and not line.startswith(OURS)]
    assert [line for line in others if not BEHIND_GUTTER.match(line)] == []


@given(MANIFESTS, MANIFESTS)
def test_two_different_manifests_never_look_the_same(one: Any, other: Any) -> None:
    before, after = (canonical({"a": manifest}) for manifest in (one, other))

    same = _manifest(shown(proposal(manifest=before))) == _manifest(shown(proposal(manifest=after)))
    assert same is (before == after)


def _manifest(page: list[str]) -> str:
    return section(page, "Manifest, whole: the Agent that will be created")


def test_a_prompt_is_shown_line_by_line_and_can_not_imitate_a_heading() -> None:
    prompt = "Help.\n\nDigest\n  recomputed   | sha256:0\n\x1b[8mhidden\x1b[0m"
    page = shown(proposal(manifest=canonical({"spec": {"prompt": prompt}})))

    assert page.count("Digest") == 1
    assert section(page, "Manifest, whole: the Agent that will be created").splitlines() == [
        "  | spec.prompt = a text of 5 lines:",
        "      | Help.",
        "      | ",
        "      | Digest",
        "      |   recomputed   | sha256:0",
        r"      | \u{1b}[8mhidden\u{1b}[0m",
    ]


def test_every_leaf_of_the_manifest_is_shown_with_its_path() -> None:
    manifest = {"a": {"b/c": [1, True, None, "x"]}, "d": {}, "e": [], 'f"': 'g"'}
    page = shown(proposal(manifest=canonical(manifest)))

    assert _manifest(page).splitlines() == [
        '  | a["b/c"][0] = 1',
        '  | a["b/c"][1] = true',
        '  | a["b/c"][2] = null',
        '  | a["b/c"][3] = "x"',
        "  | d = {}",
        "  | e = []",
        r'  | ["f\u{22}"] = "g\u{22}"',
    ]


def test_unusual_characters_are_pointed_out_before_anything_else() -> None:
    hidden = shown(proposal(manifest=canonical({"a": "x\u202ey", "\u0430": "b"})))
    many = shown(proposal(manifest=canonical({"a": "".join(map(chr, range(0x400, 0x420)))})))

    assert hidden[2] == "  beware       | it holds unusual characters: U+0430, U+202E"
    assert "and 12 more" in many[2] + many[3]


def test_the_grant_stands_beside_its_parents_and_what_is_beyond_is_named() -> None:
    above = proposal(id="sub-above", grant=Grant(("web-search/search",), ("m",), timedelta(hours=1), depth=1))
    grant = Grant(("web-search/search", "web-search/fetch"), ("m",), timedelta(minutes=5), depth=0)
    page = section(shown(proposal(parent="sub-above", grant=grant), above), HEADINGS[4])

    assert "  tools        | web-search/search, web-search/fetch\n    its parent | web-search/search" in page
    assert "  lifetime     | 5 min\n    its parent | 60 min" in page
    assert "  beyond       | tool web-search/fetch" in page


def test_people_see_when_a_subagent_is_for_one_task() -> None:
    grant = Grant(("web-search/search",), ("m",), timedelta(minutes=5), single_task=True)

    assert "  lifetime     | 5 min, and one task" in section(shown(proposal(grant=grant)), HEADINGS[4])


def test_a_grant_within_its_parents_is_said_to_be() -> None:
    grant = Grant(("web-search/search",), ("m",), timedelta(hours=1), depth=2, parameters={"topic": "Pods"})
    below = replace(grant, depth=1)

    assert "nothing: it is within" in "\n".join(shown(proposal(parent="sub-x", grant=below), proposal(grant=grant)))


def test_the_highest_risk_of_the_whole_chain_is_named() -> None:
    parent = proposal(id="sub-parent", parent="sub-grand", risk="high")
    page = section(shown(proposal(parent="sub-parent", risk="low"), parent), "Risk")

    assert "high; above it: sub-parent high; not all above it are there any more" in page


def test_a_parent_that_is_gone_is_said() -> None:
    page = shown(proposal(parent="sub-parent"))

    assert "nobody; not all above it" in section(page, "Risk")
    assert "is gone" in section(page, HEADINGS[4])


def test_the_difference_to_the_defaults_names_tools_model_lifetime_and_parameters(tmp_path: Path) -> None:
    at_work = office(**MEDIUM)
    stored = at_work.propose(
        parameters=(("topic", "Pods"), ("language", "German"), ("strict", "false")),
        tools=("web-search/fetch",),
        model="fast-model-config",
        lifetime_minutes=60,
    )

    page = at_work.run("show", stored.id, *rules_in(tmp_path, **MEDIUM)).output.splitlines()

    assert section(page, "Difference to the template's defaults").splitlines() == [
        "  tool more    | web-search/fetch (each call needs tool approval)",
        "  tool less    | web-search/search",
        "  model        | fast-model-config, by default default-model-config",
        "  lifetime     | 60 min, by default 30 min",
        "  parameter    | language, by default English:",
        "               | German",
        "  parameter    | topic, which has no default:",
        "               | Pods",
    ]


def test_a_sensitive_tool_is_marked_and_raises_the_risk(tmp_path: Path) -> None:
    at_work = office()
    tools = {"web-search": {"allow": ["search", "fetch"], "default": ["search"], "sensitive": ["fetch"]}}
    at_work.bench.rules.templates["researcher"] = template(tools=tools)
    stored = at_work.propose(tools=("web-search/search", "web-search/fetch"))

    page = at_work.run("show", stored.id, *rules_in(tmp_path, RESEARCHER | {"tools": tools})).output

    assert "web-search/fetch (sensitive)" in page
    assert "asks for tools that the template marks as sensitive" in page


def test_without_the_very_template_the_difference_and_the_reasons_are_not_guessed(tmp_path: Path) -> None:
    at_work = office(**MEDIUM)
    stored = at_work.propose()
    options = rules_in(tmp_path, **MEDIUM)
    changed = tmp_path / "templates" / "researcher.yaml"
    changed.write_text(changed.read_text().replace("Answer in", "Reply in"))

    page = at_work.run("show", stored.id, *options).output

    assert page.count("can not be shown") == 2


def test_why_is_said_by_the_policy_that_it_was_judged_by_and_by_no_other(tmp_path: Path) -> None:
    at_work = office(**MEDIUM)
    stored = at_work.propose()

    judged_by = at_work.run("show", stored.id, *rules_in(tmp_path, **MEDIUM)).output
    another = at_work.run("show", stored.id, *rules_in(tmp_path)).output

    assert "the policy says at least medium" in judged_by
    assert "the policy says" not in another
    assert "the policy at hand is not the one that it was judged by" in another
    assert "NOT CHECKED, for want of the policy" in another


def test_a_record_is_shown_to_whoever_decides_and_a_poor_one_says_what_it_makes_of_the_risk(tmp_path: Path) -> None:
    at_work = office(**MEDIUM)
    options = rules_in(tmp_path, **MEDIUM)
    stored = at_work.propose()
    remembered(at_work, Outcomes(4, 2))
    known = at_work.run("show", stored.id, *options).output
    remembered(at_work, Outcomes(6, 2, quarantines=1))
    poor = at_work.run("show", stored.id, *options).output

    assert "  record       | 2 of 4 tasks succeeded, of template:researcher" in known
    assert "a record as poor" not in known
    assert "  record       | 2 of 6 tasks succeeded and 1 agent was quarantined, of template:researcher" in poor
    assert "a record as poor as the one above makes it at least medium" in poor


def test_a_risk_that_the_record_has_raised_since_is_said_to_be_stated_too_low(tmp_path: Path) -> None:
    at_work = office()
    options = rules_in(tmp_path)
    stored = at_work.propose()

    assert "STATED TOO LOW" not in at_work.run("show", stored.id, *options).output
    remembered(at_work, Outcomes(5, 0))
    assert "ITS RISK IS STATED TOO LOW: it is medium, and not low" in at_work.run("show", stored.id, *options).output


def remembered(at_work: Office, outcomes: Outcomes) -> None:
    """Put it on record for the template."""
    changed = at_work.world.ledgers.change(
        ROOT.name, lambda ledger: (ledger.recorded("template:researcher", outcomes), None)
    )
    asyncio.run(changed)


def test_without_folders_it_shows_the_rest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    at_work = office(**MEDIUM)
    stored = at_work.propose()

    result = at_work.run("show", stored.id)

    assert result.exit_code == 0
    assert result.output.count("can not be shown") == 2
    assert f"agentspawn approve {stored.id} --digest {stored.digest}" in result.output


def test_ancestors_are_followed_no_further_than_there_can_be() -> None:
    at_work = office(**MEDIUM)
    stored = at_work.propose()
    at_work.forge(stored, parent=stored.id)

    result = at_work.run("show", stored.id)

    assert result.exit_code == 0
    assert "not all above it are there any more" in result.output


@pytest.mark.parametrize(
    ("changes", "created", "why"),
    [
        ({}, "will be", ""),
        ({"risk": "low"}, "would be", "Nobody has to approve it"),
        ({"expires_at": NOON}, "would be", "its time is over"),
        ({"phase": "lapsed"}, "would be", "withdrawn or given up"),
        ({"phase": "ready"}, "was", "its agent has been made"),
    ],
)
def test_what_nobody_can_or_has_to_approve_is_said_instead_of_the_command(
    changes: dict[str, Any], created: str, why: str
) -> None:
    page = shown(proposal(**changes))

    assert f"Manifest, whole: the Agent that {created} created" in page
    assert any(line.startswith("  agentspawn approve") for line in page) is not bool(why)
    assert why in section(page, "Digest")


def test_what_was_denied_is_not_to_be_approved() -> None:
    stored = proposal()
    page = shown(stored, decisions=(Approval("name", "sub-x", "uid", stored.digest, "deny", "bob", "", NOON),))

    assert "agentspawn approve" not in section(page, "Digest")
    assert "Manifest, whole: the Agent that would be created" in page


@pytest.mark.parametrize("wide", ["40", "80"])
def test_our_own_sentences_are_broken_at_blanks_and_a_digest_stands_alone(
    monkeypatch: pytest.MonkeyPatch, wide: str
) -> None:
    monkeypatch.setenv("COLUMNS", wide)
    stored = proposal()
    unseen = Shown(stored, (), (), None, None, NOON)
    page = list(lines(unseen))

    start = next(number for number, line in enumerate(page) if line.startswith("  checked"))
    checked = page[start : page.index("", start)]
    assert all(len(line) <= int(wide) for line in checked)
    assert " ".join(line[17:] for line in checked) == f"{AGREED} {UNCHECKED}"
    assert f"  {stored.digest}" in page


def test_what_was_checked_is_said_in_simple_words_with_its_folders(tmp_path: Path) -> None:
    at_work = office(**MEDIUM)
    stored = at_work.propose()
    options = rules_in(tmp_path, **MEDIUM)

    said = " ".join(line[17:] for line in at_work.run("show", stored.id, *options).output.splitlines())

    assert f"re-rendered from {options[1]}: same bytes; risk under {options[3]}: not higher" in said
