"""What `retire-tree` does and says: a root is frozen, its subagents go, and whatever is left is told."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import click

from mcp_agentspawn.cli import FINDINGS
from mcp_agentspawn.cli.escaping import escaped
from mcp_agentspawn.cli.freezing import instead_of
from mcp_agentspawn.cli.knowing import has_ledger, tree
from mcp_agentspawn.cli.people import FINE, Cluster, complain
from mcp_agentspawn.cli.standing import state_of
from mcp_agentspawn.core.decisions import counted, is_denied
from mcp_agentspawn.core.errors import Conflict, Refused, Unavailable, UnknownOutcome, Upstream
from mcp_agentspawn.core.model import Proposal, Subagent
from mcp_agentspawn.core.names import DEFAULT_HOME
from mcp_agentspawn.core.switches import Freeze

GONE_WITHIN_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.2
FREEZES_WITHIN_SECONDS = 1.0
"""How long after a freeze something that was on its way may still be made."""


@dataclass
class _Progress:
    """What became of a tree's subagents so far: those that were seen, those that are left, and refusals by id.

    `homes` are the namespaces that were looked into; of them, `unread` says why one could not be. `proposals` are the
    root's, as they were last read. `unanswered` is what went wrong last without a definite no; it is tried again.
    """

    homes: set[str] = field(default_factory=set)
    unread: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    left: Sequence[Subagent] = ()
    refused: dict[str, str] = field(default_factory=dict)
    proposals: Sequence[Proposal] = ()
    unanswered: str = ""
    all_looked_at: bool = False
    ended: bool = False

    @property
    def over(self) -> bool:
        """Whether there is nothing left to ask or to wait for."""
        hopeless = (agent.id in self.refused or agent.home in self.unread for agent in self.left)
        return self.all_looked_at and all(hopeless)

    @property
    def elsewhere(self) -> set[str]:
        """The namespaces that its proposals are for and that were not looked into."""
        return {proposal.home for proposal in self.proposals} - self.homes


async def retire_root(cluster: Cluster, root: str, only: str, first: Freeze | None) -> int:
    """Freeze it if that is wanted `first`, remove its subagents, in one namespace `only` or everywhere, and tell."""
    if first is not None:
        replaced = await cluster.switchboard.set(replace(first, by=await cluster.whoami()))
        for line in [f"Frozen: {escaped(root)}", *instead_of(replaced)]:
            click.echo(line)
    progress = _Progress()
    with suppress(TimeoutError):
        async with asyncio.timeout(GONE_WITHIN_SECONDS):
            await _remove_everywhere(cluster, root, only, progress, FREEZES_WITHIN_SECONDS if first else 0.0)
            progress.ended = True
    _tell(root, progress)
    known = bool(progress.seen or progress.proposals) or await has_ledger(cluster, root)
    if progress.ended and not progress.seen:
        _tell_of_none(root, progress, known=known, frozen=first is not None)
    await _tell_of_open(cluster, root, progress.proposals)
    found = bool(progress.seen) or (known and not progress.elsewhere)
    return FINE if found and progress.ended and not progress.left and not progress.unread else FINDINGS


async def _remove_everywhere(cluster: Cluster, root: str, only: str, progress: _Progress, settles_in: float) -> None:
    """Where its subagents live may be known only once the last proposal was made."""
    settled = asyncio.get_running_loop().time() + settles_in
    progress.homes.add(only or DEFAULT_HOME)
    if not only:
        await _are_all_known(cluster, root, only, progress)
    await _remove_all(cluster, root, progress, settled)
    while not await _are_all_known(cluster, root, only, progress):
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        await _remove_all(cluster, root, progress, settled)


async def _are_all_known(cluster: Cluster, root: str, only: str, progress: _Progress) -> bool:
    """Read its proposals, and say whether the namespaces that they are for are known; from now on they are."""
    try:
        progress.proposals = await cluster.proposals.of_root(tree(root))
    except Unavailable as error:
        progress.unanswered = str(error)
        return False
    new = set() if only else progress.elsewhere
    progress.homes |= new
    return not new


async def _remove_all(cluster: Cluster, root: str, progress: _Progress, settled: float) -> None:
    """Remove what there is until nothing is left; what may still be on its way is waited for."""
    loop = asyncio.get_running_loop()
    while True:
        all_made = loop.time() >= settled
        found = await _look(cluster, root, progress)
        if all_made and progress.over:
            return
        for agent in found:
            progress.seen.add(agent.id)
            if not agent.deleting and agent.id not in progress.refused:
                await _remove(cluster, agent, progress)
        await asyncio.sleep(LOOK_EVERY_SECONDS)


async def _look(cluster: Cluster, root: str, progress: _Progress) -> Sequence[Subagent]:
    """What stands in all namespaces; one that can not be looked into hides nothing of the others.

    Nor is anything gone because nobody could look: of such a namespace what was seen last stays true.
    """
    found: list[Subagent] = []
    looked_into: set[str] = set()
    for home in sorted(progress.homes - progress.unread.keys()):
        try:
            found += await cluster.agents.of_root(tree(root, home))
            looked_into.add(home)
        except Refused as error:
            progress.unread[home] = f"{error.code}: {error.message}"
        except Unavailable as error:
            progress.unanswered = str(error)
    progress.left = [*found, *(agent for agent in progress.left if agent.home not in looked_into)]
    progress.all_looked_at = progress.homes == looked_into | progress.unread.keys()
    return found


async def _remove(cluster: Cluster, agent: Subagent, progress: _Progress) -> None:
    """No answer for one hides the others; one that became another by now, or may be gone, is looked at again."""
    try:
        with suppress(Conflict):
            await cluster.agents.expire(agent.home, agent.id, agent.uid)
    except Refused as error:
        progress.refused[agent.id] = f"{error.code}: {error.message}"
    except (Unavailable, UnknownOutcome) as error:
        progress.unanswered = str(error)


def _tell(root: str, progress: _Progress) -> None:
    left = {agent.id: progress.refused.get(agent.id, "it was asked to go") for agent in progress.left}
    for id_ in sorted(progress.seen - left.keys()):
        click.echo(f"Gone: {escaped(id_)}")
    for id_, why in sorted(left.items()):
        complain(f"Not gone: {id_}: {why}")
    for home, why in sorted(progress.unread.items()):
        complain(f"{why} So nobody looked for its subagents in {home}.")
    for home in sorted(progress.elsewhere):
        complain(f"Not looked into: {home}, for which {root} has proposals, too.")
    if not progress.ended:
        last = f" What went wrong last: {progress.unanswered}" if progress.unanswered else ""
        complain(f"It was not over within {GONE_WITHIN_SECONDS:g} seconds; look again.{last}")


def _tell_of_none(root: str, progress: _Progress, *, known: bool, frozen: bool) -> None:
    looked = ", ".join(sorted(progress.homes - progress.unread.keys()))
    nowhere = f"no subagents in {looked}" if looked else "no subagents that you may see"
    if known:
        click.echo(escaped(f"{root} has {nowhere}."))
    else:
        all_the_same = " It is frozen all the same." if frozen else ""
        complain(f"{root} is unknown: it has no proposal, no ledger and {nowhere}.{all_the_same}")


async def _tell_of_open(cluster: Cluster, root: str, proposals: Sequence[Proposal]) -> None:
    """Subagents may come back from proposals that are open still; not to know how many undoes no removal."""
    now = cluster.clock.now()
    if not (opened := [each for each in proposals if state_of(each, now) == "open"]):
        return
    try:
        decisions = await cluster.approvals.all()
        stopped = (await cluster.switchboard.current(fresh=True)).stopping(tree(root))
    except Upstream as error:
        complain(f"Warning: of its proposals {len(opened)} may be open still: {error}")
        return
    if left := [each for each in opened if not is_denied(counted(each, decisions))]:
        when = "can be applied once unfrozen" if stopped else "can be applied"
        click.echo(f"Open proposals that remain: {len(left)}; they {when}.")
