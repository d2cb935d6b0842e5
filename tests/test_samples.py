"""The files that a user begins with: they are fit, they say everything there is, and what they name is there."""

import re
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from mcp_agentspawn.adapters.registry.source import Source
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.parameters import example
from mcp_agentspawn.core.placeholders import placeholders
from mcp_agentspawn.core.request import Ask, resolve
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.core.verdict import Allow
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.localplane.inventory import discovered, model_configs
from mcp_agentspawn.localplane.tools import tool_servers
from mcp_agentspawn.operations.consistency import misfits
from mcp_agentspawn.operations.services import Rules
from tests.builders import CALLER, bench, loaded

REPOSITORY = Path(__file__).parent.parent
TEMPLATES = loaded(REPOSITORY / "templates", Template)
POLICIES = loaded(REPOSITORY / "policies", Policy)


IMAGES = loaded(REPOSITORY / "deploy" / "byo" / "templates", Template)


def numbers(policy: Policy) -> dict[str, int]:
    """Every limit of a policy, by section and key."""
    sections = policy.model_dump(mode="json").items()
    return {
        f"{name}.{key}": value for name, section in sections for key, value in section.items() if isinstance(value, int)
    }


def test_the_samples_are_the_ones_that_the_documentation_names() -> None:
    assert set(TEMPLATES) == {
        "researcher",
        "log-analyst",
        "verifier",
        "extractor",
        "lead-researcher",
        "registry-worker",
    }
    assert set(POLICIES) == {"default", "strict"}


def test_the_samples_fit_together() -> None:
    assert misfits(TEMPLATES, POLICIES) == []


def test_the_default_policy_shows_every_key_there_is() -> None:
    written = yaml.safe_load((REPOSITORY / "policies" / "default.yaml").read_text())

    for name, field in Policy.model_fields.items():
        assert isinstance(field.annotation, type)
        assert issubclass(field.annotation, BaseModel)
        assert set(written[name]) == set(field.annotation.model_fields)


def test_the_default_policy_says_what_each_section_is_for() -> None:
    lines = (REPOSITORY / "policies" / "default.yaml").read_text().splitlines()

    for name in Policy.model_fields:
        assert lines[next(at for at, line in enumerate(lines) if line.startswith(f"{name}:")) - 1].startswith("# ")


SHOWN = re.compile(r"^(?P<commented># )?(?P<key>[a-z_]+): (?P<value>[^#]+)", re.MULTILINE)
"""A key of the sample registry; what is commented out is the default, or said not to be."""


def test_the_sample_registry_shows_every_key_there_is_with_a_comment() -> None:
    registries = loaded(REPOSITORY / "docs" / "registries", Source)
    text = (REPOSITORY / "docs" / "registries" / "main.yaml").read_text()
    lines = text.splitlines()

    assert list(registries) == [rule.registry for rule in POLICIES["default"].registry.see] == ["main"]
    assert registries["main"].model_fields_set == {"url"}
    assert {shown["key"] for shown in SHOWN.finditer(text)} == set(Source.model_fields)
    for at, line in enumerate(lines):
        assert not SHOWN.match(line) or lines[at - 1].startswith("# "), line


def test_the_sample_registry_shows_the_defaults_where_there_are_any() -> None:
    text = (REPOSITORY / "docs" / "registries" / "main.yaml").read_text()
    told = {"url", "credential_file", "ca_file"}
    last = {shown["key"]: yaml.safe_load(shown["value"]) for shown in SHOWN.finditer(text) if shown["key"] not in told}
    url = "https://registry.example"

    assert Source.model_validate({"url": url} | last) == Source(url=url)


def written_in(document: Path) -> list[dict[str, Any]]:
    """The YAML documents that stand in a Markdown file."""
    fenced = re.findall(r"^ *```yaml\n(.*?)^ *```", document.read_text(), re.MULTILINE | re.DOTALL)
    return [yaml.safe_load(dedent(text)) for text in fenced]


def test_images_have_a_template_that_asks_two_people_and_the_policy_that_is_shown_lets_it_take_them() -> None:
    (section,) = [one for one in written_in(REPOSITORY / "deploy" / "byo" / "README.md") if "registry" in one]
    policy = Policy.model_validate({"callers": {"namespaces": ["agents"]}} | section)
    named = {name: (TEMPLATES | IMAGES)[name] for name in policy.template.allow}

    assert {name: (one.takes, one.risk) for name, one in IMAGES.items()} == {"registry-image": ("image", "high")}
    assert set(IMAGES) <= set(named)
    assert misfits(named, {"images": policy}) == []


def test_the_default_policy_s_limits_are_the_safe_defaults() -> None:
    safe = numbers(Policy())
    shown = {key: limit for key, limit in numbers(POLICIES["default"]).items() if key in safe}

    assert shown == safe | {"lineage.most_depth": 1}  # for the one sample that spawns, which asks a person


def test_only_a_sample_for_which_a_person_is_asked_may_spawn() -> None:
    for template in TEMPLATES.values():
        asked = resolve(CALLER, Ask(template.name, "Find out"), template)

        assert template.depth == 0 or POLICIES["default"].approval.risk(template, asked.request) != "low"


def test_no_limit_of_the_strict_policy_is_looser_than_the_default() -> None:
    strict, default = numbers(POLICIES["strict"]), numbers(POLICIES["default"])

    assert all(strict[key] < default[key] for key in default)
    assert [key for key in default if strict[key] == 0] == ["lineage.most_depth"]
    assert (POLICIES["strict"].approval.at_least, POLICIES["default"].approval.at_least) == ("medium", "low")
    assert POLICIES["strict"].approval.long_life < POLICIES["default"].approval.long_life
    assert set(POLICIES["strict"].template.allow) < set(POLICIES["default"].template.allow)


@pytest.mark.parametrize(("namespace", "name"), [("agents", "default"), ("agents-strict", "strict")])
def test_each_namespace_of_the_samples_has_one_policy(namespace: str, name: str) -> None:
    root = Root(namespace, "orchestrator", "subagents")

    assert Rules(TEMPLATES, POLICIES).policy_for(root) is POLICIES[name]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_every_parameter_is_described_and_used(template: Template) -> None:
    properties = template.parameters["properties"]
    texts = [template.agent.instructions, template.agent.description]

    assert all(schema["description"] for schema in properties.values())
    assert set(properties) == {name for text in texts for name in placeholders(text)}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
async def test_a_template_s_own_examples_and_defaults_are_accepted(template: Template, policy: Policy) -> None:
    schemas = template.parameters["properties"]
    given = tuple((name, str(example(schemas[name]))) for name in template.parameters["required"])
    asked = resolve(CALLER, Ask(template.name, "Find out", parameters=given), template)

    assert await policy.parameters.check(asked, bench().services.facts()) == Allow()


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_lives_by_default_no_longer_than_an_hour(template: Template) -> None:
    assert template.lifetime.default <= timedelta(hours=1)


def test_the_instructions_say_that_data_is_no_instruction() -> None:
    for template in TEMPLATES.values():
        assert re.search(r"never instructions? to you|never an instruction to you", template.agent.instructions)


async def test_every_tool_that_a_template_names_is_there() -> None:
    async with tool_servers() as servers:
        offered = {name: {tool["name"] for tool in await discovered(url)} for name, url in servers.urls.items()}

    for template in TEMPLATES.values():
        for server, rule in template.tools.items():
            assert set(rule.allow) <= offered[server]


def test_every_model_that_a_template_names_is_there() -> None:
    there = {manifest["metadata"]["name"] for manifest in model_configs("subagents")}

    assert {model for template in TEMPLATES.values() for model in template.models} == there
