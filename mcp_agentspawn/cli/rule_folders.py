"""The folders of policies and templates that a command works with."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import BaseModel

from mcp_agentspawn.adapters.files import Folder, Problem, examine
from mcp_agentspawn.cli import FINDINGS
from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.services import Rules
from mcp_agentspawn.settings import PREFIX

FOLDER = click.Path(path_type=Path)

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class RuleFolders:
    """Both folders as they were read, without a mistake."""

    policies: Folder[Policy]
    templates: Folder[Template]

    @property
    def rules(self) -> Rules:
        """What they say. Two policies may match one caller: that caller is refused everything."""
        return Rules(self.templates.values, self.policies.values)


def read_rules(policies: Path, templates: Path) -> RuleFolders:
    """Read both. Raises ConfigError with every problem as `file:line: key: message`; see also `there`."""
    read = RuleFolders(
        there(examine(policies, Policy), "--policies"), there(examine(templates, Template), "--templates")
    )
    if problems := [*read.templates.problems, *read.policies.problems]:
        raise ConfigError([str(problem) for problem in problems])
    return read


def there(read: Folder[M], option: str, advice: str = "") -> Folder[M]:
    """The folder as it was read. Ends the command when it is not there or empty, and says how it was named."""
    for problem in read.problems:
        if _of_folder(problem, read.path):
            click.echo(f"{line_of(problem, {option: read.path})}{advice}", err=True)
            sys.exit(FINDINGS)
    return read


def line_of(problem: Problem, options: Mapping[str, Path]) -> str:
    """How a problem is printed: one with a whole folder has no line, but the option that names the folder."""
    for option, folder in options.items():
        if _of_folder(problem, folder):
            return f"{option} {problem.file}: {problem.message}"
    return str(problem)


def _of_folder(problem: Problem, folder: Path) -> bool:
    return problem.file == str(folder)


def folder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--policies` and `--templates`, which the settings of a server give, too."""
    for name in ("templates", "policies"):
        option = click.option(
            f"--{name}",
            type=FOLDER,
            default=Path(name),
            show_default=True,
            envvar=PREFIX + name.upper(),
            show_envvar=True,
            help=f"The folder of {name}.",
        )
        command = option(command)
    return command
