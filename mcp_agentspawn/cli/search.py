"""`agentspawn search`: what would a caller find, and could it spawn it?"""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mcp_agentspawn.adapters.looking import ForgetfulAudit
from mcp_agentspawn.cli import FINDINGS
from mcp_agentspawn.cli.known_registries import at_hand, registries_option, with_registries
from mcp_agentspawn.cli.people import complain
from mcp_agentspawn.cli.roots import RootAndHome, root_under
from mcp_agentspawn.cli.rule_folders import RuleFolders, folder_options, read_rules
from mcp_agentspawn.cli.searching import document, lines
from mcp_agentspawn.composing import in_memory, looking
from mcp_agentspawn.core.errors import Refused
from mcp_agentspawn.core.model import Caller, Root
from mcp_agentspawn.operations.answers import Hits, Refusal
from mcp_agentspawn.operations.search import search as find
from mcp_agentspawn.operations.services import Rules, Services

MOST_HITS = 50


@click.command(short_help="Find templates and registry entries as a caller would.")
@click.argument("query", default="")
@click.option("--root", type=RootAndHome(), help="Whose search it is; needed where there are several policies.")
@click.option("--limit", type=click.IntRange(1, MOST_HITS), default=10, show_default=True, help="How many hits.")
@click.option("--source", default="", help="Only hits of this source: template, or a registry.")
@click.option("--label", "labels", multiple=True, help="Only hits with this label; can be repeated.")
@click.option("--cursor", default="", help="Go on where the page before ended.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="The cluster that says what is there and granted; without it, none is asked.",
)
@registries_option
@folder_options
def search(query: str, root: Root | None, policies: Path, templates: Path, **options: Any) -> None:
    """Find what fits QUERY among templates and in registries, with what stands in the way; without it, all by name.

    It is what search_agents_agentregistry answers to an orchestrator. The registries are read once, now. All that the
    templates name counts as there and as granted; with --kubeconfig, that cluster says what is. What a registry holds
    is its authors' claim.

    Exits with 1 when no policy, or more than one, is for the root, or the cluster refuses you, and with 3 when it does
    not answer.
    """
    if not all(map(_is_unicode, (query, options["source"], options["cursor"], *options["labels"]))):
        raise click.UsageError("Words are searched for as UTF-8, and these are not.")
    folders = read_rules(policies, templates)
    if root is None and options["kubeconfig"]:
        raise click.UsageError("A cluster is asked what one root may do: name it with --root.")
    caller = root or _the_only_one(folders.rules)
    registries = at_hand(options.pop("registries"))
    try:
        found = asyncio.run(_found(folders.rules, caller, registries, query, options))
    except Refused as error:
        complain(f"You may not ask the cluster all of it: {error.code}: {error.message}")
        sys.exit(FINDINGS)
    if isinstance(found, Refusal):
        complain(f"{caller.name}: {', '.join(f'{reason.code}: {reason.message}' for reason in found.reasons)}")
        sys.exit(FINDINGS)
    _print(found, folders, caller, as_json=options["as_json"])


def _is_unicode(word: str) -> bool:
    """Whether it could be read; Python keeps bytes of the command line that it can not read as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in word)


def _the_only_one(rules: Rules) -> Root:
    """Somebody for whom the one policy is. Raises UsageError when it could be another one."""
    if len(rules.policies) > 1:
        raise click.UsageError(f"There are {len(rules.policies)} policies: say whose search it is with --root.")
    root = next(map(root_under, rules.policies.values()), None)
    if root is None:
        raise click.UsageError("The policy names no callers: say whose search it is with --root.")
    return root


async def _found(
    rules: Rules, root: Root, registries: Path | None, query: str, options: dict[str, Any]
) -> Hits | Refusal:
    wanted = (query, options["limit"], options["cursor"], options["source"], options["labels"])
    if options["kubeconfig"]:
        async with looking(rules, root, options["kubeconfig"]) as (_, services):
            return await _searched(replace(services, audit=ForgetfulAudit()), root, registries, wanted)
    return await _searched(in_memory(rules, root)[1], root, registries, wanted)


async def _searched(
    services: Services, root: Root, registries: Path | None, wanted: tuple[str, int, str, str, Sequence[str]]
) -> Hits | Refusal:
    async with with_registries(services, registries) as known:
        return await find(known, Caller(root), *wanted)


def _print(found: Hits, folders: RuleFolders, root: Root, *, as_json: bool) -> None:
    (name,) = folders.rules.matching(root)
    said = document(found, folders.policies.file(name))
    if as_json:
        click.echo(json.dumps(said, indent=2))
        return
    for line in lines(said):
        click.echo(line)
