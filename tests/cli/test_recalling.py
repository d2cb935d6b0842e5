"""Whoever was denied and asks again in other words is recognised."""

import asyncio
from dataclasses import replace

import pytest

from mcp_agentspawn.core.model import Approval, Caller, Proposal
from mcp_agentspawn.operations.answers import Proposed
from mcp_agentspawn.operations.propose import propose
from tests.builders import OTHER, ask
from tests.cli.office import MEDIUM, Office, office


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def denied(at_work: Office, proposal: Proposal, reason: str = "No") -> None:
    assert at_work.run("deny", proposal.id, "--reason", reason).exit_code == 0


def pages(at_work: Office, proposal: Proposal) -> list[str]:
    """What `show` and `proposals` print; of the latter what is about this proposal."""
    listed = at_work.run("proposals").output
    _, _, about = listed.partition(f"{proposal.id}  risk")
    return [at_work.run("show", proposal.id).output, about.partition("\nsub-")[0]]


def test_a_denial_of_the_same_root_and_template_is_recalled_with_who_when_and_which() -> None:
    at_work = office(**MEDIUM)
    first = at_work.propose(purpose="Delete everything")
    denied(at_work, first, "Never\nDigest")
    at_work.bench.clock.advance(minutes=5)
    again = at_work.propose(purpose="Tidy up")

    for page in pages(at_work, again):
        assert f"  denied before | alice, 2026-11-21 12:00:00 UTC: {first.id}\n" in page + "\n"
    shown = at_work.run("show", again.id).output
    assert "OTHERS WERE DENIED: 1 proposals of this root" in shown
    assert "    | Never\n    | Digest\n" in shown


def test_its_own_denial_is_not_one_of_another() -> None:
    at_work = office(**MEDIUM)
    proposal = at_work.propose()
    denied(at_work, proposal)

    assert all("denied before" not in page for page in pages(at_work, proposal))


def test_what_was_denied_a_day_ago_to_another_root_or_for_another_template_is_not_recalled() -> None:
    at_work = office(**MEDIUM)
    answer = asyncio.run(propose(at_work.bench.services, Caller(OTHER), ask(purpose="Another root")))
    assert isinstance(answer, Proposed)
    denied(at_work, at_work.stored(answer.proposal))
    other = at_work.propose(purpose="Another template")
    other = at_work.tamper(other, request=replace(other.request, template="another"))
    store(at_work, Approval("x", other.id, other.uid, other.digest, "deny", "alice"))
    at_work.run("approve", at_work.propose(purpose="Approved").id)
    assert all("denied before" not in page for page in pages(at_work, at_work.propose()))

    old = at_work.propose(purpose="Old")
    denied(at_work, old)
    at_work.bench.clock.advance(hours=24, seconds=1)
    assert all(f": {old.id}" not in page for page in pages(at_work, at_work.propose(purpose="New")))


def test_a_denial_outlasts_the_proposal_that_it_was_about() -> None:
    at_work = office(**MEDIUM)
    first = at_work.propose(purpose="Delete everything")
    denied(at_work, first)
    asyncio.run(at_work.world.proposals.delete(first))
    again = at_work.propose(purpose="Tidy up")

    for page in pages(at_work, again):
        assert f"{first.id}, which is gone: perhaps another root's" in page
    assert "others were denied: 1 proposals for this template" in at_work.run("show", again.id).output


def test_a_denial_of_something_that_is_gone_and_was_for_another_template_is_not_recalled() -> None:
    at_work = office(**MEDIUM)
    proposal = at_work.propose()
    for name in ("sub-another-abcdefghij", "sub-researcher-x-abcdefghij", proposal.id):
        store(at_work, Approval(f"{name}.x", name, "gone", "sha256:0", "deny", "alice"))

    assert all("denied before" not in page for page in pages(at_work, proposal))


def test_only_people_deny() -> None:
    at_work = office(**MEDIUM)
    first, again = at_work.propose(purpose="First"), at_work.propose(purpose="Again")
    store(
        at_work, Approval("x", first.id, first.uid, first.digest, "deny", "system:serviceaccount:agents:orchestrator")
    )

    assert all("denied before" not in page for page in pages(at_work, again))


def store(at_work: Office, approval: Approval) -> None:
    asyncio.run(at_work.world.approvals.create(approval))


def test_a_list_says_of_many_denials_how_many_there_are() -> None:
    at_work = office(**MEDIUM)
    for number in range(4):
        denied(at_work, at_work.propose(purpose=f"Try {number}"))
    again = at_work.propose(purpose="Tidy up")

    shown, listed = pages(at_work, again)

    assert (shown.count("denied before"), listed.count("denied before")) == (4, 3)
    assert "  and 1 more" in listed
