"""The folders of policies and templates that a command works with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mcp_agentspawn.adapters.files import Folder, examine
from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.services import Rules

FOLDER = click.Path(path_type=Path)


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
    """Read both. Raises ConfigError with every problem as `file:line: key: message`."""
    read = RuleFolders(examine(policies, Policy), examine(templates, Template))
    if problems := [*read.templates.problems, *read.policies.problems]:
        raise ConfigError([str(problem) for problem in problems])
    return read


def folder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--policies` and `--templates`."""
    for name in ("templates", "policies"):
        option = click.option(
            f"--{name}", type=FOLDER, default=Path(name), show_default=True, help=f"The folder of {name}."
        )
        command = option(command)
    return command
