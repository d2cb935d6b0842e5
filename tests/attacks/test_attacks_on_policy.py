"""Without a readable rule book there is no spawn; and each of its rules acts on the real tool."""

from pathlib import Path
from typing import Any

import pytest

from mcp_agentspawn.app import serving_cluster
from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.settings import load
from tests.attacks.battlefield import UNRULED, Battlefield, served_on
from tests.attacks.orchestrators import TOPIC, Orchestrator, codes
from tests.faults.replicas import kubeconfig

UNREADABLE = {
    "empty": "",
    "of another type": "- callers\n",
    "half written": "callers: {service_accounts: [agents/x]}\nquota: {live_per_pa",
    "of a newer kind": "callers: {service_accounts: [agents/x]}\nbudget: {usd: 3}\n",
    "with a key of a newer kind": "callers: {service_accounts: [agents/x]}\nquota: {tokens: 3}\n",
    "with a list that is null": "callers: {service_accounts: [agents/x]}\ntemplate: {allow: null}\n",
    "with a list that is a star": "callers: {service_accounts: [agents/x]}\ntemplate: {allow: '*'}\n",
    "with a limit that is null": "callers: {service_accounts: [agents/x]}\nquota: {live_per_parent: null}\n",
    "with a limit in words": "callers: {service_accounts: [agents/x]}\nquota: {live_per_parent: unlimited}\n",
    "with a limit below nothing": "callers: {service_accounts: [agents/x]}\nquota: {live_per_parent: -1}\n",
    "with a key twice": "callers: {service_accounts: [agents/x]}\nquota: {}\nquota: {live_per_parent: 400}\n",
}


@pytest.mark.parametrize("what", UNREADABLE)
async def test_no_server_starts_on_a_policy_that_can_not_be_read(field: Battlefield, what: str, tmp_path: Path) -> None:
    (tmp_path / "default.yaml").write_text(UNREADABLE[what])
    options = {
        "port": 0,
        "roots": "agents/x",
        "policies": tmp_path,
        "templates": field.rules.folder / "templates",
        "kubeconfig": kubeconfig(field.cluster, (await field.anyone()).root),
        "audit_file": tmp_path / "audit.jsonl",
    }
    with pytest.raises(ConfigError):
        async with serving_cluster(load({}, options)):
            pass


async def test_a_policy_that_breaks_while_it_is_used_widens_nothing(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    async with field.broken_policy():
        assert codes(await orchestrator.propose(tools=["kubernetes/exec"])) == {"manifest.tool_not_allowed"}
        assert codes(await (await field.caller(UNRULED)).propose()) == {"policy.none"}


async def test_a_caller_without_a_policy_may_nothing(field: Battlefield) -> None:
    caller = await field.caller(UNRULED)
    answers = [
        await caller.propose(),
        await caller.call("list_templates"),
        await caller.call("list_subagents"),
        await caller.call("search_agents_agentregistry", query="research"),
    ]

    assert [codes(answer) for answer in answers] == [{"policy.none"}] * len(answers)


async def test_a_limit_of_nothing_allows_nothing(field: Battlefield) -> None:
    caller = await field.caller("attack-no-quota")

    assert codes(await caller.apply(await caller.propose())) == {"quota.live_per_parent"}


GUARDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "template": ("attack-not-listed", {}, "template.not_allowed"),
    "template without the right to use it": ("attack-ungranted", {}, "template.not_allowed"),
    "template that is not there": ("", {"template": "nobody"}, "template.not_allowed"),
    "parameters": ("", {"parameters": []}, "parameters.invalid"),
    "parameters of a wrong kind": ("", {"parameters": [TOPIC, {"name": "depth", "value": "x"}]}, "parameters.invalid"),
    "parameters given twice": ("", {"parameters": [TOPIC, TOPIC]}, "parameters.repeated"),
    "parameters too large": ("attack-small-words", {"purpose": "x" * 101}, "parameters.too_large"),
    "parameters that hide": ("", {"purpose": "Find \u202eout"}, "parameters.hidden_characters"),
    "manifest": ("", {"model": "other-model"}, "manifest.model_not_allowed"),
    "manifest with too many tools": ("attack-no-tools", {}, "manifest.too_many_tools"),
    "rate": ("attack-no-changes", {}, "rate.changes_per_minute"),
    "quota": ("attack-none-open", {}, "quota.open_proposals"),
}
"""For each guard that a caller can run into at propose: who, with what, and the code."""


@pytest.mark.parametrize("guard", GUARDS)
async def test_each_guard_of_the_rule_book_acts_on_the_real_tool(field: Battlefield, guard: str) -> None:
    account, changes, code = GUARDS[guard]
    caller = await field.caller(account) if account else await field.anyone()
    answer = await caller.propose(**changes)

    assert code in codes(answer)
    assert await field.cluster.proposals_of(caller.root) == []


async def test_a_model_or_a_tool_that_is_not_there_is_refused(field: Battlefield) -> None:
    answer = await (await field.anyone()).propose(template="of-absent-things")

    assert codes(answer) == {"manifest.model_missing", "manifest.tool_missing"}


async def test_what_the_api_server_would_refuse_is_refused_at_propose(field: Battlefield) -> None:
    answer = await (await field.caller("attack-no-create")).propose()

    assert codes(answer) == {"access.forbidden.rbac"}


async def test_what_does_not_fit_the_kind_that_the_cluster_serves_is_refused(
    field: Battlefield, tmp_path: Path
) -> None:
    caller = await field.anyone()
    async with served_on(field, caller.root, tmp_path / "audit.jsonl") as url, field.narrower_kind():
        answer = await caller.at(url).propose("With a narrower kind")

    assert codes(answer) == {"crd.violation"}
