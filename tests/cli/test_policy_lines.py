"""From a reason code to the line of a policy."""

from pathlib import Path

import pytest

from mcp_agentspawn.adapters.files import examine
from mcp_agentspawn.cli.policy_lines import NAMED_OTHERWISE, PolicyLine, key_behind, line_behind, lines_behind
from mcp_agentspawn.guards import Policy
from tests.builders import registry_entry

TEXT = """\
callers: {namespaces: [agents]}
quota:
  open_proposals: 4
approval: {wait: 2h}
"""


def behind(folder: Path, code: str) -> PolicyLine | None:
    (folder / "default.yaml").write_text(TEXT)
    return line_behind(examine(folder, Policy), "default", code)


@pytest.mark.parametrize(("code", "field"), NAMED_OTHERWISE.items())
def test_codes_that_bear_another_name_than_their_key_have_one(code: str, field: str) -> None:
    assert key_behind(code)[1:] == ((field,) if code.partition(".")[0] in Policy.model_fields else ())


@pytest.mark.parametrize(
    ("code", "key"),
    [
        ("quota.live_per_parent", ("quota", "live_per_parent")),
        ("quota.unanswered", ("quota",)),
        ("crd.violation", ("crd",)),
        ("access.forbidden.rbac", ("access",)),
        ("proposal.expired", ()),
        ("policy.none", ()),
    ],
)
def test_a_code_names_a_key_or_else_its_section(code: str, key: tuple[str, ...]) -> None:
    assert key_behind(code) == key


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("quota.open_proposals", "{folder}/default.yaml:3: quota.open_proposals: 4"),
        ("quota.open_per_root", "{folder}/default.yaml:3: quota.open_proposals: 4"),
        ("quota.unanswered", '{folder}/default.yaml:2: quota: {"open_proposals":4}'),
        ("quota.live_per_parent", "default of agentspawn: quota.live_per_parent: 3"),
        ("rate.changes_per_minute_per_root", "default of agentspawn: rate.changes_per_minute: 10"),
        ("approval.wait", '{folder}/default.yaml:4: approval.wait: "2h"'),
        ("approval.long_life", 'default of agentspawn: approval.long_life: "240m"'),
        ("template.not_allowed", "default of agentspawn: template.allow: []"),
        ("freeze.frozen", "default of agentspawn: freeze: {}"),
    ],
)
def test_the_line_is_the_one_that_decides(tmp_path: Path, code: str, said: str) -> None:
    assert str(behind(tmp_path, code)) == said.replace("{folder}", str(tmp_path))


def test_no_line_stands_behind_what_no_policy_decides(tmp_path: Path) -> None:
    assert behind(tmp_path, "proposal.expired") is None


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    line = PolicyLine("", 0, "template.allow", ["x" * 200])

    assert str(line).endswith("xxx...")
    assert len(str(line)) < 150


SEES = """\
registry:
  see:
    - {registry: main, namespaces: [elsewhere]}
    - registry: main
      namespaces: ["*"]
    - {registry: main, namespaces: [default], labels: {team: nobody}}
"""


def test_behind_what_is_said_of_an_entry_stands_the_rule_that_shows_it(tmp_path: Path) -> None:
    (tmp_path / "default.yaml").write_text(SEES)
    read = examine(tmp_path, Policy)
    (line,) = lines_behind(read, "default", "registry.no_template", [registry_entry(namespace="default")])
    shown = lines_behind(read, "default", "registry.no_template", [registry_entry(namespace="elsewhere")])
    hidden = lines_behind(read, "default", "registry.unknown_entry", [])

    assert (line.line, line.key, line.value) == (4, "registry.see[1]", {"registry": "main", "namespaces": ["*"]})
    assert [one.line for one in shown] == [3, 4]
    assert [(one.line, one.key) for one in hidden] == [(2, "registry.see")]
    assert lines_behind(read, "default", "proposal.expired", []) == []
