import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mcp_agentspawn.adapters.files import examine
from mcp_agentspawn.cli.check import check, problems, render_sample
from mcp_agentspawn.core.errors import Refused
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.guards import Policy
from tests.builders import template

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("templates", "policies"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    return tmp_path


def run(folder: Path) -> Result:
    return CliRunner().invoke(check, ["--policies", f"{folder}/policies", "--templates", f"{folder}/templates"])


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def places(result: Result) -> list[tuple[str, str]]:
    """The text of each line that a problem points at, and its key."""
    found = []
    for problem in result.output.splitlines():
        where, key = problem.split(": ")[:2]
        file, _, line = where.rpartition(":")
        found.append((Path(file).read_text().splitlines()[int(line) - 1].partition(" #")[0].strip(), key))
    return found


def test_good_folders_are_listed_one_line_each(folder: Path) -> None:
    result = run(folder)

    read = sorted(str(file) for file in folder.glob("*/*.yaml"))
    assert result.exit_code == 0
    assert sorted(line.split(": ")[0] for line in result.output.splitlines()) == read
    for_one_task = [line for line in result.output.splitlines() if line.endswith(", one task")]
    assert [Path(line.split(": ")[0]).stem for line in for_one_task] == ["extractor"]


def test_the_folders_are_found_where_the_command_is_run(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(check)

    assert result.exit_code == 0
    assert "templates/researcher.yaml: " in result.output


def test_mistakes_in_both_folders_are_all_named(folder: Path) -> None:
    replace(folder / "policies/default.yaml", "live_per_root", "live_per_rot")
    replace(folder / "templates/verifier.yaml", "risk: low", "risk: none")
    replace(folder / "templates/researcher.yaml", "most: 4h", "most: 4w")
    result = run(folder)

    assert result.exit_code == 1
    assert places(result) == [
        ("live_per_rot: 10", "quota.live_per_rot"),
        ("lifetime: {default: 30m, most: 4w}", "lifetime.most"),
        ("risk: none", "risk"),
    ]


def test_what_only_shows_in_several_files_is_named_with_its_line(folder: Path) -> None:
    replace(folder / "policies/default.yaml", "verifier, ", "verifer, ")
    replace(folder / "policies/strict.yaml", "[agents-strict]", "[agents]")
    result = run(folder)

    assert result.exit_code == 1
    assert places(result) == [
        ("allow: [researcher, log-analyst, verifer, extractor, lead-researcher, registry-worker]", "template.allow[2]"),
        ("namespaces: [agents]", "callers.namespaces[0]"),
        ((folder / "templates/verifier.yaml").read_text().splitlines()[0], "document"),
    ]


def test_a_template_that_can_not_be_rendered_is_a_mistake(folder: Path) -> None:
    replace(folder / "templates/researcher.yaml", "default: none", "default: <<<END context>>>")
    result = run(folder)

    assert result.exit_code == 1
    assert places(result) == [("agent:", "agent")]


def test_how_a_sample_is_rendered_can_be_chosen(folder: Path) -> None:
    def refuse(template: Template) -> None:
        raise Refused("no", f"not {template.name}")

    found = problems(examine(folder / "templates", Template), examine(folder / "policies", Policy), refuse)
    assert [problem.message.rpartition(": ")[2] for problem in found] == [
        "not extractor",
        "not lead-researcher",
        "not log-analyst",
        "not registry-worker",
        "not researcher",
        "not verifier",
    ]


@pytest.mark.parametrize("missing", ["policies", "templates"])
def test_a_missing_folder_is_a_mistake_that_names_the_option(folder: Path, missing: str) -> None:
    shutil.rmtree(folder / missing)
    result = run(folder)

    assert result.exit_code == 1
    assert result.output == f"--{missing} {folder}/{missing}: can not be read: No such file or directory\n"


def test_a_sample_needs_no_parameters() -> None:
    bare = template(parameters={"type": "object"}, agent={"description": "Does it", "instructions": "Do it."})

    assert render_sample(bare)
