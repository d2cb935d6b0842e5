"""Files of templates and policies, torn and twisted: they are refused with a line, or they can be worked with."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from mcp_agentspawn.adapters.files import examine
from mcp_agentspawn.adapters.files.folder import Folder
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.answers import Proposed, Refusal
from mcp_agentspawn.operations.consistency import misfits
from mcp_agentspawn.operations.propose import propose
from tests.builders import CALLER, RESEARCHER, ROOT, ask, bench
from tests.fuzz.dice import Bounds, Dice

REPOSITORY = Path(__file__).parents[2]
SOAK = bool(os.environ.get("SOAK"))
INPUTS = 15_000 if SOAK else 300
LINE = "researcher.yaml:"
SAMPLES: dict[str, list[Any]] = {
    kind: [yaml.safe_load(file.read_text()) for file in sorted((REPOSITORY / kind).glob("*.yaml"))]
    for kind in ("templates", "policies")
}

pytestmark = pytest.mark.timeout(3600 if SOAK else 120)


def _content(dice: Dice, documents: list[Any]) -> bytes:
    """A file: a sample with other values, or with other bytes, or both."""
    document = dice.choice(documents)
    twisted = dice.mutated(document, times=3) if dice.random() < 0.7 else document
    text = yaml.safe_dump(twisted, sort_keys=dice.random() < 0.5, default_flow_style=dice.choice([None, False, True]))
    content = text.encode("utf-8", "surrogatepass")
    return dice.torn(content) if dice.random() < 0.4 else content


def _read(folder: Path, content: bytes, model: type[BaseModel]) -> Folder[Any]:
    """What the server makes of it; whatever is wrong is said on one line that names the file."""
    (folder / "researcher.yaml").write_bytes(content)
    read = examine(folder, model)
    assert bool(read.values) != bool(read.problems)
    for problem in map(str, read.problems):
        assert LINE in problem
        assert problem.isprintable(), problem
    return read


async def test_a_twisted_template_is_refused_or_can_be_proposed_from(tmp_path: Path) -> None:
    bounds, accepted = Bounds(INPUTS), 0
    for number in range(INPUTS):
        seed = f"templates {number}"
        with bounds.one(seed):
            read = _read(tmp_path, _content(Dice(seed), [RESEARCHER, *SAMPLES["templates"]]), Template)
            for template in read.values.values():
                accepted += 1
                await _is_proposed_from(template)
    bounds.check_memory()
    assert 0 < accepted < INPUTS


async def test_a_twisted_policy_is_refused_or_judges(tmp_path: Path) -> None:
    bounds, accepted = Bounds(INPUTS), 0
    for number in range(INPUTS):
        seed = f"policies {number}"
        with bounds.one(seed):
            read = _read(tmp_path, _content(Dice(seed), SAMPLES["policies"]), Policy)
            for policy in read.values.values():
                accepted += 1
                await _judges(policy)
    bounds.check_memory()
    assert 0 < accepted < INPUTS


async def _is_proposed_from(template: Template) -> None:
    setup = bench()
    setup.rules.templates["researcher"] = template
    setup.world.furnish(setup.rules.templates)
    list(misfits(setup.rules.templates, setup.rules.policies))
    topic = next(iter(template.parameters.get("properties", {})), "topic")
    await _answers(setup, ask(parameters=((topic, "Kubernetes admission"),)))
    await _answers(setup, ask(parameters=()))


async def _judges(policy: Policy) -> None:
    setup = bench()
    setup.rules.policies["default"] = policy
    list(misfits(setup.rules.templates, setup.rules.policies))
    policy.callers.match(ROOT)
    await _answers(setup, ask())


async def _answers(setup: Any, wanted: Any) -> None:
    answer = await propose(setup.services, CALLER, wanted)
    assert isinstance(answer, Proposed | Refusal)
    if isinstance(answer, Refusal):
        assert answer.reasons
        assert not [reason.code for reason in answer.reasons if reason.code.endswith(".unanswered")], answer
