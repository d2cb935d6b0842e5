"""What the commands for people share: whose identity they use, and how what went wrong is said."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

import click

from mcp_agentspawn.cli import FINDINGS, UNAVAILABLE
from mcp_agentspawn.cli.escaping import escaped
from mcp_agentspawn.cli.reaching import advice, whereabouts
from mcp_agentspawn.core.delegation import TaskAnswers, Tasks
from mcp_agentspawn.core.errors import Conflict, Missing, Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import LABEL
from mcp_agentspawn.core.ports import Agents, Approvals, Clock, Ledgers, Proposals, Switchboard
from mcp_agentspawn.settings import ROOT

FINE = 0
MOST_REASON_CHARACTERS = 500


class Cluster(Protocol):
    """A cluster, used with a person's own identity; see `core.ports` for its parts."""

    @property
    def proposals(self) -> Proposals:
        """What is asked for."""
        ...

    @property
    def ledgers(self) -> Ledgers:
        """What roots hold and have spent."""
        ...

    @property
    def approvals(self) -> Approvals:
        """What people decided."""
        ...

    @property
    def switchboard(self) -> Switchboard:
        """What people switched."""
        ...

    @property
    def agents(self) -> Agents:
        """What stands; `expire` removes one as this person."""
        ...

    @property
    def tasks(self) -> Tasks:
        """What subagents were given to do."""
        ...

    @property
    def task_answers(self) -> TaskAnswers:
        """What people said to their tool calls."""
        ...

    @property
    def clock(self) -> Clock:
        """The time on this machine."""
        ...

    async def whoami(self) -> str:
        """The user name by which the API server knows this person."""
        ...

    async def account_uid(self, root: Root) -> str:
        """The uid of a root's service account. Raises `Missing` when there is none, and `Refused`."""
        ...


Reach = Callable[[Path | None], AbstractAsyncContextManager[Cluster]]
"""Reaches the cluster of this kubeconfig; `None`: the current one. The root context's `obj` carries it as `cluster`."""


def root_name(_: click.Context, __: click.Parameter, value: str | None) -> str:
    """Take `namespace/account`. An option that is not there is `""`; one that is there and empty is a mistake."""
    match = None if value is None else ROOT.match(value)
    if value is not None and (match is None or match["home"]):
        raise click.BadParameter(f"{value!r} is not namespace/account")
    return value or ""


def namespace_name(_: click.Context, __: click.Parameter, value: str | None) -> str:
    """Take the name of a namespace, by the same rule."""
    if value is not None and not re.fullmatch(LABEL, value):
        raise click.BadParameter(f"{value!r} is no namespace's name")
    return value or ""


def _short(_: click.Context, __: click.Parameter, value: str) -> str:
    if len(value) > MOST_REASON_CHARACTERS:
        raise click.BadParameter(f"at most {MOST_REASON_CHARACTERS} characters")
    return value


kubeconfig_option = click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="The cluster, and who you are there; without it, the current one.",
)
reason_option = click.option("--reason", default="", callback=_short, help="Why; others will read it.")


def as_person(kubeconfig: Path | None, work: Callable[[Cluster], Awaitable[int]]) -> None:
    """Do it with the identity of this kubeconfig, and exit with the code that it gives back.

    What the API server refuses is 1, also where that leaves something unknown, and is said with its code and, where a
    role is missing, with that; without an answer it is 3, and said with the address.
    """
    reach: Reach = click.get_current_context().find_root().obj.cluster
    try:
        sys.exit(asyncio.run(_reached(reach(kubeconfig), work)))
    except Refused as error:
        complain(f"{error.code}: {error.message}{advice(error, kubeconfig)}")
        sys.exit(FINDINGS)
    except (Conflict, Missing) as error:
        complain(str(error))
        sys.exit(FINDINGS)
    except (Unavailable, UnknownOutcome) as error:
        if isinstance(error.__cause__, Refused):
            complain(f"{error}{advice(error.__cause__, kubeconfig)}")
            sys.exit(FINDINGS)
        complain(f"{error}{whereabouts(kubeconfig)}")
        sys.exit(UNAVAILABLE)


def complain(*lines: str) -> None:
    """Say what is wrong, whatever it quotes."""
    for line in lines:
        click.echo(escaped(line), err=True)


def moment(time: datetime) -> str:
    """A time as people read it."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


async def _reached(cluster: AbstractAsyncContextManager[Cluster], work: Callable[[Cluster], Awaitable[int]]) -> int:
    async with cluster as reached:
        return await work(reached)
