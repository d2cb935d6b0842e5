"""`agentspawn freeze`, `unfreeze`, `retire-tree` and `reset`: what people do to a root, or to all of them."""

from pathlib import Path

import click

from mcp_agentspawn.cli.freezing import CANARYS, freeze_one, list_frozen, unfreeze_one
from mcp_agentspawn.cli.people import as_person, kubeconfig_option, namespace_name, reason_option, root_name
from mcp_agentspawn.cli.resetting import account_uid, reset_root
from mcp_agentspawn.cli.retiring import retire_root
from mcp_agentspawn.core.names import DEFAULT_HOME
from mcp_agentspawn.core.switches import Freeze, freeze_name


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
    as_person(kubeconfig, lambda cluster: retire_root(cluster, root, namespace, first))


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
