"""People read proposals and decide on them, each in their own name, about the bytes that they saw."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from mcp_agentspawn.core.digest import proposal_digest
from mcp_agentspawn.core.errors import Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.core.model import Approval, Proposal
from tests.builders import NOON
from tests.cli.office import HIGH, MEDIUM, Office, office


def test_open_proposals_are_listed_with_who_asks_what_for_and_how_far_it_is() -> None:
    at_work = office(**MEDIUM)
    proposal = at_work.propose()
    at_work.tamper(proposal, request=replace(proposal.request, purpose="Find \u202eout"))

    result = at_work.run("proposals")

    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"{proposal.id}  risk medium, 0 of 1 approvals",
        "  open until 2026-11-21 13:00:00 UTC",
        "  | agents/orchestrator asks for researcher",
        r"  | Find \u{202e}out",
    ]


def test_ended_proposals_are_listed_only_when_all_are_asked_for() -> None:
    at_work = office()
    agent = at_work.spawn()
    expiring = at_work.propose(purpose="Another")
    at_work.bench.clock.advance(hours=2)

    assert at_work.run("proposals").output == "No proposal waits for people.\n"
    listed = at_work.run("proposals", "--all").output
    assert f"{agent}  risk low, nobody has to approve\n  applied" in listed
    assert f"{expiring.id}  risk low, nobody has to approve\n  expired" in listed


def test_only_what_waits_for_people_is_listed_and_the_other_open_ones_are_counted() -> None:
    at_work = office(**MEDIUM)
    waiting, approved, denied, low = (at_work.propose(purpose=each) for each in ("one", "two", "three", "four"))
    at_work.forge(low, risk="low")
    at_work.run("approve", approved.id)
    at_work.run("deny", denied.id)

    listed = at_work.run("proposals").output.splitlines()
    everything = at_work.run("proposals", "--all").output

    assert [line for line in listed if line.startswith("sub-")] == [f"{waiting.id}  risk medium, 0 of 1 approvals"]
    assert listed[-1] == "Other open proposals, which wait for nobody: 3 (--all lists them)"
    assert all(each.id in everything for each in (waiting, approved, denied, low))
    assert "wait for nobody" not in everything


def test_what_nobody_has_to_approve_is_not_approved_but_may_be_denied() -> None:
    at_work = office()
    proposal = at_work.propose()

    approved = at_work.run("approve", proposal.id)
    assert (approved.exit_code, at_work.decisions(proposal)) == (1, [])
    assert "Nobody has to approve" in approved.stderr

    assert at_work.run("deny", proposal.id).exit_code == 0
    assert [approval.decision for approval in at_work.decisions(proposal)] == ["deny"]


def test_an_approval_is_bound_to_the_proposal_its_digest_and_the_person() -> None:
    at_work = office(**MEDIUM)
    proposal = at_work.propose()

    result = at_work.run("approve", proposal.id, "--digest", proposal.digest, "--reason", "Looks good")

    (stored,) = at_work.decisions(proposal)
    assert result.exit_code == 0
    assert proposal.digest in result.output
    assert "1 of 1 approvals" in result.output
    assert stored == Approval(
        stored.name, proposal.id, proposal.uid, proposal.digest, "approve", "alice", "Looks good", NOON
    )
    assert stored.name.startswith(f"{proposal.id}.")


def test_a_high_risk_is_approved_only_when_two_people_have() -> None:
    at_work = office(**HIGH)
    proposal = at_work.propose()

    assert "1 of 2 approvals" in at_work.run("approve", proposal.id).output
    assert "1 of 2 approvals" in at_work.run("approve", proposal.id).output
    assert "2 of 2 approvals" in at_work.as_("bob").run("approve", proposal.id).output
    assert [approval.decider for approval in at_work.decisions(proposal)] == ["alice", "bob"]


def test_saying_the_same_again_is_fine_and_stores_nothing() -> None:
    at_work = office(**MEDIUM)
    proposal = at_work.propose()

    codes = [at_work.run("deny", proposal.id).exit_code for _ in range(2)]

    assert codes == [0, 0]
    assert len(at_work.decisions(proposal)) == 1


def test_one_denial_is_enough_and_may_follow_an_own_approval() -> None:
    at_work = office(**MEDIUM)
    proposal = at_work.propose()

    at_work.run("approve", proposal.id)
    result = at_work.run("deny", proposal.id, "--reason", "On second thought")

    assert result.exit_code == 0
    assert "denied" in result.output
    assert {approval.decision for approval in at_work.decisions(proposal)} == {"approve", "deny"}


def test_an_approval_does_not_undo_an_own_denial_and_says_what_does() -> None:
    at_work = office(**MEDIUM)
    proposal = at_work.propose()

    at_work.run("deny", proposal.id)
    (denial,) = at_work.decisions(proposal)
    result = at_work.run("approve", proposal.id)

    assert result.exit_code == 1
    assert denial.name in result.output
    assert at_work.decisions(proposal) == [denial]


def test_another_digest_than_the_one_that_was_seen_is_not_approved() -> None:
    at_work = office(**MEDIUM)
    proposal = at_work.propose()

    result = at_work.run("approve", proposal.id, "--digest", "sha256:0")

    assert result.exit_code == 1
    assert at_work.decisions(proposal) == []


@pytest.mark.parametrize("command", ["show", "approve", "deny"])
def test_a_proposal_whose_digest_is_not_that_of_its_bytes_is_refused_loudly(command: str) -> None:
    at_work = office(**MEDIUM)
    proposal = at_work.propose()
    at_work.tamper(proposal, manifest=proposal.manifest.replace("search", "delete"))

    result = at_work.run(command, proposal.id)

    assert result.exit_code == 1
    assert result.output.startswith("DO NOT APPROVE ")
    assert "delete" not in result.output
    assert at_work.decisions(proposal) == []


@pytest.mark.parametrize("manifest", ['{"a":1,"a":2}', '{"a": 1}', "{", "[" * 100_000])
def test_a_manifest_that_may_read_in_two_ways_is_refused_although_its_digest_fits(manifest: str) -> None:
    at_work = office(**MEDIUM)
    proposal = at_work.propose()
    changed = replace(proposal, manifest=manifest)
    at_work.tamper(proposal, manifest=manifest, digest=_digest(changed))

    assert at_work.run("approve", proposal.id).exit_code == 1
    assert at_work.decisions(proposal) == []


def _digest(proposal: Proposal) -> str:
    return proposal_digest(proposal.manifest, proposal.grant)


@pytest.mark.parametrize("command", ["approve", "deny"])
@pytest.mark.parametrize("end", ["expired", "lapsed", "applied"])
def test_a_proposal_that_is_over_is_not_decided_and_says_why(command: str, end: str) -> None:
    at_work = office()
    proposal = at_work.stored(at_work.spawn()) if end == "applied" else at_work.propose()
    if end == "lapsed":
        at_work.tamper(proposal)
        _mark(at_work, at_work.stored(proposal.id))
    if end == "expired":
        at_work.bench.clock.time = proposal.expires_at

    result = at_work.run(command, proposal.id)

    assert result.exit_code == 1
    assert {"expired": "time is over", "lapsed": "withdrawn", "applied": "been made"}[end] in result.output
    assert at_work.decisions(proposal) == []


def _mark(at_work: Office, proposal: Proposal) -> None:
    asyncio.run(at_work.world.proposals.mark(proposal, "lapsed"))


def test_a_proposal_that_there_is_not_is_1() -> None:
    at_work = office()

    results = [at_work.run(command, "sub-none") for command in ("show", "approve", "deny")]

    assert {result.exit_code for result in results} == {1}
    assert all("agentspawn proposals --all" in result.stderr for result in results)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("forbidden.policy", "no \u202e, you"), 1),
        (Unavailable("nobody \x1b[2J there"), 3),
        (UnknownOutcome("perhaps \u200b"), 3),
    ],
)
def test_what_the_api_server_says_is_an_exit_code_and_escaped(error: Refused | Unavailable, code: int) -> None:
    result = Office(office().bench, failing=error).run("approve", "sub-x")

    assert result.exit_code == code
    assert result.output.rstrip("\n").isascii()
    assert result.output.rstrip("\n").isprintable()
    if isinstance(error, Refused):
        assert result.output.startswith("forbidden.policy: ")


def test_a_decision_that_does_not_count_is_nobodys() -> None:
    at_work = office(**MEDIUM)
    proposal = at_work.propose()
    good = Approval("name", proposal.id, proposal.uid, proposal.digest, "approve", "alice")
    for bad in (
        replace(good, name="1", proposal_uid="another"),
        replace(good, name="2", digest="sha256:0"),
        replace(good, name="3", decider="system:serviceaccount:agents:orchestrator"),
        replace(good, name="4", decider="agentspawn:agents:orchestrator"),
        replace(good, name="5", proposal="sub-another"),
    ):
        _store(at_work, bad)
    at_work.bench.clock.time = proposal.expires_at + timedelta(seconds=1)
    _store(at_work, good)

    shown = at_work.run("show", proposal.id).output

    assert "0 of 1 approvals" in shown
    assert shown.count("DOES NOT COUNT") == 5


def test_decisions_are_listed_once_to_show_a_proposal(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = office(**MEDIUM)
    proposal = at_work.propose()
    at_work.run("approve", proposal.id)
    monkeypatch.setattr(at_work.world.approvals, "of", None)

    assert "1 of 1 approvals" in at_work.run("show", proposal.id).output


def _store(at_work: Office, approval: Approval) -> None:
    asyncio.run(at_work.world.approvals.create(approval))


def test_a_reason_has_a_bound() -> None:
    assert office().run("approve", "sub-x", "--reason", "x" * 501).exit_code == 2
