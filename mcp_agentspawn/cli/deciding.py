"""`agentspawn proposals`, `show`, `approve` and `deny`: what subagents are asked for, and people's word on them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

import click
from pydantic import BaseModel

from mcp_agentspawn.adapters.files import examine
from mcp_agentspawn.cli import FINDINGS
from mcp_agentspawn.cli.agreeing import caller_of, disagreement
from mcp_agentspawn.cli.escaping import block, escaped
from mcp_agentspawn.cli.people import FINE, Cluster, as_person, complain, kubeconfig_option, moment, reason_option
from mcp_agentspawn.cli.recalling import Denial, denials_before
from mcp_agentspawn.cli.showing import Shown, lines
from mcp_agentspawn.cli.standing import OVER, broken, state_of, tally, waits
from mcp_agentspawn.cli.wording import handle
from mcp_agentspawn.core.decisions import counted
from mcp_agentspawn.core.model import Approval, Proposal
from mcp_agentspawn.core.names import MOST_DEPTH, SYSTEM_NAMESPACE
from mcp_agentspawn.core.risk import PEOPLE
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.services import Rules, random_suffix

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
MOST_DENIALS = 3

M = TypeVar("M", bound=BaseModel)
Decision = Literal["approve", "deny"]


@click.command(short_help="List what waits for people.")
@click.option("--all", "everything", is_flag=True, help="Those that wait for nobody or are no longer open, too.")
@kubeconfig_option
def proposals(everything: bool, kubeconfig: Path | None) -> None:  # noqa: FBT001 - click passes flags so
    """List the proposals that wait for people: risk, who asks for what and why, how many approved, and until when."""
    as_person(kubeconfig, lambda cluster: _list(cluster, everything=everything))


@click.command(short_help="Show all of one proposal.")
@click.argument("id_", metavar="ID")
@click.option("--templates", type=FOLDER, help="The folder of templates; default ./templates where it is.")
@click.option("--policies", type=FOLDER, help="The folder of policies; default ./policies where it is.")
@kubeconfig_option
def show(id_: str, templates: Path | None, policies: Path | None, kubeconfig: Path | None) -> None:
    r"""Show everything that approving ID would allow, and the digest that the decision is bound to.

    Characters that could hide or imitate something are written \u{...}; text of others stands behind a gutter.
    """
    rules = Rules(_at_hand(templates, "templates", Template), _at_hand(policies, "policies", Policy))
    folders = (str(templates or "./templates"), str(policies or "./policies"))
    as_person(kubeconfig, lambda cluster: _show(cluster, id_, rules, folders))


digest_option = click.option(
    "--digest", default="", help="What you have seen: refuse when the proposal has another digest."
)


@click.command(short_help="Approve one proposal.")
@click.argument("id_", metavar="ID")
@digest_option
@reason_option
@kubeconfig_option
def approve(id_: str, digest: str, reason: str, kubeconfig: Path | None) -> None:
    """Approve ID in your own name: these very bytes, once. It can not be changed afterwards."""
    as_person(kubeconfig, lambda cluster: _decide(cluster, id_, "approve", digest, reason))


@click.command(short_help="Deny one proposal.")
@click.argument("id_", metavar="ID")
@digest_option
@reason_option
@kubeconfig_option
def deny(id_: str, digest: str, reason: str, kubeconfig: Path | None) -> None:
    """Deny ID in your own name. One denial is enough, whoever approves."""
    as_person(kubeconfig, lambda cluster: _decide(cluster, id_, "deny", digest, reason))


async def _list(cluster: Cluster, *, everything: bool) -> int:
    now = cluster.clock.now()
    stored, approvals = await cluster.proposals.all(), await cluster.approvals.all()
    decisions: dict[str, list[Approval]] = defaultdict(list)
    for approval in approvals:
        decisions[approval.proposal].append(approval)
    found = [each for each in stored if everything or waits(each, decisions[each.id], now)]
    for proposal in sorted(found, key=lambda each: (each.expires_at, each.id)):
        _print_short(proposal, decisions[proposal.id], now)
        _print_denials(denials_before(proposal, stored, approvals, now))
    if not found:
        click.echo("There are no proposals." if everything else "No proposal waits for people.")
    _print_others(_open(stored, now) - _open(found, now))
    return FINE


def _open(proposals: Sequence[Proposal], now: datetime) -> int:
    return sum(state_of(each, now) == "open" for each in proposals)


def _print_others(count: int) -> None:
    if count:
        click.echo(f"Other open proposals, which wait for nobody: {count} (--all lists them)")


def _print_short(proposal: Proposal, decisions: Sequence[Approval], now: datetime) -> None:
    who = f"{proposal.root} > {proposal.parent}" if proposal.parent else proposal.root
    until = f"open until {moment(proposal.expires_at)}"
    state = state_of(proposal, now)
    click.echo(f"{escaped(proposal.id)}  risk {proposal.risk}, {tally(proposal, decisions)}")
    click.echo(f"  {until if state == 'open' else state}")
    asked, entry = f"{who} asks for {proposal.request.template}", proposal.request.entry
    made_of = ["  made of registry entry", *handle(entry, "  ")] if entry else []
    for line in [*block(asked, "  "), *made_of, *block(proposal.request.purpose, "  ")]:
        click.echo(line)


def _made_of(proposal: Proposal) -> str:
    return f", made of registry entry {proposal.request.entry}" if proposal.request.entry else ""


def _print_denials(denials: Sequence[Denial]) -> None:
    more = len(denials) - MOST_DENIALS
    for denial in denials[:MOST_DENIALS]:
        for line in block(str(denial), "  denied before "):
            click.echo(line)
    if more > 0:
        click.echo(f"  and {more} more")


async def _show(cluster: Cluster, id_: str, rules: Rules, folders: tuple[str, str]) -> int:
    proposal = await _whole(cluster, id_, rules.templates)
    if proposal is None:
        return FINDINGS
    ancestors = await _ancestors(cluster, proposal)
    for above in ancestors:
        strange = "" if above.root == proposal.root else "it is another root's"
        if problem := strange or _tampering(above, rules.templates):
            complain(f"DO NOT APPROVE {id_}: {above.id} above it is not what it should be: {problem}.")
            return FINDINGS
    policy = rules.policy_for(caller_of(proposal).root)
    now, approvals = cluster.clock.now(), await cluster.approvals.all()
    denials = denials_before(proposal, await cluster.proposals.all(), approvals, now)
    shown = Shown(
        proposal=proposal,
        ancestors=ancestors,
        decisions=[approval for approval in approvals if approval.proposal == id_],
        template=_rendered_one(proposal, rules.templates),
        policy=policy if policy and policy.hash == proposal.rests_on.policy else None,
        now=now,
        other_template=proposal.request.template in rules.templates,
        other_policy=policy is not None,
        templates=folders[0],
        policies=folders[1],
        denials=denials,
        outcomes=(await cluster.ledgers.look(proposal.root)).outcomes,
    )
    for line in lines(shown):
        click.echo(line)
    return FINE


async def _decide(cluster: Cluster, id_: str, decision: Decision, digest: str, reason: str) -> int:
    proposal = await _whole(cluster, id_, {})
    if proposal is None:
        return FINDINGS
    if digest and digest != proposal.digest:
        complain(f"{id_} has another digest:", proposal.digest, f"Look at it again: agentspawn show {id_}")
        return FINDINGS
    me, given = await cluster.whoami(), counted(proposal, await cluster.approvals.of(id_))
    mine = {approval.decision: approval.name for approval in given if approval.decider == me}
    if decision in mine:
        return _say(proposal, f"You have said so already ({mine[decision]})", me, given)
    if problem := _undecidable(proposal, decision, cluster.clock.now()):
        complain(problem)
        return FINDINGS
    if "deny" in mine:
        take_back = f"kubectl delete --namespace {SYSTEM_NAMESPACE} subagentapproval {mine['deny']}"
        complain(f"You have denied {id_}, which stands until you take it back: {take_back}")
        return FINDINGS
    approval = Approval(f"{id_}.{random_suffix()}", id_, proposal.uid, proposal.digest, decision, me, reason)
    stored = await cluster.approvals.create(approval)
    return _say(proposal, "Approved" if decision == "approve" else "Denied", me, [*given, stored])


def _undecidable(proposal: Proposal, decision: Decision, now: datetime) -> str:
    """Why nobody can decide so on it; `""` when somebody can."""
    state = state_of(proposal, now)
    if state != "open":
        return f"{proposal.id} can no longer be decided: {OVER[state]}."
    if decision == "approve" and not PEOPLE[proposal.risk]:
        return (
            f"Nobody has to approve {proposal.id}: its risk is {proposal.risk}. Nothing was stored; it can be denied."
        )
    return ""


def _say(proposal: Proposal, what: str, me: str, decisions: Sequence[Approval]) -> int:
    said = f"{what}: {proposal.id}, {proposal.digest}{_made_of(proposal)}, as {me}. Now: {tally(proposal, decisions)}."
    click.echo(escaped(said))
    return FINE


async def _whole(cluster: Cluster, id_: str, templates: Mapping[str, Template]) -> Proposal | None:
    """The proposal, if all that it says is what its digest is over; otherwise says loudly that it is not."""
    proposal = await cluster.proposals.get(id_)
    if proposal is None:
        complain(f"There is no proposal {id_}. `agentspawn proposals --all` lists those that there are.")
        return None
    if problem := _tampering(proposal, templates):
        complain(f"DO NOT APPROVE {id_}: it was tampered with: {problem}.")
        return None
    return proposal


def _tampering(proposal: Proposal, templates: Mapping[str, Template]) -> str:
    return broken(proposal) or disagreement(proposal, _rendered_one(proposal, templates))


def _rendered_one(proposal: Proposal, templates: Mapping[str, Template]) -> Template | None:
    """The very version that was rendered, where it is among these."""
    template = templates.get(proposal.request.template)
    return template if template and template.hash == proposal.template_hash else None


async def _ancestors(cluster: Cluster, proposal: Proposal) -> Sequence[Proposal]:
    """Those above it, nearest first, as far as they are there."""
    found: list[Proposal] = []
    parent = proposal.parent
    while parent and len(found) <= MOST_DEPTH:
        above = await cluster.proposals.get(parent)
        if above is None:
            break
        found.append(above)
        parent = above.parent
    return found


def _at_hand(folder: Path | None, default: str, model: type[M]) -> dict[str, M]:
    """The good files of this folder, or of the one that lies here; none where there is no such folder."""
    path = folder or Path(default)
    return examine(path, model).values if path.is_dir() else {}
