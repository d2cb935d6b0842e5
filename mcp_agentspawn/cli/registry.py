"""`agentspawn registry check`: can the registries be read, and what of them could be spawned?"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import click

from mcp_agentspawn.adapters.files import Folder
from mcp_agentspawn.adapters.registry.source import Source
from mcp_agentspawn.cli import FINDINGS
from mcp_agentspawn.cli.checking import Document, document, lines
from mcp_agentspawn.cli.escaping import escaped
from mcp_agentspawn.cli.known_registries import HERE, VARIABLE, read_sources
from mcp_agentspawn.cli.rule_folders import FOLDER, RuleFolders, folder_options, read_rules
from mcp_agentspawn.cli.surveying import showing, surveyed, worth
from mcp_agentspawn.operations.consistency import unknown_registries


@click.group(short_help="Look into registries.")
def registry() -> None:
    """Look into registries of agents."""


@registry.command("check")
@click.option(
    "--registries",
    type=FOLDER,
    default=HERE,
    show_default=True,
    envvar=VARIABLE,
    show_envvar=True,
    help="The folder of registries.",
)
@click.option("--examples", type=click.IntRange(0), default=3, show_default=True, help="How many entries per reason.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON, with every entry of each reason.")
@folder_options
def check(registries: Path, policies: Path, templates: Path, examples: int, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Read every registry once, now, and say what callers under each policy that shows it find and could spawn.

    The count of what could be spawned is for where all that the templates name is there. An entry is counted under
    each reason that stands in its way. No cluster is asked.

    Exits with 1 when a registry could not be read whole, or a policy shows one that there is not.
    """
    folders, sources = read_rules(policies, templates), read_sources(registries)
    unknown = unknown_registries(folders.rules.policies, sources.values)
    misfits = [folders.policies.problem(one.name, one.path, one.message) for one in unknown]
    found = asyncio.run(_all(folders, sources, None if as_json else examples))
    if as_json:
        click.echo(json.dumps({"registries": found, "misfits": [asdict(one) for one in misfits]}, indent=2))
    for misfit in () if as_json else misfits:
        click.echo(escaped(str(misfit)))
    if misfits or any(one["read"] != "whole" for one in found):
        sys.exit(FINDINGS)


async def _all(folders: RuleFolders, sources: Folder[Source], examples: int | None) -> list[Document]:
    """What each registry came to, printed as soon as it is known unless there are no examples."""
    found = []
    async for one in _each(folders, sources):
        found.append(one)
        for line in () if examples is None else lines(one, examples):
            click.echo(line)
    return found


async def _each(folders: RuleFolders, sources: Folder[Source]) -> AsyncIterator[Document]:
    """One after the other: each has the time and the memory for itself."""
    for name, source in sorted(sources.values.items()):
        survey = await surveyed(source.endpoint(name))
        entries = survey.reading.entries if survey.reading else ()
        judged = [await worth(folders.rules, policy, name, entries) for policy in showing(folders.rules, name)]
        yield document(survey, judged, folders.policies)
