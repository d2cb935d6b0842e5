"""`agentspawn freeze`, `unfreeze`, `retire-tree` and `reset`: what people do to a root, or to all of them."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from mcp_agentspawn.cli import FINDINGS
from mcp_agentspawn.cli.escaping import escaped
from mcp_agentspawn.cli.freezing import CANARYS, freeze_one, instead_of, list_frozen, unfreeze_one
from mcp_agentspawn.cli.knowing import tree
from mcp_agentspawn.cli.people import (
    FINE,
    Cluster,
    as_person,
    complain,
    kubeconfig_option,
    namespace_name,
    reason_option,
    root_name,
)
from mcp_agentspawn.cli.resetting import account_uid, reset_root
from mcp_agentspawn.cli.standing import state_of
from mcp_agentspawn.core.decisions import counted, is_denied
from mcp_agentspawn.core.errors import Conflict, Refused
from mcp_agentspawn.core.model import Subagent
from mcp_agentspawn.core.names import DEFAULT_HOME
from mcp_agentspawn.core.switches import Freeze, freeze_name

GONE_WITHIN_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.2
FREEZES_WITHIN_SECONDS = 1.0
"""How long after a freeze something that was on its way may still be made."""


@click.command(short_help="Stop every new spawn, at once.")
@click.option("--namespace", callback=namespace_name, help="Only into this namespace, and by roots from it.")
@click.option("--root", callback=root_name, help="Only this root, namespace/account.")
@reason_option
@click.option("--list", "only_list", is_flag=True, help="Change nothing; list what is frozen.")
@kubeconfig_option
def freeze(namespace: str, root: str, reason: str, only_list: bool, kubeconfig: Path | None) -> None:  # noqa: FBT001 - click passes flags so
    """Stop every new spawn within a second: everywhere, in a namespace, or of one root.

    What exists goes on; listing and retiring go on, too.
    """
    if not only_list and not reason:
        raise click.UsageError("--reason is needed: others will want to know.")
    switched = _switched(namespace, root, reason, frozen=True)
    as_person(kubeconfig, list_frozen if only_list else lambda cluster: freeze_one(cluster, switched))


@click.command(short_help="End a freeze.")
@click.option("--namespace", callback=namespace_name, help="The freeze of this namespace, not that of everything.")
@click.option("--root", callback=root_name, help="The freeze of this root, namespace/account.")
@reason_option
@kubeconfig_option
def unfreeze(namespace: str, root: str, reason: str, kubeconfig: Path | None) -> None:
    """End the freeze of everything, or that of a namespace or a root. Others stay as they are."""
    switched = _switched(namespace, root, reason, frozen=False)
    as_person(kubeconfig, lambda cluster: unfreeze_one(cluster, switched))


@click.command("retire-tree", short_help="Remove all subagents of one root.")
@click.argument("root", callback=root_name, metavar="NAMESPACE/ACCOUNT")
@click.option(
    "--namespace",
    callback=namespace_name,
    help=f"Only in this namespace; without it, in {DEFAULT_HOME} and wherever a proposal of the root is for.",
)
@click.option("--keep-open", is_flag=True, help="Do not freeze the root first: it may spawn again at once.")
@reason_option
@kubeconfig_option
def retire_tree(root: str, namespace: str, keep_open: bool, reason: str, kubeconfig: Path | None) -> None:  # noqa: FBT001 - click passes flags so
    """Freeze a root, remove all its subagents in your own name, and wait until they are gone.

    The server need not run for it; it gives their places back when it does. Exits with 1 when something is left or
    could not be looked at, and when nobody knows such a root.
    """
    if not keep_open and not reason:
        raise click.UsageError("--reason is needed: the root is frozen, and others will want to know why.")
    first = None if keep_open else _switched("", root, reason, frozen=True)
    as_person(kubeconfig, lambda cluster: _retire(cluster, root, namespace, first))


@click.command(short_help="Let the counts of a root begin anew, or a new account go on.")
@click.argument("root", callback=root_name, metavar="NAMESPACE/ACCOUNT")
@click.option("--counts", is_flag=True, help="What it has spawned and changed so far counts no longer.")
@click.option("--account", callback=account_uid, help="The service account of this uid may go on; or: current.")
@reason_option
@kubeconfig_option
def reset(root: str, counts: bool, account: str, reason: str, kubeconfig: Path | None) -> None:  # noqa: FBT001 - click passes flags so
    """Let the counts of a root begin anew, or let its service account go on that was deleted and made again."""
    if not counts and not account:
        raise click.UsageError("--counts or --account is needed: without them there is nothing to reset.")
    if not reason:
        raise click.UsageError("--reason is needed: others will want to know.")
    as_person(kubeconfig, lambda cluster: reset_root(cluster, root, account, reason, counts=counts))


def _switched(namespace: str, root: str, reason: str, *, frozen: bool) -> Freeze:
    if namespace and root:
        raise click.UsageError("--namespace and --root exclude each other.")
    if root == CANARYS:
        raise click.UsageError("That freeze shows the server that freezing works; it stays.")
    return Freeze(freeze_name(namespace, root), frozen, reason, namespace=namespace, root=root)


@dataclass
class _Progress:
    """What became of a tree's subagents so far: those that were seen, those that are left, and refusals by id.

    `homes` are the namespaces that were looked into; of them, `unread` says why one could not be.
    """

    homes: set[str] = field(default_factory=set)
    unread: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    left: Sequence[Subagent] = ()
    refused: dict[str, str] = field(default_factory=dict)
    ended: bool = False

    @property
    def over(self) -> bool:
        """Whether there is nothing left to ask or to wait for."""
        return all(agent.id in self.refused for agent in self.left)


async def _retire(cluster: Cluster, root: str, only: str, first: Freeze | None) -> int:
    if first is not None:
        replaced = await cluster.switchboard.set(replace(first, by=await cluster.whoami()))
        for line in [f"Frozen: {escaped(root)}", *instead_of(replaced)]:
            click.echo(line)
    progress = _Progress()
    with suppress(TimeoutError):
        async with asyncio.timeout(GONE_WITHIN_SECONDS):
            await _remove_everywhere(cluster, root, only, progress, FREEZES_WITHIN_SECONDS if first else 0.0)
            progress.ended = True
    proposed = await _proposed(cluster, root)
    elsewhere = proposed - progress.homes
    known = bool(progress.seen or proposed) or root in await cluster.ledgers.roots()
    _tell(root, progress, elsewhere)
    if progress.ended and not progress.seen:
        _tell_of_none(root, progress, known=known, frozen=first is not None)
    await _tell_of_open(cluster, root)
    found = bool(progress.seen) or (known and not elsewhere)
    return FINE if found and progress.ended and not progress.left and not progress.unread else FINDINGS


async def _remove_everywhere(cluster: Cluster, root: str, only: str, progress: _Progress, settles_in: float) -> None:
    """Where its subagents live may be known only once the last proposal was made."""
    settled = asyncio.get_running_loop().time() + settles_in
    while new := await _homes(cluster, root, only) - progress.homes:
        progress.homes |= new
        await _remove_all(cluster, root, progress, settled)


async def _homes(cluster: Cluster, root: str, only: str) -> set[str]:
    return {only} if only else {DEFAULT_HOME} | await _proposed(cluster, root)


async def _proposed(cluster: Cluster, root: str) -> set[str]:
    """The namespaces that proposals of this root are for."""
    return {proposal.home for proposal in await cluster.proposals.of_root(tree(root))}


async def _remove_all(cluster: Cluster, root: str, progress: _Progress, settled: float) -> None:
    """Remove what there is until nothing is left; what may still be on its way is waited for."""
    loop = asyncio.get_running_loop()
    while True:
        all_made = loop.time() >= settled
        progress.left = await _standing(cluster, root, progress)
        if all_made and progress.over:
            return
        for agent in progress.left:
            progress.seen.add(agent.id)
            if not agent.deleting and agent.id not in progress.refused:
                await _remove(cluster, agent, progress)
        await asyncio.sleep(LOOK_EVERY_SECONDS)


async def _standing(cluster: Cluster, root: str, progress: _Progress) -> Sequence[Subagent]:
    """Its subagents in all namespaces; one that is closed to this person hides nothing of the others."""
    found: list[Subagent] = []
    for home in sorted(progress.homes - progress.unread.keys()):
        try:
            found += await cluster.agents.of_root(tree(root, home))
        except Refused as error:
            progress.unread[home] = f"{error.code}: {error.message}"
    return found


async def _remove(cluster: Cluster, agent: Subagent, progress: _Progress) -> None:
    """One refusal never hides the others; one that became another by now is looked at again."""
    try:
        with suppress(Conflict):
            await cluster.agents.expire(agent.home, agent.id, agent.uid)
    except Refused as error:
        progress.refused[agent.id] = f"{error.code}: {error.message}"


def _tell(root: str, progress: _Progress, elsewhere: Iterable[str]) -> None:
    left = {agent.id: progress.refused.get(agent.id, "it was asked to go") for agent in progress.left}
    for id_ in sorted(progress.seen - left.keys()):
        click.echo(f"Gone: {escaped(id_)}")
    for id_, why in sorted(left.items()):
        complain(f"Not gone: {id_}: {why}")
    for home, why in sorted(progress.unread.items()):
        complain(f"{why} So nobody looked for its subagents in {home}.")
    for home in sorted(elsewhere):
        complain(f"Not looked into: {home}, for which {root} has proposals, too.")
    if not progress.ended:
        complain(f"It was not over within {GONE_WITHIN_SECONDS:g} seconds; look again.")


def _tell_of_none(root: str, progress: _Progress, *, known: bool, frozen: bool) -> None:
    looked = ", ".join(sorted(progress.homes - progress.unread.keys()))
    nowhere = f"no subagents in {looked}" if looked else "no subagents that you may see"
    if known:
        click.echo(escaped(f"{root} has {nowhere}."))
    else:
        all_the_same = " It is frozen all the same." if frozen else ""
        complain(f"{root} is unknown: it has no proposal, no ledger and {nowhere}.{all_the_same}")


async def _tell_of_open(cluster: Cluster, root: str) -> None:
    """Subagents may come back from proposals that are open still."""
    now, found = cluster.clock.now(), await cluster.proposals.of_root(tree(root))
    decisions = await cluster.approvals.all()
    left = [each for each in found if state_of(each, now) == "open" and not is_denied(counted(each, decisions))]
    if left:
        stopped = (await cluster.switchboard.current(fresh=True)).stopping(tree(root))
        when = "can be applied once unfrozen" if stopped else "can be applied"
        click.echo(f"Open proposals that remain: {len(left)}; they {when}.")
