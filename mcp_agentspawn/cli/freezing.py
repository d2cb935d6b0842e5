"""What `freeze` and `unfreeze` do and say: first what was switched, then what else is frozen."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import click

from mcp_agentspawn.cli.escaping import block, escaped
from mcp_agentspawn.cli.knowing import is_known_namespace, is_known_root
from mcp_agentspawn.cli.people import FINE, Cluster, complain
from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.names import CANARY, SYSTEM_NAMESPACE
from mcp_agentspawn.core.switches import EVERYWHERE, Freeze, widest_first

CANARYS = f"{SYSTEM_NAMESPACE}/{CANARY}"


async def list_frozen(cluster: Cluster) -> int:
    """Say what is frozen."""
    found = await _frozen(cluster)
    _say_all(found, "Frozen: ")
    if not found:
        click.echo("Nothing is frozen.")
    return FINE


async def freeze_one(cluster: Cluster, switched: Freeze) -> int:
    """Freeze it, say so, and warn when nobody here knows what it names: the freeze stands all the same."""
    mine = replace(switched, by=await cluster.whoami())
    replaced = await cluster.switchboard.set(mine)
    for line in [*_told(mine, "Frozen: "), *instead_of(replaced)]:
        click.echo(line)
    await _say_the_rest(cluster, switched)
    # Not to know whether its name is mistyped is no failure of it.
    with suppress(Upstream):
        await _warn(cluster, switched)
    return FINE


async def unfreeze_one(cluster: Cluster, switched: Freeze) -> int:
    """End this freeze and say whether there was one."""
    mine = replace(switched, by=await cluster.whoami())
    ended = await cluster.switchboard.set(mine) if await _is_there(cluster, switched.name) else None
    what = _place(switched)
    click.echo(escaped(f"Unfrozen: {what}" if ended and ended.frozen else f"{what} was not frozen."))
    await _say_the_rest(cluster, switched)
    return FINE


async def _is_there(cluster: Cluster, name: str) -> bool:
    """Whether there is such a freeze: to end one that never was would make one. That of everything always is."""
    return name == EVERYWHERE or name in {each.name for each in (await cluster.switchboard.current(fresh=True)).freezes}


def instead_of(replaced: Freeze | None) -> Iterator[str]:
    """Say which freeze was replaced, so that its reason is not lost; nothing when nothing was frozen by it."""
    if replaced is not None and replaced.frozen:
        yield from block(f"{replaced.reason} (by {replaced.by})", "  instead of ")


async def _say_the_rest(cluster: Cluster, switched: Freeze) -> None:
    """What was switched stands, whatever else can be said."""
    try:
        found = await _frozen(cluster)
    except Upstream as error:
        complain(f"Warning: what else is frozen can not be said: {error}")
    else:
        _say_all([each for each in found if each.name != switched.name], "Still frozen: ")


async def _frozen(cluster: Cluster) -> Sequence[Freeze]:
    freezes = (await cluster.switchboard.current(fresh=True)).freezes
    return widest_first(freeze for freeze in freezes if freeze.frozen and freeze.root != CANARYS)


def _say_all(freezes: Iterable[Freeze], head: str) -> None:
    for freeze in freezes:
        for line in _told(freeze, head):
            click.echo(line)


def _told(freeze: Freeze, head: str) -> Iterator[str]:
    yield from block(f"{_place(freeze)}, by {freeze.by}", head)
    yield from block(freeze.reason, "  ")


async def _warn(cluster: Cluster, switched: Freeze) -> None:
    if switched.root and not await is_known_root(cluster, switched.root):
        complain(f"Warning: no root {switched.root} is known here; the freeze stands all the same.")
    if switched.namespace and not await is_known_namespace(cluster, switched.namespace):
        complain(f"Warning: no namespace {switched.namespace} is known here; the freeze stands all the same.")


def _place(freeze: Freeze) -> str:
    return freeze.root or (f"namespace {freeze.namespace}" if freeze.namespace else "everything")
