"""What the README says is what the code is."""

import re
from pathlib import Path

import pytest
import yaml

from mcp_agentspawn.adapters.registry.source import Source
from mcp_agentspawn.core.audit_line import SEGMENT
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.apply import ENTRY
from mcp_agentspawn.server import tools
from tests.builders import guard_names

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text()


def rows(heading: str) -> list[str]:
    """The first cells of the table below a heading cell, without their quotes."""
    table = README.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)


def test_the_guards_are_named_in_the_order_in_which_they_are_asked() -> None:
    assert [row.strip("`") for row in rows("guard")] == guard_names()


def test_every_tool_is_named() -> None:
    named = {name for row in rows("tool") for name in re.findall(r"`([a-z_]+)`", row)}

    assert named == {tool.name for tool in tools.TOOLS}


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        *(f"docs/{name}.md" for name in ("audit", "guarantees", "lifecycle", "threat-model")),
    ],
)
def test_every_link_and_every_named_file_is_there(document: str) -> None:
    text = (REPOSITORY / document).read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    paths = re.findall(r"`((?:mcp_agentspawn|deploy|policies|templates|tests|docs|bench)/[A-Za-z0-9_./-]+)`", text)

    assert [link for link in links if not ((REPOSITORY / document).parent / link).exists()] == []
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []


def test_every_reason_that_keeps_a_registry_entry_from_being_spawned_is_named() -> None:
    sources = [REPOSITORY / "mcp_agentspawn" / name for name in ("guards/registry.py", "operations/entries.py")]
    codes = {code for file in sources for code in re.findall(r'"(registry\.[a-z_]+)"', file.read_text())}
    named = {code for row in rows("code") for code in re.findall(r"`(registry\.[a-z_]+)`", row)}

    assert named == codes
    assert ENTRY.code in "".join(rows("code"))


def test_every_reason_that_a_task_comes_to_nothing_is_named() -> None:
    lifecycle = (REPOSITORY / "docs" / "lifecycle.md").read_text()
    operations = REPOSITORY / "mcp_agentspawn" / "operations"
    sources = [operations / f"{name}.py" for name in ("delegate", "tasks", "following")]
    codes = {code for file in sources for code in re.findall(r'"(task\.[a-z_]+)"', file.read_text())}
    events = {"task.intent", "task.outcome", "task.ended", "task.answered", "task.cancel"}

    assert {code for code in codes - events if f"`{code}`" not in lifecycle} == set()


def test_every_event_of_the_audit_is_named() -> None:
    named = (REPOSITORY / "docs" / "audit.md").read_text().partition("## Where it goes")[0]
    sources = [file.read_text() for file in (REPOSITORY / "mcp_agentspawn").rglob("*.py")]
    events = {event for text in sources for event in re.findall(r'\b_?[rR]ecord\(\s*"([a-z._]+)"', text)}

    assert {event for event in events | {SEGMENT} if f"`{event}`" not in named} == set()
    assert len(events) > 15


def test_the_files_that_are_shown_for_registries_are_fit() -> None:
    text = README.partition("## Search and registries")[2].partition("\n## ")[0]
    source, policy = (yaml.safe_load(shown) for shown in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))

    assert Source.model_validate(source).endpoint("main").credential_file
    assert list(Policy.model_validate(policy).view({}).registries) == ["main"]


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    named = set(re.findall(r"\bmake ([a-z]+)\b", README))

    assert {target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)} <= {"the"}
