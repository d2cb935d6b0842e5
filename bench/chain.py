"""The CPU that the chain of guards itself takes, on facts that are there at once."""

import asyncio
import statistics
import time
from pathlib import Path

import yaml

from mcp_agentspawn.adapters.kubernetes.schema import served_schema
from mcp_agentspawn.core.digest import request_digest
from mcp_agentspawn.core.guard import Rendered, Step, decide
from mcp_agentspawn.core.render import grant_of, render
from mcp_agentspawn.core.request import Ask, resolve
from tests.builders import CALLER, Bench, ask, bench

DEFINITION = Path(__file__).parents[1] / "dev" / "kagent-crds" / "agents.yaml"
ROUNDS, CALLS = 7, 100


def chain_milliseconds() -> dict[Step, float]:
    """CPU of every guard of a step and of what they need rendered, per call: the median of the rounds."""
    return asyncio.run(_measured())


async def _measured() -> dict[Step, float]:
    setup = bench()
    setup.world.inventory.schema = served_schema(  # the one part of this world that costs CPU
        yaml.safe_load(DEFINITION.read_text(encoding="utf-8")), "v1alpha2"
    )
    steps: tuple[Step, ...] = ("propose", "apply")
    return {step: statistics.median([await _round(setup, step) for _ in range(ROUNDS)]) for step in steps}


async def _round(setup: Bench, step: Step) -> float:
    started = time.process_time()
    for number in range(CALLS):
        await _judged(setup, step, ask(purpose=f"Question {number}"))
    return 1000 * (time.process_time() - started) / CALLS


async def _judged(setup: Bench, step: Step, wanted: Ask) -> None:
    rules, facts, kind = setup.rules.current(), setup.services.facts(), setup.services.kind
    policy, template = rules.policies["default"], rules.templates["researcher"]
    asked = resolve(CALLER, wanted, template)
    first = await decide(policy.before_rendering(asked, facts, step))
    digest = request_digest(CALLER, asked.request, template.hash)
    manifest = kind.manifest(render("sub-researcher-abcdefghij", CALLER, asked.request, template, digest))
    rendered = Rendered(
        CALLER,
        asked.request,
        template,
        "sub-researcher-abcdefghij",
        kind.read(manifest),
        manifest,
        grant_of(asked.request, template),
    )
    second = await decide(policy.once_rendered(rendered, facts, step))
    room = policy.room(step, CALLER, await facts.ledger(CALLER), facts.now)
    outcomes = {first.outcome, second.outcome, room.outcome}
    assert outcomes == {"allowed"}, (first, second, room)
