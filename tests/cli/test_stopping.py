"""People stop spawning and begin counts anew, each in their own name."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mcp_agentspawn.core.errors import Missing, Refused
from mcp_agentspawn.core.switches import Freeze
from tests.builders import NOON
from tests.cli.office import ELSEWHERE, Desk, office, stopping_root, switches, without_a_listing


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], Freeze("everywhere", frozen=True, reason="Incident 7", by="alice")),
        (
            ["--namespace", "agents"],
            Freeze("namespace.agents", frozen=True, reason="Incident 7", by="alice", namespace="agents"),
        ),
        (
            ["--root", "agents/orchestrator"],
            Freeze(
                "root.agents.orchestrator", frozen=True, reason="Incident 7", by="alice", root="agents/orchestrator"
            ),
        ),
    ],
)
def test_a_freeze_says_what_why_and_who_and_is_ended_by_the_same_words(options: list[str], expected: Freeze) -> None:
    at_work = office()

    frozen = at_work.run("freeze", *options, "--reason", "Incident 7")
    assert (frozen.exit_code, stopping_root(at_work)) == (0, expected)
    assert frozen.output.startswith("Frozen: | ")
    assert "by alice\n  | Incident 7" in frozen.output

    ended = at_work.as_("bob").run("unfreeze", *options)
    assert (ended.exit_code, stopping_root(at_work)) == (0, None)
    assert {freeze.by for freeze in switches(at_work).freezes if freeze.name == expected.name} == {"bob"}


def test_what_stays_frozen_is_said_when_something_else_is_not_any_more() -> None:
    at_work = office()
    at_work.run("freeze", "--namespace", "agents", "--reason", "one")
    at_work.run("freeze", "--reason", "two")

    result = at_work.run("unfreeze")

    assert result.output.splitlines() == [
        "Unfrozen: everything",
        "Still frozen: | namespace agents, by alice",
        "  | one",
    ]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ([], "everything"),
        (["--namespace", "agents"], "namespace agents"),
        (["--root", "agents/orchestrator"], "agents/orchestrator"),
    ],
)
def test_ending_a_freeze_says_what_is_no_longer_frozen_or_never_was(options: list[str], what: str) -> None:
    at_work = office()
    at_work.run("freeze", *options, "--reason", "Incident 7")

    said = [at_work.run("unfreeze", *options).output for _ in range(2)]

    assert said == [f"Unfrozen: {what}\n", f"{what} was not frozen.\n"]


def test_a_freeze_says_first_what_it_froze_and_whose_reason_it_replaced() -> None:
    at_work = office()
    at_work.propose()
    at_work.run("freeze", "--reason", "wide")
    at_work.run("freeze", "--root", "agents/orchestrator", "--reason", "one\nFrozen: nothing")

    result = at_work.as_("bob").run("freeze", "--root", "agents/orchestrator", "--reason", "two")

    assert result.output.splitlines() == [
        "Frozen: | agents/orchestrator, by bob",
        "  | two",
        "  instead of | one",
        "             | Frozen: nothing (by alice)",
        "Still frozen: | everything, by alice",
        "  | wide",
    ]


def test_who_freezes_needs_no_list_of_what_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = office()
    at_work.run("freeze", "--reason", "one")
    without_a_listing(monkeypatch, at_work)

    again = at_work.run("freeze", "--reason", "two")

    monkeypatch.undo()
    assert (again.exit_code, "instead of | one (by alice)" in again.stdout) == (0, True)
    assert "what else is frozen can not be said" in again.stderr
    assert {freeze.reason for freeze in switches(at_work).freezes if freeze.frozen} == {"two"}


AGENTS = ("--namespace", "agents")


@pytest.mark.parametrize(
    ("options", "looks", "code", "ended"), [((), 0, 0, True), (AGENTS, 0, 3, False), (AGENTS, 1, 0, True)]
)
def test_a_freeze_that_was_ended_is_no_failure_when_the_others_can_not_be_listed(
    monkeypatch: pytest.MonkeyPatch, options: Sequence[str], looks: int, code: int, *, ended: bool
) -> None:
    at_work = office()
    at_work.run("freeze", *options, "--reason", "one")
    without_a_listing(monkeypatch, at_work, looks)

    result = at_work.run("unfreeze", *options)

    monkeypatch.undo()
    assert (result.exit_code, "Unfrozen: " in result.stdout) == (code, ended)
    assert (stopping_root(at_work) is None) == ended


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ([], False),
        (["--root", "agents/orchestrator"], False),
        (["--root", "agents/orchestrater"], True),
        (["--namespace", "agents"], False),
        (["--namespace", "subagents"], False),
        (["--namespace", "agent"], True),
    ],
)
def test_freezing_what_nobody_knows_stands_and_is_warned_of(options: list[str], *, warned: bool) -> None:
    at_work = office()
    at_work.propose()

    result = at_work.run("freeze", *options, "--reason", "x")

    assert (result.exit_code, "is known here" in result.stderr) == (0, warned)
    assert [freeze.reason for freeze in switches(at_work).freezes if freeze.frozen] == ["x"]


def test_a_namespace_in_which_only_an_agent_stands_is_known() -> None:
    at_work = office()
    proposal = at_work.propose()
    at_work.world.agents.put(ELSEWHERE.home, json.loads(proposal.manifest))

    assert at_work.run("freeze", "--namespace", ELSEWHERE.home, "--reason", "x").stderr == ""


def test_the_help_of_each_speaks_of_itself() -> None:
    assert "Only into this namespace" in office().run("freeze", "--help").output
    assert "Only into this namespace" not in office().run("unfreeze", "--help").output


def test_listing_changes_nothing_and_leaves_the_canarys_freeze_out() -> None:
    at_work = office()
    canary = Freeze("root.agentspawn-system.canary", frozen=True, root="agentspawn-system/canary", by="installation")
    hostile = Freeze("namespace.x", frozen=True, reason="a\nFrozen: | nothing\x1b[2J", by="\u202e", namespace="x")
    for freeze in (canary, hostile):
        asyncio.run(at_work.world.switchboard.set(freeze))
    before = switches(at_work)

    listed = at_work.run("freeze", "--list")

    assert listed.output.splitlines() == [
        r"Frozen: | namespace x, by \u{202e}",
        "  | a",
        r"  | Frozen: | nothing\u{1b}[2J",
    ]
    assert switches(at_work) == before


def test_ending_a_freeze_that_never_was_makes_none() -> None:
    at_work = office()

    assert at_work.run("unfreeze", "--namespace", "agents").exit_code == 0
    assert [freeze.name for freeze in switches(at_work).freezes] == ["everywhere"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["freeze"],
        ["freeze", "--reason", "x", "--namespace", ""],
        ["freeze", "--reason", "x", "--root", ""],
        ["freeze", "--reason", "x", "--root", "orchestrator"],
        ["freeze", "--reason", "x", "--root", "agents/orchestrator@home"],
        ["freeze", "--reason", "x", "--root", "agents/orchestrator", "--namespace", "agents"],
        ["unfreeze", "--namespace", ""],
        ["unfreeze", "--root", ""],
        ["unfreeze", "--root", "agentspawn-system/canary"],
        ["retire-tree", "", "--reason", "x"],
        ["retire-tree", "agents/orchestrator"],
        ["retire-tree", "agents/orchestrator", "--keep-open", "--namespace", ""],
        ["reset", "agents/orchestrator", "--reason", "x"],
        ["reset", "agents/orchestrator", "--counts"],
        ["reset", "", "--counts", "--reason", "x"],
        ["reset", "agents/orchestrator", "--account", "nonsense", "--reason", "x"],
        ["reset", "agents/orchestrator", "--counts", "--account", "", "--reason", "x"],
    ],
)
def test_an_empty_or_half_word_never_means_everything(arguments: list[str]) -> None:
    at_work = office()
    before = switches(at_work)

    assert at_work.run(*arguments).exit_code == 2
    assert switches(at_work) == before


def test_counts_begin_anew_by_a_persons_word() -> None:
    at_work = office()
    at_work.propose()

    result = at_work.run("reset", "agents/orchestrator", "--counts", "--reason", "Backlog cleared")

    (stored,) = switches(at_work).resets
    assert (stored.counts, stored.account, stored.by, stored.reason) == (True, "", "alice", "Backlog cleared")
    assert switches(at_work).counts_since("agents/orchestrator") == NOON
    assert stored.name.startswith("agents.orchestrator.")
    assert (result.exit_code, stored.name in result.output) == (0, True)


UID = "3b1f8c1e-5d0a-4c55-9a57-0d6a0e6a1b2c"


@pytest.mark.parametrize(
    ("account", "uid"), [(UID, UID), (UID.upper(), UID), ("current", "uid-of-agents/orchestrator")]
)
def test_a_recreated_account_may_go_on_by_a_persons_word(account: str, uid: str) -> None:
    at_work = office()
    at_work.propose()

    at_work.run("reset", "agents/orchestrator", "--account", account, "--reason", "Recreated by us")

    assert switches(at_work).accepts("agents/orchestrator", uid)
    assert switches(at_work).counts_since("agents/orchestrator") is None


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (UID, ""),
        ("another", "is another, and not this one"),
        (Missing("none"), "there is no service account"),
        (Refused("forbidden.rbac", "not yours"), "can not be said: not yours"),
    ],
)
def test_a_uid_that_is_not_the_accounts_own_now_is_pointed_out(
    monkeypatch: pytest.MonkeyPatch, now: str | Exception, said: str
) -> None:
    async def account_uid(*_: Any) -> str:
        if isinstance(now, Exception):
            raise now
        return now

    monkeypatch.setattr(Desk, "account_uid", account_uid)
    at_work = office()
    at_work.propose()

    result = at_work.run("reset", "agents/orchestrator", "--account", UID, "--reason", "Made again")

    assert (result.exit_code, bool(result.stderr)) == (0, bool(said))
    assert said in result.stderr
    assert switches(at_work).accepts("agents/orchestrator", UID)


@pytest.mark.parametrize("options", [["--counts"], ["--account", "current"], ["--account", UID]])
def test_nothing_is_reset_of_a_root_that_nobody_knows(options: list[str]) -> None:
    at_work = office()
    at_work.propose()

    result = at_work.run("reset", "agents/orchestrater", *options, "--reason", "Mistyped")

    assert (result.exit_code, result.stdout, switches(at_work).resets) == (1, "", ())
    assert "agents/orchestrater is unknown" in result.stderr


def test_the_kubeconfig_that_is_named_is_used(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text("")
    at_work = office()

    at_work.run("freeze", "--list", "--kubeconfig", file)

    assert at_work.kubeconfig == file
    assert office().run("freeze", "--list", "--kubeconfig", tmp_path / "none").exit_code == 2
