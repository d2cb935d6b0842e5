"""`agentspawn explain`: every verdict with the line of the policy behind it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mcp_agentspawn.cli import explain as module
from mcp_agentspawn.cli import main
from mcp_agentspawn.cli.known_registries import with_registries
from mcp_agentspawn.cli.rule_folders import read_rules
from mcp_agentspawn.composing import in_memory
from mcp_agentspawn.core.errors import Missing, Refused, Unavailable
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.request import Ask
from mcp_agentspawn.localplane.registry.faults import Failing
from mcp_agentspawn.operations.answers import Proposed
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.services import Rules, Services
from mcp_agentspawn.settings import root_of
from tests.builders import CALLER, RESEARCHER, ROOT, FixedClock, ask, guard_names, registry_entry
from tests.cli import registries
from tests.guards.cases import ledger
from tests.operations.doubles import failing

POLICY = """\
callers:
  namespaces: [agents]
template:
  allow: [researcher]
quota:
  open_proposals: 2
approval: {at_least: low}
"""
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: nowhere
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: nobody, user: {token: none}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
"""
REQUEST = ("--template", "researcher", "--purpose", "Find out", "--parameter", "topic=Kubernetes")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("policies/default", POLICY), ("templates/researcher", json.dumps(RESEARCHER))):
        file = tmp_path / f"{name}.yaml"
        file.parent.mkdir()
        file.write_text(text)
    return tmp_path


class Cluster:
    """A cluster that an operator reaches; `account` is the root's service account, or why it can not be seen."""

    def __init__(self) -> None:
        self.world, self.services = in_memory(read_rules(Path("policies"), Path("templates")).rules, ROOT, FixedClock())
        self.account: str | Exception = "uid"

    @asynccontextmanager
    async def looking(self, rules: Rules, root: Root, kubeconfig: Path | None) -> AsyncIterator[tuple[Any, Services]]:
        yield self, replace(self.services, rules=in_memory(rules, root)[1].rules)

    async def account_uid(self, root: Root) -> str:
        if isinstance(self.account, Exception):
            raise self.account
        return self.account

    def propose(self, **changes: Any) -> str:
        async def proposed() -> Proposed:
            answer = await propose(self.services, CALLER, ask(**changes))
            assert isinstance(answer, Proposed), answer.reasons
            return answer

        return asyncio.run(proposed()).proposal

    def hold(self, ledger: Ledger) -> None:
        asyncio.run(self.world.ledgers.change(ROOT.name, lambda _: (ledger, None)))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr(module, "looking", cluster.looking)
    return cluster


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["explain", "--root", ROOT.name, *arguments])


def said(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("--json", *arguments).output)
    return found


def behind(said: dict[str, Any], guard: str) -> list[str]:
    (one,) = [one for one in said["guards"] if one["guard"] == guard]
    return [line["text"] for line in one["policy"]]


def test_every_guard_is_named_with_its_verdict_and_the_line_behind_it(folder: Path) -> None:
    result = run("--memory", *REQUEST)
    lines = result.output.splitlines()

    assert result.exit_code == 0
    assert [line.split()[0] for line in lines if line.endswith("  allow")] == guard_names()
    assert lines[0] == "propose by agents/orchestrator, under policies/default.yaml"
    assert lines[-1] == "allowed"


def test_a_refusal_names_the_very_key_and_what_callers_never_see(cluster: Cluster) -> None:
    cluster.hold(ledger(opened=3, changes=100))
    cluster.world.agents.trial = failing(Unavailable("It is\naway."))  # type: ignore[method-assign] # a bad day
    result = run(*REQUEST)
    lines = [line.strip() for line in result.output.splitlines()]

    assert result.exit_code == 1
    assert lines[-2:] == [
        "unanswered: access: the cluster did not answer; try again later",
        "denied: rate.changes_per_minute, quota.open_proposals",
    ]
    assert lines.count("policies/default.yaml:6: quota.open_proposals: 2") == 1
    assert "default of agentspawn: rate.changes_per_minute: 10" in lines
    assert r"detail: no answer: It is\u{a}away." in lines


def test_the_same_is_there_for_programs(cluster: Cluster) -> None:
    cluster.hold(ledger(opened=2))
    explained = said("--manifest", *REQUEST)

    assert (explained["outcome"], explained["codes"]) == ("denied", ["quota.open_proposals"])
    assert explained["policies"] == ["policies/default.yaml"]
    assert behind(explained, "quota") == ["policies/default.yaml:6: quota.open_proposals: 2"]
    assert behind(explained, "crd") == ["default of agentspawn: crd: {}"]
    assert explained["manifest"]["kind"] == "Agent"


def test_a_request_that_waits_for_people_says_so(folder: Path) -> None:
    (folder / "policies/default.yaml").write_text(POLICY.replace("least: low", "least: high"))
    result = run("--memory", *REQUEST)

    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == "pending_approval: approval.waiting"
    assert 'policies/default.yaml:7: approval.at_least: "high"' in result.output


def test_what_was_rendered_is_printed_when_it_is_asked_for(folder: Path) -> None:
    assert '"kind": "Agent"' in run("--memory", "--manifest", *REQUEST).output
    assert '"kind": "Agent"' not in run("--memory", *REQUEST).output
    assert '"kind": "Agent"' not in run("--memory", "--manifest", "--template", "unknown", "--purpose", "x").output


def test_guards_that_were_not_asked_say_why(folder: Path) -> None:
    result = run("--memory", "--template", "unknown", "--purpose", "Find out")

    assert result.exit_code == 1
    assert "not asked: there is no template of that name, so nothing was rendered" in result.output


def test_a_stored_proposal_is_explained_as_an_apply(cluster: Cluster) -> None:
    made = cluster.propose()
    explained = said(made)
    assert (explained["step"], explained["outcome"], explained["changed"]) == ("apply", "allowed", [])

    Path("policies/default.yaml").write_text(POLICY.replace("2", "3"))
    result = run(made)
    assert result.exit_code == 0
    assert "changed since: proposal.policy_changed: " in result.output


def test_a_request_that_is_proposed_already_says_so(cluster: Cluster) -> None:
    made = cluster.propose(purpose="Find out", parameters=(("topic", "Kubernetes"),))

    assert f"the same request is {made} already" in run(*REQUEST).output


def test_a_subagent_s_request_is_judged_as_its_own(cluster: Cluster) -> None:
    explained = said("--as-child-of", "sub-gone", *REQUEST)

    assert (explained["caller"], explained["codes"]) == ("sub-gone", ["lineage.broken"])
    assert run("--as-child-of", "sub-gone", *REQUEST).output.startswith("propose by agents/orchestrator's sub-gone, ")


@pytest.mark.parametrize(
    ("account", "codes"),
    [
        ("made again", ["lineage.account_recreated"]),
        ("first", []),
        (Missing("There is none."), []),
        (Refused("forbidden.rbac", "You may not look."), []),
    ],
)
def test_a_service_account_that_was_made_again_shows_where_it_can_be_seen(
    cluster: Cluster, account: str | Exception, codes: list[str]
) -> None:
    made = cluster.propose()
    cluster.hold(replace(ledger(), account="first"))
    cluster.account = account

    assert said(*REQUEST)["codes"] == codes
    assert said(made)["codes"] == codes


@pytest.mark.parametrize("second", ["[agents]", "[other]"])
def test_every_policy_that_matches_is_named(folder: Path, second: str) -> None:
    Path("policies/second.yaml").write_text(f"callers: {{namespaces: {second}}}")
    Path("policies/default.yaml").write_text(POLICY.replace("[agents]", "[agents]" if "a" in second else "[other]"))
    result = run("--memory", *REQUEST)
    under = "policies/default.yaml and policies/second.yaml" if second == "[agents]" else "no policy"

    assert result.exit_code == 1
    assert result.output.splitlines()[0] == f"propose by agents/orchestrator, under {under}"
    assert result.output.splitlines()[-1] == "denied: policy.none"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--template", "researcher"),
        ("sub-a", "--template", "researcher"),
        ("sub-a", "--as-child-of", "sub-b"),
        ("sub-a", "--memory"),
        ("--memory", "--as-child-of", "sub-b", *REQUEST),
        (*REQUEST, "--parameter", "topic"),
        (*REQUEST, "--root", "orchestrator"),
        (*REQUEST, "--root", "agents/orchestrator@agents"),
        (*REQUEST, "--memory", "--policies", "templates"),
    ],
)
def test_what_can_not_be_asked_is_a_usage_error(cluster: Cluster, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("home", ["kube-system", "agents", "x.y"])
def test_a_root_that_can_not_be_is_told_the_reason_that_the_server_gives(cluster: Cluster, home: str) -> None:
    word = f"agents/orchestrator@{home}"
    with pytest.raises(ValueError, match="orchestrator") as refused:
        root_of(word)

    assert str(refused.value) in " ".join(run(*REQUEST, "--root", word).output.split())


def test_who_asks_as_a_subagent_needs_no_service_account(cluster: Cluster) -> None:
    cluster.account = Unavailable("No answer")

    assert run(*REQUEST).exit_code == 3
    assert run(*REQUEST, "--as-child-of", "sub-none").exit_code == 1


FORBIDDEN = Refused("forbidden.rbac", "You may not look.")


def test_what_somebody_may_not_ask_is_unanswered_and_not_denied(cluster: Cluster) -> None:
    cluster.world.inventory.violations = failing(FORBIDDEN)  # type: ignore[method-assign] # not everybody may ask
    cluster.world.access.may_use = failing(FORBIDDEN)  # type: ignore[method-assign] # not everybody may ask
    result = run(*REQUEST)

    assert result.exit_code == 3
    assert result.output.splitlines()[-1] == (
        "unanswered: template, crd: you may not ask all of it; use an identity that may read what the server reads"
    )
    assert result.output.count("detail: you may not ask: You may not look.") == 2
    assert "Try again later" not in result.output


def test_what_is_unanswered_is_there_for_programs(cluster: Cluster) -> None:
    cluster.world.inventory.violations = failing(FORBIDDEN)  # type: ignore[method-assign] # not everybody may ask
    explained = said(*REQUEST)
    (crd,) = [one for one in explained["guards"] if one["guard"] == "crd"]

    assert (explained["outcome"], explained["codes"]) == ("unanswered", ["crd.unanswered"])
    assert explained["unanswered"] == ["crd"]
    assert (crd["verdict"], crd["cause"], crd["reasons"], crd["policy"]) == ("unanswered", "forbidden", [], [])


def test_a_denial_counts_whatever_stays_unanswered(cluster: Cluster) -> None:
    cluster.world.inventory.violations = failing(FORBIDDEN)  # type: ignore[method-assign] # not everybody may ask
    cluster.hold(ledger(opened=2))

    assert run(*REQUEST).exit_code == 1


def test_a_proposal_that_is_not_there_is_a_finding_and_how_to_find_one_is_said(cluster: Cluster) -> None:
    result = run("sub-unknown")

    assert result.exit_code == 1
    assert result.output.startswith("agents/orchestrator has no proposal 'sub-unknown'. ")
    assert "agentspawn proposals --all" in result.output


@pytest.mark.parametrize("option", ["--policies", "--templates"])
def test_a_folder_that_is_not_there_is_named_with_its_option(folder: Path, option: str) -> None:
    result = run("--memory", option, "nowhere", *REQUEST)

    assert result.exit_code == 1
    assert result.output == f"{option} nowhere: can not be read: No such file or directory\n"


def test_without_a_cluster_it_is_unavailable(folder: Path) -> None:
    nowhere = folder / "kubeconfig"
    nowhere.write_text(KUBECONFIG)

    assert run("--kubeconfig", str(nowhere), *REQUEST).exit_code == 3
    assert run("--kubeconfig", str(nowhere), "sub-a").exit_code == 3


def test_a_caller_of_a_namespace_of_its_own_is_looked_for_there(folder: Path) -> None:
    result = run("--root", "agents/orchestrator@team", "--memory", "--manifest", "--json", *REQUEST)

    assert json.loads(result.output)["manifest"]["metadata"]["namespace"] == "team"


RULES = {"allow": ["researcher", "registry-worker"]}


@pytest.fixture
def entry(folder: Path) -> str:
    """The handle of an entry that a registry holds, under a policy that shows it."""
    registries.rules(template=RULES)
    return str(registry_entry().handle)


async def _handle(name: str) -> str:
    found = await registries.said("search", "--source", "main")
    return next(str(hit["handle"]) for hit in found["hits"] if f"/{name}@" in hit["handle"])


OF_ENTRY = ("--memory", "--template", "registry-worker", "--purpose", "Try", "--parameter", "task=Write them")


async def explained(handle: str, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = await registries.said(
        "explain", "--root", ROOT.name, *OF_ENTRY, "--registry-entry", handle, *arguments
    )
    return found


async def test_a_request_for_a_registry_entry_is_judged_by_what_the_registry_says_now(entry: str) -> None:
    async with registries.stocked() as standin:
        handle = await _handle("release-notes-writer")
        now = await explained(handle, "--manifest")
        (published,) = [one for one in standin.content.agents() if one.name == "release-notes-writer"]
        standin.content.publish(replace(published, instructions="Write something else."))
        later = await explained(handle)
        standin.inject(Failing())
        away = await explained(handle)

    assert (now["outcome"], now["codes"]) == ("pending_approval", ["approval.waiting"])
    assert "from the list of merged changes" in json.dumps(now["manifest"])
    assert later["codes"] == ["registry.entry_changed"]
    assert (away["outcome"], away["unanswered"]) == ("unanswered", ["registry"])


async def test_what_stands_in_the_way_of_an_entry_has_its_line_of_the_policy(entry: str) -> None:
    async with registries.stocked():
        found = await explained(await _handle("cost-analyst"))

    assert found["codes"] == ["registry.image_not_allowed", "registry.no_template"]
    shown = '{"namespaces":["*"],"registry":"main","templates":["registry-worker"]}'
    see = f"policies/default.yaml:{_line_of('see') + 1}: registry.see[0]: {shown}"
    assert behind(found, "registry") == ["default of agentspawn: registry.images: []", see]


def _line_of(key: str) -> int:
    lines = Path("policies/default.yaml").read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if f'"{key}"' in line)


def test_without_registries_nobody_says_what_the_entry_is_and_what_is_missing_is_said(entry: str) -> None:
    result = run(*OF_ENTRY, "--registry-entry", entry)

    assert result.exit_code == 3
    assert "detail: no registry: main" in result.output
    assert "--registries FOLDER" in result.output.splitlines()[-1]
    assert "cluster" not in result.output


async def test_a_registry_that_is_not_in_the_folder_is_told_from_one_that_does_not_answer(entry: str) -> None:
    registries.write("elsewhere/other", {"private_addresses": True, "url": "http://127.0.0.1:1"})
    missing = await asyncio.to_thread(run, *OF_ENTRY, "--registry-entry", entry, "--registries", "elsewhere")
    async with registries.stocked() as standin:
        standin.inject(Failing())
        away = await asyncio.to_thread(run, *OF_ENTRY, "--registry-entry", entry)

    causes = [
        next(line for line in one.output.splitlines() if line.startswith("unanswered: registry: "))
        for one in (missing, away)
    ]
    assert [one.exit_code for one in (missing, away)] == [3, 3]
    assert causes[0].endswith(" not in elsewhere")
    assert causes[1].endswith(" agentspawn registry check --registries registries")


def test_a_handle_that_is_none_is_unknown(entry: str) -> None:
    assert said(*OF_ENTRY, "--registry-entry", "summarizer")["codes"] == ["registry.unknown_entry"]


async def test_a_proposal_that_rests_on_an_entry_is_judged_by_the_registry(
    entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work = Cluster()
    monkeypatch.setattr(module, "looking", at_work.looking)
    async with registries.stocked():
        async with with_registries(at_work.services, Path("registries")) as known:
            handle = await _handle("release-notes-writer")
            asked = Ask("registry-worker", "Try", (("task", "Write them"),), registry_entry=handle)
            answer = await propose(known, CALLER, asked)
            assert isinstance(answer, Proposed), answer.reasons
        found = await registries.said("explain", "--root", ROOT.name, answer.proposal)

    assert (found["step"], found["codes"]) == ("apply", ["approval.waiting"])
    away = await registries.said("explain", "--root", ROOT.name, answer.proposal)
    assert (away["outcome"], away["unanswered"]) == ("unanswered", ["registry"])
