"""What a whole life of a subagent leaves in a real log: who did what, and nothing that was said in confidence."""

# ruff: noqa: ASYNC240 - a test may block its loop

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mcp_agentspawn.adapters.audit_log import opened
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.operations.answers import Applied, Proposed
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.repair import repair
from mcp_agentspawn.operations.retire import retire
from mcp_agentspawn.operations.services import Services
from tests.audit_chain import codes, notes, verified
from tests.builders import CALLER, OTHER, ROOT, Bench, ask, bench

CANARY = "canary4711"


@dataclass
class Lived:
    """The bytes of the log, and the heads that the ledgers hold."""

    content: bytes
    heads: list[Head]


async def lived(path: Path) -> Lived:
    made = bench()
    async with opened(path, "agentspawn-0", made.clock) as audit:
        services = replace(made.services, audit=audit)
        await _live(made, services)
        await services.later.settle()
    ledgers = [await made.world.ledgers.look(root.name) for root in (ROOT, OTHER)]
    return Lived(path.read_bytes(), [head for ledger in ledgers for head in ledger.audit.values()])


async def _live(made: Bench, services: Services) -> None:
    secret = ask(purpose=f"Find out {CANARY}", parameters=(("topic", f"About {CANARY}"), ("notes", CANARY)))
    proposed = await propose(services, CALLER, secret)
    assert isinstance(proposed, Proposed)
    await services.later.settle()
    applied = await apply(services, CALLER, proposed.proposal, proposed.digest)
    assert isinstance(applied, Applied)
    await services.later.settle()
    await retire(services, CALLER, applied.agent, f"Because of {CANARY}")
    await services.later.settle()
    await propose(services, CALLER, replace(secret, parameters=(("topic", f"{CANARY}\u202e"), (CANARY, CANARY))))
    await propose(services, CALLER, replace(secret, template=CANARY, model=CANARY, tools=(f"web-search/{CANARY}",)))
    await apply(services, CALLER, CANARY, CANARY)
    await retire(services, CALLER, CANARY, CANARY)
    await propose(services, CALLER, secret)
    await services.later.settle()
    made.clock.advance(hours=1)
    await repair(services)


async def test_intent_and_outcome_of_every_change_are_there(tmp_path: Path) -> None:
    log = await lived(tmp_path / "audit.jsonl")

    events = [json.loads(line)["event"] for line in log.content.splitlines()]
    assert [event for event in events if event != "refused"] == [
        "segment",
        "proposal.intent",
        "proposal.outcome",
        "apply.intent",
        "apply.outcome",
        "retire.intent",
        "retire.outcome",
        "proposal.intent",
        "proposal.outcome",
        "repair.intent",
        "repair.outcome",
    ]
    assert events.count("refused") == 4


async def test_no_prompt_and_nothing_that_a_caller_made_up_is_there(tmp_path: Path) -> None:
    log = await lived(tmp_path / "audit.jsonl")

    assert CANARY.encode() not in log.content


@pytest.mark.parametrize("cut", [0, 1])
async def test_the_heads_in_the_ledgers_tell_whether_the_log_was_cut_before_them(tmp_path: Path, cut: int) -> None:
    log = await lived(tmp_path / "audit.jsonl")
    anchored = max(head.sequence for head in log.heads)

    kept = b"".join(log.content.splitlines(keepends=True)[: anchored - cut])

    assert codes(verified(kept, log.heads)) == ["cut"] * cut
    assert notes(verified(kept, log.heads)) == []
