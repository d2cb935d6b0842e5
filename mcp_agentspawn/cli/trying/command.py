"""`agentspawn test`: do the policies decide as their owners mean it?"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from mcp_agentspawn.adapters.files import Folder, examine
from mcp_agentspawn.cli import FINDINGS
from mcp_agentspawn.cli.escaping import escaped
from mcp_agentspawn.cli.policy_lines import key_behind, keys_of, line_behind
from mcp_agentspawn.cli.rule_folders import FOLDER, folder_options, read_rules
from mcp_agentspawn.cli.trying.cases import Case, Cases
from mcp_agentspawn.cli.trying.stage import Said, Stage
from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.core.guard import Guard
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.services import Rules

TESTS = "tests"


@dataclass(frozen=True, slots=True)
class Played:
    """A case that was played: where it stands, and what was answered. `policies` are those that matched its caller."""

    file: str
    line: int
    case: Case
    got: Said
    policies: tuple[str, ...]

    @property
    def expected(self) -> Said:
        """What must be answered; the risk counts only where it is named."""
        expect = self.case.expect
        return Said(expect.outcome, frozenset(expect.codes), expect.risk or self.got.risk)

    @property
    def passed(self) -> bool:
        """Whether it was answered so."""
        return self.got == self.expected


@click.command(short_help="Try policies: which request gets which answer?")
@click.argument("folders", nargs=-1, type=FOLDER)
@folder_options
@click.option("--coverage", is_flag=True, help="Name the keys of policies by which no case was decided.")
def try_cases(folders: tuple[Path, ...], policies: Path, templates: Path, coverage: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Play the cases of all *.yaml in FOLDERS (default: the folder tests beside the policies) against the rule book.

    Each case has a world of its own, in this process, where all that the templates name is there, and is answered by
    what answers in the server. Exits with 1 when an answer is not the expected one, with 2 for files that can not be
    read.
    """
    read = read_rules(policies, templates)
    files = [_read(folder) for folder in folders or (policies / TESTS,)]
    played = [one for folder in files for one in asyncio.run(_played(folder, read.rules))]
    for line in _lines(played):
        click.echo(escaped(line))
    if coverage:
        for line in _undecided(played, read.policies):
            click.echo(escaped(line))
    if not all(one.passed for one in played):
        sys.exit(FINDINGS)


def _read(folder: Path) -> Folder[Cases]:
    read = examine(folder, Cases)
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


def _undecided(played: Sequence[Played], policies: Folder[Policy]) -> Iterator[str]:
    for name in policies.values:
        codes = {code for one in played if one.policies == (name,) for code in one.got.codes}
        decided = {key_behind(code) for code in codes}
        lines = [line_behind(policies, name, key) for key in _keys()]
        undecided = [str(line) for line in lines if line and key_behind(line.key) not in decided]
        for line in dict.fromkeys(undecided):
            yield f"no case was decided by {line}"


def _keys() -> Iterator[str]:
    """Every key of every guard; the guard itself where it has none."""
    for name in Policy.model_fields:
        if isinstance(getattr(Policy(), name), Guard):
            yield from [f"{name}.{key}" for key in keys_of(name)] or [name]
