"""What comes in is bounded, what goes out repeats nothing, and what was written down can not be changed unseen."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
import structlog

from mcp_agentspawn.composing import read_heads
from mcp_agentspawn.core.audit_verify import verify
from mcp_agentspawn.core.ledger import Head
from tests.attacks.battlefield import Battlefield, served_on
from tests.attacks.orchestrators import TOPIC, Orchestrator, codes, message
from tests.faults.replicas import kubeconfig

CANARY = "kingfisher-over-quiet-water"


def _call(tool: str = "propose_subagent", /, **arguments: Any) -> Any:
    return message("tools/call", name=tool, arguments=arguments)


FLOODS: dict[str, Any] = {
    "a prompt of a megabyte": _call(template="researcher", purpose="x" * 2**20),
    "ten thousand tools": _call(template="researcher", purpose="x", tools=["web-search/search"] * 10_000),
    "ten thousand parameters": _call(template="researcher", purpose="x", parameters=[TOPIC] * 10_000),
    "ten thousand arguments": message(
        "tools/call", name="propose_subagent", arguments={f"a{number}": 1 for number in range(10_000)}
    ),
    "an argument that is deep": json.dumps(_call(template="DEEP")).replace('"DEEP"', "[" * 10_000 + "]" * 10_000),
    "half a message": json.dumps(_call(template="researcher"))[:-9],
    "an argument that nobody knows": _call(template="researcher", purpose="x", unknown="x"),
    "an argument of another type": _call(template=["researcher"], purpose={"x": 1}),
    "a number beyond numbers": _call(template="researcher", purpose="x", lifetime_minutes=10**300),
    "a name of a megabyte": _call("get_subagent", agent="a" * 2**20),
    "a tool of a megabyte": _call("x" * 2**20),
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_what_is_too_large_too_deep_or_unknown_is_refused_shortly(field: Battlefield, flood: str) -> None:
    caller = await field.anyone()
    answered = await caller.post(FLOODS[flood])

    assert answered.status_code in {200, 400, 413}
    assert len(answered.content) < 16_384
    if answered.status_code == 200 and "result" in answered.json():
        assert codes(answered.json()["result"]["structuredContent"]) <= {"arguments.invalid", "parameters.repeated"}
    assert await field.cluster.proposals_of(caller.root) == []


async def test_what_was_said_in_confidence_is_in_no_log_no_refusal_and_no_audit(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    secret = [{"name": "topic", "value": CANARY}]
    with structlog.testing.capture_logs() as logs:
        agent = await orchestrator.spawn(CANARY, parameters=secret)
        refused = [
            await orchestrator.propose(CANARY, parameters=secret, model="other-model"),
            await orchestrator.propose(CANARY * 100, parameters=secret),
            await orchestrator.propose("x", parameters=[TOPIC, {"name": CANARY, "value": CANARY}, *secret]),
            await orchestrator.propose("x", parameters=[{"name": "topic", "value": f"{CANARY}\u202e"}]),
        ]
        await orchestrator.call("retire_subagent", agent=agent, reason=CANARY)
    kept = [*logs, *(file.read_text(encoding="utf-8") for file in field.audit_files), *refused[:2]]
    kept.append(await field.cluster.ledger_of(orchestrator.root))

    assert [entry for entry in kept if CANARY in str(entry) or orchestrator.token in str(entry)] == []
    assert {answer["outcome"] for answer in refused} == {"denied"}
    assert [answer for answer in refused[3:] if CANARY in str(answer)] == []


async def test_a_name_makes_no_line_in_a_log_or_the_audit(field: Battlefield, orchestrator: Orchestrator) -> None:
    forged = 'x","event":"apply.outcome"}\n{"event":"forged"}'
    await orchestrator.propose(template=forged)
    await orchestrator.propose(model=forged)
    await orchestrator.retire(forged)
    lines = field.audit_files[0].read_text(encoding="utf-8").splitlines()

    assert all(json.loads(line).get("event") != "forged" for line in lines)


def _edited(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-2], lines[-2].replace(b"agents/attack", b"agents/nobody"), lines[-1]]


ALTERATIONS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a line that was changed": _edited,
    "a line that was taken out": lambda lines: [*lines[:-3], *lines[-2:]],
    "two lines in another order": lambda lines: [*lines[:-3], lines[-2], lines[-3], lines[-1]],
    "a line twice": lambda lines: [*lines, lines[-1]],
    "a tail that was cut": lambda lines: lines[:-4],
    "a beginning that was cut": lambda lines: lines[1:],
    "half a line": lambda lines: [*lines[:-1], lines[-1][:20]],
}


class Log(NamedTuple):
    """The audit of a server under which a subagent came and went, and what the ledgers know of it."""

    lines: list[bytes]
    heads: Sequence[Head]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def log(field: Battlefield, tmp_path_factory: pytest.TempPathFactory) -> Log:
    caller, file = await field.newcomer(), tmp_path_factory.mktemp("log") / "audit.jsonl"
    async with served_on(field, caller.root, file) as url:
        await caller.at(url).retire(await caller.at(url).spawn())
    heads = await read_heads(kubeconfig(field.cluster, caller.root))
    return Log(file.read_bytes().splitlines(keepends=True), heads)


@pytest.mark.parametrize("alteration", ALTERATIONS)
async def test_an_audit_that_was_altered_is_found_out(log: Log, alteration: str) -> None:
    assert verify(log.lines, log.heads).findings == ()
    assert verify(ALTERATIONS[alteration](log.lines), log.heads).findings != ()


async def test_a_line_of_another_log_is_found_out(field: Battlefield, log: Log) -> None:
    foreign = field.audit_files[0].read_bytes().splitlines(keepends=True)

    assert verify([*log.lines, foreign[-1]], log.heads).findings != ()


async def test_without_an_audit_nothing_is_changed(
    field: Battlefield, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    file = tmp_path / "audit.jsonl"
    async with served_on(field, orchestrator.root, file) as url:
        caller = orchestrator.at(url)
        proposal = await caller.propose()
        file.rename(file.with_suffix(".gone"))
        file.mkdir()
        answers = [await caller.propose("More"), await caller.apply(proposal)]

    assert [codes(answer) for answer in answers] == [{"server.unavailable"}] * 2
    assert await field.cluster.agents_of(orchestrator.root) == []
