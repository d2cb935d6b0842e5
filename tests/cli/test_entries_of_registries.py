"""Whoever approves sees that a proposal is made of a registry entry, and which text a stranger wrote."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_agentspawn.cli.wording import handle
from mcp_agentspawn.core.digest import canonical, proposal_digest
from mcp_agentspawn.core.model import Proposal
from mcp_agentspawn.core.registry import RegistryEntry
from mcp_agentspawn.core.template import Template
from tests.builders import REGISTRY_IMAGE, RESEARCHER, SEES_MAIN, image_entry, registry_bench, registry_entry
from tests.cli.office import Office
from tests.cli.registries import WORKER

TEMPLATES = {"researcher": RESEARCHER, "registry-worker": WORKER, "registry-image": REGISTRY_IMAGE}
SECTIONS: dict[str, Any] = {
    "template": {"allow": ["researcher", "registry-worker", "registry-image"]},
    "registry": SEES_MAIN,
}
HANDLE = str(registry_entry().handle)
OTHER_HANDLE = str(registry_entry(name="trusted").handle)


@pytest.fixture(autouse=True)
def _nothing_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COLUMNS", "120")


def at_work_with(*entries: RegistryEntry) -> Office:
    setup = registry_bench()
    setup.registries.entries[:] = entries
    setup.rules.templates |= {name: Template.named(name, document) for name, document in TEMPLATES.items()}
    return Office(setup)


def made_of_instructions() -> tuple[Office, Proposal]:
    at_work = at_work_with(registry_entry())
    given = (("task", "Condense it"),)
    return at_work, at_work.propose(template="registry-worker", parameters=given, registry_entry=HANDLE)


def made_of_an_image() -> tuple[Office, Proposal]:
    at_work = at_work_with(image_entry())
    handle = str(image_entry().handle)
    return at_work, at_work.propose(template="registry-image", parameters=(), registry_entry=handle)


def options(folder: Path) -> list[str]:
    """The rules of that world as files, and the options that name them."""
    files = {f"templates/{name}": document for name, document in TEMPLATES.items()}
    for name, document in (files | {"policies/default": {"callers": {"namespaces": ["agents"]}} | SECTIONS}).items():
        file = folder / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(document), encoding="utf-8")
    return ["--templates", str(folder / "templates"), "--policies", str(folder / "policies")]


def beware(page: str) -> str:
    """What the manifest begins with."""
    after = page.partition("Manifest, whole")[2].splitlines()[1:]
    head = [line for line in after[:3] if line.startswith(("  beware", " " * 15))]
    return " ".join(line[17:] for line in head)


def test_the_entry_is_on_a_line_of_its_own_and_what_a_stranger_wrote_is_named(tmp_path: Path) -> None:
    at_work, stored = made_of_instructions()

    page = at_work.run("show", stored.id, *options(tmp_path)).output

    assert f"  {HANDLE}" in page.splitlines()
    assert beware(page).startswith("THE TEXT BETWEEN THE FENCES OF role IS A STRANGER'S")
    assert ("re-rendered from" in page, "NOT CHECKED" in page) == (True, False)
    assert "a registry entry makes it at least medium" in page


def test_an_image_is_named_as_the_stranger_s(tmp_path: Path) -> None:
    at_work, stored = made_of_an_image()

    result = at_work.run("show", stored.id, *options(tmp_path))

    assert result.exit_code == 0
    assert beware(result.output).startswith("ITS IMAGE IS A STRANGER'S")
    assert "0 of 2 approvals" in result.output
    assert "an image from a registry makes it high" in result.output


@pytest.mark.parametrize("made", [made_of_instructions, made_of_an_image])
def test_without_the_template_it_is_said_all_the_same(made: Any) -> None:
    at_work, stored = made()

    assert beware(at_work.run("show", stored.id).output).startswith("THE TEXT BETWEEN ITS FENCES, OR ITS IMAGE,")


def test_without_an_entry_nothing_is_said_of_strangers(tmp_path: Path) -> None:
    at_work = at_work_with()
    page = at_work.run("show", at_work.propose().id, *options(tmp_path)).output

    assert ("STRANGER" in page, "  registry " in page, "a registry" in page) == (False, False, False)


def test_who_lists_and_who_decides_reads_the_entry_too() -> None:
    at_work, stored = made_of_instructions()

    listed = at_work.run("proposals").output.splitlines()
    approved = at_work.run("approve", stored.id).output

    assert listed[listed.index("  made of registry entry") + 1] == f"  {HANDLE}"
    assert f", made of registry entry {HANDLE}, as alice" in approved


@pytest.mark.parametrize("text", ["Approve it", f"{HANDLE} x", f"x {HANDLE}", f"{HANDLE}\nDigest", ""])
def test_what_is_no_handle_stands_behind_a_gutter(text: str) -> None:
    assert [line for line in handle(text, "  ") if not line.lstrip().startswith(("| ", ": "))] == []


@pytest.mark.parametrize("entry", ["", OTHER_HANDLE])
def test_an_entry_that_the_bytes_do_not_bear_out_is_neither_shown_nor_approved(entry: str) -> None:
    at_work, stored = made_of_instructions()
    at_work.tamper(stored, request=replace(stored.request, entry=entry))

    for command in ("show", "approve"):
        result = at_work.run(command, stored.id)
        assert (result.exit_code, result.stderr[:14]) == (1, "DO NOT APPROVE")
    assert at_work.decisions(stored) == []


def test_an_entry_is_the_one_that_the_manifest_is_stamped_with() -> None:
    at_work, stored = made_of_instructions()
    by = at_work.bench.rules.templates["registry-worker"]
    said = at_work.forge(stored, by=by, request=replace(stored.request, entry=OTHER_HANDLE))
    text = said.manifest.replace(OTHER_HANDLE, HANDLE)

    at_work.tamper(said, manifest=text, digest=proposal_digest(text, said.grant))

    result = at_work.run("show", stored.id)
    assert (result.exit_code, result.stderr[:14]) == (1, "DO NOT APPROVE")


def test_an_entry_that_is_hidden_everywhere_is_missed_where_the_template_is_at_hand(tmp_path: Path) -> None:
    at_work, stored = made_of_instructions()
    by = at_work.bench.rules.templates["registry-worker"]

    at_work.forge(stored, by=by, request=replace(stored.request, entry=""), risk="low")

    result = at_work.run("show", stored.id, *options(tmp_path))
    assert (result.exit_code, result.stderr[:14]) == (1, "DO NOT APPROVE")


def test_an_entry_in_a_template_that_takes_none_is_not_shown(tmp_path: Path) -> None:
    at_work = at_work_with()
    stored = at_work.propose()
    at_work.forge(stored, request=replace(stored.request, entry=HANDLE), risk="medium")

    result = at_work.run("show", stored.id, *options(tmp_path))
    assert (result.exit_code, result.stderr[:14]) == (1, "DO NOT APPROVE")


def test_a_risk_below_medium_is_too_low_for_an_entry_although_no_template_is_at_hand() -> None:
    at_work, stored = made_of_instructions()
    at_work.tamper(stored, risk="low")

    assert "ITS RISK IS STATED TOO LOW" in at_work.run("show", stored.id).output


def test_a_handle_can_not_write_to_the_terminal() -> None:
    at_work, stored = made_of_instructions()
    evil = "main/\x1b[2J\u202e\nApproved"
    manifest = json.loads(stored.manifest)
    manifest["metadata"]["annotations"]["agentspawn.dev/registry-entry"] = evil
    text = canonical(manifest)
    at_work.tamper(
        stored,
        request=replace(stored.request, entry=evil),
        manifest=text,
        digest=proposal_digest(text, stored.grant),
    )

    for arguments in (("show", stored.id), ("approve", stored.id), ("proposals",)):
        assert all(line.isprintable() for line in at_work.run(*arguments).output.splitlines())
