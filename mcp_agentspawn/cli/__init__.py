"""The command line. Exit codes: 0 fine, 1 findings or denied, 2 usage, 3 unavailable."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from mcp_agentspawn.core.errors import ConfigError, Upstream
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.localplane.errors import ControlPlaneFailed, ControlPlaneUnavailable, InstallFailed

FINDINGS, USAGE, UNAVAILABLE, INTERRUPTED = 1, 2, 3, 130
NOT_TO_BE_HAD = (Upstream, ControlPlaneUnavailable, ControlPlaneFailed, InstallFailed)

COMMANDS: Mapping[str, str] = {
    "serve": "mcp_agentspawn.cli.serve:serve",
    "dev": "mcp_agentspawn.cli.dev.command:dev",
    "demo": "mcp_agentspawn.cli.dev.command:demo",
    "check": "mcp_agentspawn.cli.check:check",
    "test": "mcp_agentspawn.cli.trying.command:try_cases",
    "explain": "mcp_agentspawn.cli.explain:explain",
    "search": "mcp_agentspawn.cli.search:search",
    "registry": "mcp_agentspawn.cli.registry:registry",
    "manifests": "mcp_agentspawn.cli.onboard:manifests",
    "proposals": "mcp_agentspawn.cli.deciding:proposals",
    "show": "mcp_agentspawn.cli.deciding:show",
    "approve": "mcp_agentspawn.cli.deciding:approve",
    "deny": "mcp_agentspawn.cli.deciding:deny",
    "tasks": "mcp_agentspawn.cli.answer:tasks",
    "answer": "mcp_agentspawn.cli.answer:answer",
    "freeze": "mcp_agentspawn.cli.stopping:freeze",
    "unfreeze": "mcp_agentspawn.cli.stopping:unfreeze",
    "retire-tree": "mcp_agentspawn.cli.stopping:retire_tree",
    "reset": "mcp_agentspawn.cli.stopping:reset",
    "audit": "mcp_agentspawn.cli.audit:audit",
    "healthcheck": "mcp_agentspawn.cli.healthcheck:healthcheck",
}
"""Each command and where it is; imported when it is asked for, since not all need a cluster's client."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What commands reach a cluster with (`context.obj`)."""

    async def read_heads(self, kubeconfig: Path | None) -> Sequence[Head]:
        """The audit heads of all ledgers, from the cluster of this kubeconfig; None: the current one."""
        heads: Sequence[Head] = await import_module("mcp_agentspawn.composing").read_heads(kubeconfig)
        return heads

    def cluster(self, kubeconfig: Path | None) -> AbstractAsyncContextManager[Any]:
        """The cluster of this kubeconfig (None: the current one) with the identity that it names."""
        reached: AbstractAsyncContextManager[Any] = import_module("mcp_agentspawn.composing").connect(
            (), kubeconfig=kubeconfig
        )
        return reached


class Commands(click.Group):
    """Finds commands by name, and turns failures into messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All of them, in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import it."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what we raise on purpose is said in its own words, without a traceback."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            _say(*error.problems)
            sys.exit(USAGE)
        except NOT_TO_BE_HAD as error:
            _say(str(error))
            sys.exit(UNAVAILABLE)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(line, err=True)


@click.group(cls=Commands)
@click.version_option(package_name="mcp-agentspawn")
@click.pass_context
def main(context: click.Context) -> None:
    """Agents that create agents, under policy, on kagent."""
    context.obj = Ports()
