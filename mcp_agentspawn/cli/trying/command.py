"""`agentspawn test`: do the policies decide as their owners mean it?"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from mcp_agentspawn.adapters.files import Folder, examine
from mcp_agentspawn.cli import FINDINGS
from mcp_agentspawn.cli.escaping import escaped
from mcp_agentspawn.cli.rule_folders import FOLDER, folder_options, read_rules, there
from mcp_agentspawn.cli.trying.cases import Cases
from mcp_agentspawn.cli.trying.coverage import undecided
from mcp_agentspawn.cli.trying.played import Played
from mcp_agentspawn.cli.trying.stage import Stage
from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.operations.services import Rules

TESTS = "tests"


@click.command(short_help="Try policies: which request gets which answer?")
@click.argument("folders", nargs=-1, type=FOLDER)
@folder_options
@click.option("--coverage", is_flag=True, help="Name the keys of policies by which no case was decided.")
def try_cases(folders: tuple[Path, ...], policies: Path, templates: Path, coverage: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Play the cases of all *.yaml in FOLDERS (default: the folder tests beside the policies) against the rule book.

    Each case has a world of its own, in this process, where all that the templates name is there, and is answered by
    what answers in the server. Exits with 1 when an answer is not the expected one or a folder is not there, with 2 for
    files that can not be read.
    """
    read = read_rules(policies, templates)
    files = [_read(folder) for folder in folders or (policies / TESTS,)]
    played = [one for folder in files for one in asyncio.run(_played(folder, read.rules))]
    for line in _lines(played):
        click.echo(escaped(line))
    if coverage:
        for line in asyncio.run(undecided(played, read)):
            click.echo(escaped(line))
    if not all(one.passed for one in played):
        sys.exit(FINDINGS)


def _read(folder: Path) -> Folder[Cases]:
    read = there(examine(folder, Cases), "FOLDERS")
    if read.problems:
        raise ConfigError([str(problem) for problem in read.problems])
    return read


async def _played(folder: Folder[Cases], rules: Rules) -> list[Played]:
    found = []
    for name, file in sorted(folder.values.items()):
        for index, case in enumerate(file.cases):
            stage = Stage(rules, case)
            matching = tuple(key for key, policy in rules.policies.items() if policy.callers.match(stage.root))
            line = folder.documents[name].line_of(("cases", index))
            found.append(Played(folder.file(name), line, case, await stage.play(), matching))
    return found


def _lines(played: Sequence[Played]) -> Iterator[str]:
    for file in dict.fromkeys(one.file for one in played):
        here = [one for one in played if one.file == file]
        failed = [one for one in here if not one.passed]
        yield f"{file}: {len(here) - len(failed)} passed, {len(failed)} failed"
        for one in failed:
            yield f"{one.file}:{one.line}: {one.case.name}"
            yield f"  expected {one.expected}"
            yield f"  got      {one.got}"
