"""What `reset` does and says: counts of a known root begin anew, or its recreated service account goes on."""

import re

import click

from mcp_agentspawn.cli import FINDINGS
from mcp_agentspawn.cli.escaping import escaped
from mcp_agentspawn.cli.knowing import is_known_root, tree
from mcp_agentspawn.cli.people import FINE, Cluster, complain
from mcp_agentspawn.core.errors import Missing, Upstream
from mcp_agentspawn.core.switches import Reset
from mcp_agentspawn.operations.services import random_suffix

CURRENT = "current"
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def account_uid(_: click.Context, __: click.Parameter, value: str | None) -> str:
    """Take `current` or a uid, which Kubernetes writes as a UUID. An option that is not there is `""`."""
    word = (value or "").lower()
    if value is not None and word != CURRENT and not UID.fullmatch(word):
        raise click.BadParameter(
            f"{value!r} is neither {CURRENT} nor a uid, as kubectl get serviceaccount -o yaml says"
        )
    return word


async def reset_root(cluster: Cluster, root: str, account: str, reason: str, *, counts: bool) -> int:
    """Store this person's word; of a root that nobody knows nothing is stored."""
    if not await is_known_root(cluster, root):
        complain(
            f"{root} is unknown: it has no proposal, no ledger and no subagents that you may see. Nothing is reset."
        )
        return FINDINGS
    if account == CURRENT:
        account = await cluster.account_uid(tree(root))
    elif account:
        await _compare(cluster, root, account)
    me = await cluster.whoami()
    name = f"{tree(root).key}.{random_suffix()}"
    stored = await cluster.switchboard.reset(Reset(name, root, counts, account, reason, me))
    said = ["its counts begin anew"] * counts + [f"account {account} may go on with its tree"] * bool(account)
    click.echo(escaped(f"{root}: {', and '.join(said)} ({stored.name}, as {me})."))
    return FINE


async def _compare(cluster: Cluster, root: str, account: str) -> None:
    """Say it when this uid is not the account's own, which may be meant: the account may be made again later."""
    try:
        current = await cluster.account_uid(tree(root))
    except Missing:
        complain(f"Warning: there is no service account {root} now.")
    except Upstream as error:
        complain(f"Warning: whether this is the current uid of {root} can not be said: {error}")
    else:
        if current != account:
            complain(f"Warning: the current uid of {root} is {current}, and not this one.")
