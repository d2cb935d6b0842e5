"""`agentspawn registry check`: every registry and every way in which it fails is named, with what could be spawned."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mcp_agentspawn.localplane.registry import Content, Published
from mcp_agentspawn.localplane.registry.faults import (
    Failing,
    Fault,
    HalfAPage,
    Huge,
    Redirect,
    SameCursor,
    Saying,
    Slow,
    WrongType,
)
from tests.cli.registries import POLICY, SEES, rules, run, said, stocked, write

CHECK = ("registry", "check")
NOWHERE = "http://127.0.0.1:1"
EVIL = "\x1b[2J\u202e\nmain: read whole\x07"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rules()


def counted(policy: dict[str, Any]) -> dict[str, int]:
    return {blocked["code"]: len(blocked["entries"]) for blocked in policy["blocked"]}


async def test_what_a_registry_holds_is_said_with_what_becomes_of_it() -> None:
    async with stocked():
        (main,) = (await said(*CHECK))["registries"]
    (policy,) = main["policies"]

    assert (main["registry"], main["read"], main["dialect"], main["entries"]) == ("main", "whole", "v0.4", 11)
    assert main["seconds"] > 0
    assert (policy["policy"], policy["found"], policy["spawnable"]) == ("policies/default.yaml", 11, 2)
    assert counted(policy) == {
        "registry.image_not_allowed": 6,
        "registry.image_not_pinned": 2,
        "registry.no_template": 8,
        "registry.nothing_to_run": 1,
        "registry.protocol": 1,
    }
    assert [(flag["code"], len(flag["entries"])) for flag in policy["flagged"]] == [("content.injection", 1)]


async def test_people_read_the_same_with_some_examples_and_the_line_behind_each_reason() -> None:
    async with stocked():
        result = await run(*CHECK, "--examples", "1")
    lines = result.output.splitlines()

    assert result.exit_code == 0
    assert lines[0].startswith("main: read whole in ")
    assert "  under policies/default.yaml: 11 found, 2 spawnable" in lines
    at = next(at for at, line in enumerate(lines) if "registry.image_not_allowed" in line)
    assert lines[at].endswith(" by default of agentspawn: registry.images: []")
    assert lines[at + 1 : at + 3] == ["      | default/cost-analyst@latest", "      | and 5 more"]


async def test_a_reason_that_no_key_of_a_policy_could_take_away_has_no_line() -> None:
    async with stocked():
        (main,) = (await said(*CHECK))["registries"]

    lines = {blocked["code"]: blocked["line"] for blocked in main["policies"][0]["blocked"]}
    assert {code for code, line in lines.items() if line} == {"registry.image_not_allowed", "registry.no_template"}
    assert ": registry.see[0]: " in lines["registry.no_template"]


async def test_without_examples_the_counts_stand_alone() -> None:
    async with stocked():
        result = await run(*CHECK, "--examples", "0")

    assert "6 can not be spawned: registry.image_not_allowed" in result.output
    assert "cost-analyst" not in result.output


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Failing(status=500), "registry.server_error"),
        (Failing(status=401), "registry.denied"),
        (Failing(status=404), "registry.not_found"),
        (Saying(), "registry.not_json"),
        (HalfAPage(), "registry.cut_short"),
        (Huge(megabytes=1), "registry.too_large"),
        (Redirect(to="http://127.0.0.2"), "registry.redirected"),
        (SameCursor(), "registry.cursor_loop"),
        (WrongType(at=("items",), value={}), "registry.dialect"),
        (Slow(), "registry.timeout"),
    ],
)
async def test_a_registry_that_fails_is_named_with_the_way_in_which_it_does(fault: Fault, code: str) -> None:
    async with stocked(timeout="1s", most_bytes=64 * 1024) as standin:
        standin.inject(fault)
        result = await run(*CHECK)

    assert result.exit_code == 1
    assert result.output.startswith("main: NOT READ in ")
    assert f" s: {code}: " in result.output.splitlines()[0]
    assert "spawnable" not in result.output


async def test_one_entry_that_can_not_be_read_leaves_a_part() -> None:
    async with stocked() as standin:
        standin.inject(WrongType(at=("items", 0, "metadata", "name"), value=7))
        result = await run(*CHECK)

    assert result.exit_code == 1
    assert result.output.startswith("main: READ IN PART in ")
    assert "  problem      | registry.unreadable_entry: 1" in result.output.splitlines()
    assert "spawnable" in result.output


async def test_each_registry_is_read_although_another_one_is_away() -> None:
    write("registries/away", {"private_addresses": True, "url": NOWHERE})
    async with stocked():
        result = await run(*CHECK)
        read = {one["registry"]: (one["read"], one["code"]) for one in (await said(*CHECK))["registries"]}

    assert result.exit_code == 1
    assert read == {"away": ("not", "registry.unreachable"), "main": ("whole", "")}
    assert "  policies     | none shows anything of it" in result.output


async def test_a_policy_that_shows_a_registry_that_there_is_not_is_named_with_its_line() -> None:
    write("policies/default", POLICY | {"registry": SEES | {"see": [*SEES["see"], {"registry": "mian"}]}})
    async with stocked():
        result = await run(*CHECK)
        (misfit,) = (await said(*CHECK))["misfits"]

    assert result.exit_code == 1
    assert (misfit["file"], misfit["key"]) == ("policies/default.yaml", "registry.see[1].registry")
    complaint = "registry.see[1].registry: there is no registry mian here; there are: main"
    assert f"policies/default.yaml:{misfit['line']}: {complaint}" in result.output.splitlines()
    assert '"mian"' in _line(misfit["line"])


def _line(number: int) -> str:
    return Path("policies/default.yaml").read_text(encoding="utf-8").splitlines()[number - 1]


async def test_each_policy_counts_what_its_own_callers_find() -> None:
    narrow = {"see": [{"registry": "main", "namespaces": ["default"], "labels": {"team": "docs"}}]}
    write("policies/narrow", {"callers": {"service_accounts": ["docs/writer"]}, "registry": narrow})
    write("policies/nobody", {"registry": SEES})
    write("policies/without", {"callers": {"namespaces": ["elsewhere"]}})
    async with stocked():
        (main,) = (await said(*CHECK))["registries"]

    assert {one["policy"]: (one["found"], one["spawnable"]) for one in main["policies"]} == {
        "policies/default.yaml": (11, 2),
        "policies/narrow.yaml": (1, 0),
        "policies/nobody.yaml": (11, 0),
    }


async def test_tool_servers_that_the_policy_does_not_know_are_named_with_counts() -> None:
    entries = [
        Published(name=name, instructions="Do it", mcp_servers=[(server, "1") for server in servers])
        for name, servers in {"a": ["fetch", "git"], "b": ["git", "slack"], "c": ["fetch"]}.items()
    ]
    async with stocked(Content(entries)):
        result = await run(*CHECK)
        (main,) = (await said(*CHECK))["registries"]

    assert main["policies"][0]["unknown_servers"] == {"git": 2, "slack": 1}
    at = result.output.splitlines().index("      not in registry.tools, and how many of these entries have it:")
    assert result.output.splitlines()[at + 1 : at + 3] == ["      | git: 2", "      | slack: 1"]


async def test_of_many_unknown_tool_servers_people_read_some() -> None:
    entry = Published(
        name="a", instructions="Do it", mcp_servers=[(f"server-{number:02}", "1") for number in range(25)]
    )
    async with stocked(Content([entry])):
        result = await run(*CHECK)

    assert "      | and 5 more (--json names all)" in result.output.splitlines()


@pytest.mark.parametrize(
    ("rule", "key", "has"),
    [
        ({"namespaces": ["defualt", "*"]}, "registry.see[0].namespaces[0]", "default, team-x"),
        ({"namespaces": ["*"], "labels": {"team": "dcos"}}, "registry.see[0].labels.team", "team=docs"),
        ({"namespaces": ["*"], "labels": {"tear": "docs"}}, "registry.see[0].labels.tear", "team=docs, tier=gold"),
        ({"namespaces": ["team-x"], "labels": {"team": "docs"}}, "registry.see[0]", ""),
        ({"namespaces": []}, "registry.see[0]", ""),
    ],
)
async def test_what_a_rule_names_and_the_registry_does_not_have_is_said_with_what_it_has(
    rule: dict[str, Any], key: str, has: str
) -> None:
    write("policies/default", POLICY | {"registry": {"see": [{"registry": "main"} | rule]}})
    entries = [
        Published(name="a", instructions="Do it", labels={"team": "docs"}),
        Published(name="b", namespace="team-x", instructions="Do it", labels={"tier": "gold"}),
    ]
    async with stocked(Content(entries)):
        result = await run(*CHECK)
        (main,) = (await said(*CHECK))["registries"]

    (one,) = main["policies"][0]["unmatched"]
    assert one["key"] == key
    assert one["message"].endswith(f"; it has {has}" if has else "these labels")
    assert f"    policies/default.yaml:{one['line']}: {key}: {one['message']}" in result.output.splitlines()


async def test_a_rule_that_fits_or_a_registry_without_entries_is_not_complained_of() -> None:
    rule = {"registry": "main", "namespaces": ["*", "default"], "labels": {"team": "docs"}}
    write("policies/default", POLICY | {"registry": {"see": [rule, {"registry": "other", "namespaces": ["x"]}]}})
    async with stocked(Content([Published(name="a", instructions="Do it", labels={"team": "docs"})])):
        (full,) = (await said(*CHECK))["registries"]
    async with stocked(Content([])):
        (empty,) = (await said(*CHECK))["registries"]

    assert full["policies"][0]["unmatched"] == empty["policies"][0]["unmatched"] == []


async def test_of_many_labels_some_are_named() -> None:
    rule = {"registry": "main", "namespaces": ["*"], "labels": {"team": "dcos"}}
    write("policies/default", POLICY | {"registry": {"see": [rule]}})
    entries = [Published(name=f"n{number}", labels={"team": f"t{number:02}"}) for number in range(12)]
    async with stocked(Content(entries)):
        (main,) = (await said(*CHECK))["registries"]

    assert main["policies"][0]["unmatched"][0]["message"].endswith("team=t09 and 2 more")


async def test_what_a_registry_says_can_not_write_to_the_terminal() -> None:
    hostile = Published(name="evil", title=EVIL, description=EVIL, labels={EVIL: EVIL}, mcp_servers=[(EVIL, EVIL)])
    async with stocked(Content([hostile])):
        result = await run(*CHECK)

    assert all(line.isprintable() for line in result.output.splitlines())
    assert result.output.count("main: read ") <= 1


@pytest.mark.parametrize("there", [True, False])
async def test_without_a_registry_it_is_said_how_to_begin(there: bool) -> None:
    if there:
        await asyncio.to_thread(Path("registries").mkdir)
    result = await run(*CHECK)

    assert result.exit_code == 1
    assert result.output.endswith("; begin with: mkdir -p registries && cp docs/registries/main.yaml registries/\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--registries", "nowhere"], 1, "--registries nowhere: can not be read: No such file or directory"),
        (["--registries", "policies"], 2, "policies/default.yaml:"),
        (["--policies", "nowhere"], 1, "--policies nowhere: "),
        (["--examples", "-1"], 2, "Usage: "),
    ],
)
async def test_folders_that_can_not_be_used_are_named(arguments: list[str], code: int, said: str) -> None:
    result = await run(*CHECK, *arguments)

    assert result.exit_code == code
    assert result.output.startswith(said)
