"""`agentspawn explain`: what would each guard say, and which line of the policy is behind it?"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from mcp_agentspawn.adapters.kubernetes.world import KubernetesWorld
from mcp_agentspawn.cli import FINDINGS, UNAVAILABLE
from mcp_agentspawn.cli.escaping import escaped
from mcp_agentspawn.cli.explaining import Document, document, lines
from mcp_agentspawn.cli.known_registries import at_hand, registries_option, with_registries
from mcp_agentspawn.cli.people import FINE, complain, kubeconfig_option
from mcp_agentspawn.cli.roots import RootAndHome
from mcp_agentspawn.cli.rule_folders import folder_options, read_rules
from mcp_agentspawn.composing import in_memory, looking
from mcp_agentspawn.core.errors import Missing, Refused
from mcp_agentspawn.core.model import Caller, Root
from mcp_agentspawn.core.request import Ask
from mcp_agentspawn.operations.explain import Explained, explain_proposal, explain_request
from mcp_agentspawn.operations.services import Rules, Services

REQUEST = ("template", "purpose", "parameters", "tools", "model", "lifetime_minutes", "registry_entry", "parent")
EXITS = {"allowed": FINE, "unanswered": UNAVAILABLE}
FIND = "List all ids with: agentspawn proposals --all"


class Assignment(click.ParamType[tuple[str, str]]):
    """`name=value`."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Take both parts; the value may be empty and may hold more of the sign."""
        name, sign, text = str(value).partition("=")
        if not sign:
            self.fail(f"{value!r} is not name=value", param, ctx)
        return name, text


@click.command(short_help="Say what each guard would say, and by which line of the policy.")
@click.argument("proposal", default="")
@click.option("--root", type=RootAndHome(), required=True, help="Whose request it is: the orchestrator.")
@click.option("--template", default="", help="Explain a request for a subagent of this template, with what follows:")
@click.option("--purpose", default="", help="What the subagent is for.")
@click.option("--parameter", "parameters", type=Assignment(), multiple=True, help="A value; can be repeated.")
@click.option("--tool", "tools", multiple=True, help="A tool, as server/tool; can be repeated.")
@click.option("--model", default="", help="A ModelConfig.")
@click.option("--lifetime-minutes", type=click.IntRange(0), default=0, help="How long it would live.")
@click.option("--registry-entry", default="", metavar="HANDLE", help="The registry entry that fills the template.")
@click.option("--as-child-of", "parent", default="", metavar="AGENT", help="Ask as this subagent of the root.")
@click.option("--memory", is_flag=True, help="Ask no cluster: all that the templates name is there, and nothing else.")
@click.option("--manifest", is_flag=True, help="Print what was rendered, too.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@kubeconfig_option
@registries_option
@folder_options
def explain(proposal: str, root: Root, policies: Path, templates: Path, **options: Any) -> None:
    """Ask all guards about a stored PROPOSAL or about a request, and print each verdict with the policy line behind it.

    For operators: it prints what callers never see. Nothing is reserved, stored or recorded. On a cluster it asks as
    you: reading what the server reads, and, for the guard access, as the root's virtual user. What rests on a registry
    entry is judged by what the registry says now: the registries are read once.

    Exits with 0 when it is allowed, with 1 when it is denied, waits for people or is not there, and with 3 without a
    cluster, or when a guard got no answer and no other denies.
    """
    _check(proposal, options)
    folders = read_rules(policies, templates)
    options["registries"] = at_hand(options["registries"])
    explained = asyncio.run(_explained(proposal, root, folders.rules, options))
    if explained is None:
        complain(f"{root.name} has no proposal {proposal!r}. {FIND}")
        sys.exit(FINDINGS)
    said = document(explained, folders.policies, options["registries"], manifest=options["manifest"])
    if options["as_json"]:
        click.echo(json.dumps(said, indent=2))
    else:
        _print(said)
    sys.exit(EXITS.get(explained.outcome, FINDINGS))


def _check(proposal: str, options: dict[str, Any]) -> None:
    """Raises UsageError for options that do not go together."""
    if proposal and any(options[name] for name in REQUEST):
        raise click.UsageError("A stored proposal says all of that itself: name it alone.")
    if not proposal and not (options["template"] and options["purpose"]):
        raise click.UsageError("Name a PROPOSAL, or a request by --template and --purpose.")
    if options["memory"] and (proposal or options["parent"] or options["kubeconfig"]):
        raise click.UsageError("--memory asks no cluster, and holds no proposals and no subagents.")


async def _explained(proposal: str, root: Root, rules: Rules, options: dict[str, Any]) -> Explained | None:
    """`None` when this root has no such proposal."""
    if options["memory"]:
        async with _on_registries(in_memory(rules, root)[1], proposal, options) as known:
            return await explain_request(known, Caller(root), _ask(options))
    async with (
        looking(rules, root, options["kubeconfig"]) as (world, services),
        _on_registries(services, proposal, options) as known,
    ):
        if options["parent"]:
            return await explain_request(known, Caller(root, options["parent"]), _ask(options))
        account = await _account(world, root)
        if proposal:
            return await explain_proposal(known, root, proposal, account)
        return await explain_request(known, Caller(root, account=account), _ask(options))


@asynccontextmanager
async def _on_registries(services: Services, proposal: str, options: dict[str, Any]) -> AsyncIterator[Services]:
    """The same services; on the registries as they are now where something rests on an entry, since that takes time."""
    stored = await services.proposals.get(proposal) if proposal else None
    if options["registry_entry"] or (stored and stored.request.entry):
        async with with_registries(services, options["registries"]) as known:
            yield known
    else:
        yield services


async def _account(world: KubernetesWorld, root: Root) -> str:
    """The uid of the root's service account; `""` where it can not be seen, and then nothing is said of it."""
    try:
        return await world.account_uid(root)
    except (Missing, Refused):
        return ""


def _ask(options: dict[str, Any]) -> Ask:
    return Ask(
        template=options["template"],
        purpose=options["purpose"],
        parameters=options["parameters"],
        tools=options["tools"],
        model=options["model"],
        lifetime_minutes=options["lifetime_minutes"],
        registry_entry=options["registry_entry"],
    )


def _print(said: Document) -> None:
    for line in lines(said):
        click.echo(escaped(line))
    if said.get("manifest"):
        click.echo(json.dumps(said["manifest"], indent=2))
