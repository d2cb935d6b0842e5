"""Whose request it is, at the command line."""

from typing import Any

import click

from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import DEFAULT_HOME
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.settings import root_of

SOME_ACCOUNT = "default"


class RootAndHome(click.ParamType[Root]):
    """`namespace/account`, or `namespace/account@home` where its subagents live in a namespace of their own."""

    name = "namespace/account[@home]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Root:
        """Take it if it can be a root's."""
        try:
            return root_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def root_under(policy: Policy) -> Root | None:
    """Somebody whom this policy is for; `None` when it is for nobody."""
    callers = policy.callers
    names = [*callers.service_accounts, *(f"{namespace}/{SOME_ACCOUNT}" for namespace in callers.namespaces)]
    return Root.named(names[0], DEFAULT_HOME) if names else None
