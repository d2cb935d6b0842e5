"""`agentspawn search`: what a caller would find, and nothing of it can pass for what the command says."""

import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from mcp_agentspawn.cli import main
from mcp_agentspawn.cli import search as module
from mcp_agentspawn.cli.searching import document, lines
from mcp_agentspawn.composing import in_memory
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.registry import HANDLE
from mcp_agentspawn.core.text import written_out
from mcp_agentspawn.core.verdict import Reason
from mcp_agentspawn.localplane.registry.faults import Failing
from mcp_agentspawn.operations.answers import Hit, Hits, RegistryState
from mcp_agentspawn.operations.services import Rules
from tests.builders import RESEARCHER, SOME_HASH
from tests.cli.registries import POLICY, rules, said, stocked, write
from tests.cli.registries import run as run_beside

TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\u202e\u200b\x1b\r\u2028\\| \n")))
OURS = re.compile(
    r"\Z|under |[0-9]+\. (spawnable with|not spawnable|runs already)|Registries\Z|There is more|  --cursor "
)
BEHIND_GUTTER = re.compile(r" *([a-z][a-z ]*)? *[|:] ")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    rules(template={"allow": ["researcher", "registry-worker"]})
    write("templates/researcher", RESEARCHER)


def run(*arguments: str) -> Result:
    """A search that asks no registry."""
    return CliRunner().invoke(main, ["search", *arguments])


def handles(said: dict[str, Any]) -> list[str]:
    return [hit["handle"].partition("#")[0] for hit in said["hits"]]


async def test_a_server_s_settings_name_the_folders_of_a_command_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stocked():
        for name in ("policies", "templates", "registries"):
            (tmp_path / name).rename(tmp_path / f"other-{name}")
            monkeypatch.setenv(f"AGENTSPAWN_{name.upper()}", f"other-{name}")
        found = await said("search", "web research")
        checked = await said("registry", "check")

    assert found["policy"] == "other-policies/default.yaml"
    assert [state["registry"] for state in found["registries"]] == ["main"]
    assert [one["registry"] for one in checked["registries"]] == ["main"]


def test_a_setting_s_folder_of_registries_may_be_empty_but_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTSPAWN_REGISTRIES", "other-registries")
    missing = run("research")
    Path("other-registries").mkdir()
    empty = run("research")

    assert (missing.exit_code, empty.exit_code) == (1, 0)
    assert "--registries other-registries: " in missing.output


async def test_entries_and_templates_are_found_with_what_stands_in_their_way() -> None:
    async with stocked():
        found = await said("search", "web research")
    hits = {hit["handle"].partition("#")[0]: hit for hit in found["hits"]}
    entry = hits["main/default/web-researcher@stable"]

    assert hits["researcher"]["source"] == "template"
    assert (entry["spawnable"], entry["template"], entry["risk"]) == (True, "registry-worker", "medium")
    assert entry["matched"]
    assert [(state["registry"], state["freshness"]) for state in found["registries"]] == [("main", "fresh")]
    assert (found["policy"], found["outcome"]) == ("policies/default.yaml", "allowed")


async def test_people_read_the_same_and_can_copy_the_handle() -> None:
    async with stocked():
        result = await run_beside("search", "incident alerts", "--source", "main")
    lines = result.output.splitlines()

    assert result.exit_code == 0
    assert lines[0] == "under policies/default.yaml"
    assert "1. not spawnable" in lines
    assert [bool(HANDLE.match(line.strip())) for line in lines].count(True) >= 1
    assert "  name         | Incident Triage" in lines
    assert "  in the way   | registry.image_not_pinned: " in result.output
    assert re.search(r"^  main +\| fresh, as of ", result.output, re.MULTILINE)


async def test_a_registry_that_fails_is_named_and_the_others_and_the_templates_are_searched() -> None:
    names = {"see": [{"registry": name, "namespaces": ["*"]} for name in ("broken", "main", "nowhere")]}
    rules(template={"allow": ["researcher"]}, registry=names)
    async with stocked(), stocked() as broken:
        write("registries/broken", {"private_addresses": True, "url": broken.url})
        broken.inject(Failing(status=503))
        write("registries/main", {"private_addresses": True, "url": "http://127.0.0.1:1"})
        found = await said("search", "research")
        result = await run_beside("search", "research")

    assert handles(found) == ["researcher"]
    assert {one["registry"]: (one["freshness"], one["problems"]) for one in found["registries"]} == {
        "broken": ("away", ["registry.server_error"]),
        "main": ("away", ["registry.unreachable"]),
        "nowhere": ("away", ["registry.unknown"]),
    }
    assert result.exit_code == 0
    assert "  broken       | away: registry.server_error" in result.output.splitlines()
    assert "  nowhere      | not there" in result.output


async def test_pages_follow_each_other_by_the_cursor() -> None:
    async with stocked():
        first = await run_beside("search", "--limit", "8")
        cursor = first.output.splitlines()[-1].split()
        rest = await said("search", "--limit", "8", *cursor)
        whole = await said("search", "--limit", "50")

    assert cursor[0] == "--cursor"
    assert handles(rest) == handles(whole)[8:]
    assert (len(whole["hits"]), rest["next_cursor"]) == (12, "")


async def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir(mode=stat.S_IRWXU)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    async with stocked():
        result = await run_beside("search", "research")

    assert "| fresh" in result.output
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("there", [True, False])
def test_without_a_file_of_a_registry_templates_are_found(*, there: bool) -> None:
    if there:
        Path("registries").mkdir()
    result = run("research")

    assert result.exit_code == 0
    assert "1. spawnable with template researcher, risk low" in result.output
    assert "  main         | not there" in result.output


def test_that_nothing_is_found_is_fine_and_said() -> None:
    result = run("zebra", "--label", "nothing")

    assert (result.exit_code, "Nothing is found." in result.output.splitlines()) == (0, True)


@pytest.mark.parametrize(
    ("policies", "arguments", "code"),
    [
        ([POLICY], [], 0),
        ([POLICY, POLICY | {"callers": {"service_accounts": ["docs/writer"]}}], [], 2),
        ([POLICY, POLICY | {"callers": {"service_accounts": ["docs/writer"]}}], ["--root", "docs/writer"], 0),
        ([POLICY, POLICY], ["--root", "agents/orchestrator"], 1),
        ([POLICY | {"callers": {}}], [], 2),
        ([POLICY | {"callers": {"service_accounts": ["docs/writer"]}}], [], 0),
        ([POLICY], ["--root", "elsewhere/orchestrator"], 1),
        ([POLICY], ["--root", "orchestrator"], 2),
        ([POLICY], ["--cursor", "of another search"], 1),
        ([POLICY], ["--limit", "51"], 2),
        ([POLICY], ["--registries", "nowhere"], 1),
        ([POLICY], ["--kubeconfig", "policies/policy-0.yaml"], 2),
    ],
)
def test_whose_search_it_is_is_asked_where_it_could_be_several(
    policies: list[dict[str, Any]], arguments: list[str], code: int
) -> None:
    Path("policies/default.yaml").unlink()
    for number, policy in enumerate(policies):
        write(f"policies/policy-{number}", policy)

    assert run(*arguments).exit_code == code


@pytest.mark.parametrize(
    "arguments", [["\udcff"], ["--source", "\udcff"], ["--label", "\udcff"], ["--cursor", "\udcff"]]
)
def test_what_is_no_text_is_a_wrong_use(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_refusal_names_the_root_and_the_code() -> None:
    result = run("--root", "elsewhere/orchestrator")

    assert result.stderr.startswith("elsewhere/orchestrator: policy.none: ")
    assert result.stdout == ""


def test_a_cluster_says_what_is_there_and_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def looking(rules: Rules, root: Root, kubeconfig: Path) -> AsyncIterator[Any]:
        world, services = in_memory(rules, root)
        world.access.granted.clear()
        yield world, services

    monkeypatch.setattr(module, "looking", looking)
    Path("kubeconfig").touch()

    assert "Nothing is found." in run("--root", "agents/orchestrator", "--kubeconfig", "kubeconfig").output
    assert "researcher" in run("--root", "agents/orchestrator").output


def hit(**changes: Any) -> Hit:
    entry = Hit(
        handle=f"main/default/summarizer@stable#{SOME_HASH}",
        source="main",
        name="Summarizer",
        description="",
        labels=(),
        score=0.5,
        matched=(),
        spawnable=False,
        template="",
    )
    return replace(entry, **changes)


def page(*hits: Hit, **changes: Any) -> list[str]:
    return list(lines(document(Hits(hits=hits, **changes), "policies/default.yaml")))


def test_a_hidden_character_that_was_written_out_is_shown_as_everywhere_else() -> None:
    written = written_out("a\u200bb\u202e")
    found = page(hit(name=written, description=rf"{written} \u{{41}} \u{{a}}", labels=(f"team={written}",)))

    assert r"  name         | a\u{200b}b\u{202e}" in found
    assert r"  description  | a\u{200b}b\u{202e} \\u{41} \\u{a}" in found
    assert r"  labels       | team=a\u{200b}b\u{202e}" in found


@given(TEXT, TEXT)
def test_nothing_of_strangers_stands_before_a_gutter_or_can_hide(one: str, other: str) -> None:
    reason = Reason("registry.tool_server_unknown", one, "registry_entry")
    hostile = hit(name=one, description=other, labels=(one, other), matched=(other,), running=one, flags=(other,))
    state = RegistryState(registry="main", freshness="away", as_of="", age_seconds=-1, problems=(one,))
    found = page(replace(hostile, blocked_by=(reason,), template="worker"), registries=(state,))

    assert all(line.isprintable() for line in found)
    others = [line for line in found if not OURS.match(line) and not HANDLE.match(line.strip())]
    assert [line for line in others if not BEHIND_GUTTER.match(line)] == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"spawnable": True, "template": "worker", "risk": "medium"}, "1. spawnable with template worker, risk medium"),
        ({"running": "kagent/summarizer"}, "1. runs already"),
        ({"running": "kagent/summarizer"}, "  runs as      | kagent/summarizer"),
        ({"record": "3 of 4 tasks succeeded"}, "  record       | 3 of 4 tasks succeeded"),
        ({"template": "worker", "risk": "high"}, "  template     | worker would take it, risk high"),
        ({"labels": ("team=docs", "a=b")}, "  labels       | team=docs, a=b"),
        ({"matched": ("log (title)",)}, "  matched      | log (title); score 0.5"),
        (
            {"flags": ("content.injection",)},
            "  beware       | what it says of itself looks like content.injection, so it is last",
        ),
    ],
)
def test_what_a_hit_has_is_on_a_line(changes: dict[str, Any], line: str) -> None:
    assert line in page(hit(**changes))


async def test_what_is_logged_afterwards_is_logged_as_before() -> None:
    before = structlog.get_config()
    async with stocked():
        assert (await run_beside("search")).stderr == ""

    assert structlog.get_config() == before
