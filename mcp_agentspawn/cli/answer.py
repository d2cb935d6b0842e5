"""`agentspawn tasks` and `answer`: what subagents wait with for people, and people's word on it."""

import sys
from pathlib import Path

import click

from mcp_agentspawn.cli import FINDINGS, USAGE
from mcp_agentspawn.cli.asking import lines, short
from mcp_agentspawn.cli.escaping import escaped
from mcp_agentspawn.cli.people import FINE, Cluster, as_person, complain, kubeconfig_option, reason_option
from mcp_agentspawn.core.answering import Choice, counting, unanswerable, waits_for_people
from mcp_agentspawn.core.delegation import Task, TaskAnswer, asked_digest
from mcp_agentspawn.operations.answering import is_taken
from mcp_agentspawn.operations.services import random_suffix

TAKEN_WITHIN_SECONDS = 10.0
DONE = {"approve": "Approved", "reject": "Rejected"}


@click.command(short_help="List the tasks that wait for people.")
@click.option("--all", "everything", is_flag=True, help="Those that wait for nobody or have ended, too.")
@kubeconfig_option
def tasks(everything: bool, kubeconfig: Path | None) -> None:  # noqa: FBT001 - click passes flags so
    """List the tasks of subagents that wait for a tool approval: whose they are, and which tools they want to call."""
    as_person(kubeconfig, lambda cluster: _list(cluster, everything=everything))


@click.command(short_help="Show or answer what a subagent waits with.")
@click.argument("task", metavar="TASK")
@click.option("--approve", is_flag=True, help="Let it make all of these calls.")
@click.option("--reject", is_flag=True, help="Let it make none of them.")
@click.option("--digest", default="", help="What you have seen: refuse when it waits with other calls.")
@reason_option
@kubeconfig_option
def answer(*, task: str, approve: bool, reject: bool, digest: str, reason: str, kubeconfig: Path | None) -> None:
    r"""Show the tool calls that TASK waits with; with --approve or --reject, answer them in your own name, once.

    Without --digest you are shown the calls and asked again. Characters that could hide or imitate something are
    written \u{...}; text of others stands behind a gutter.
    """
    if approve and reject:
        raise click.UsageError("--approve or --reject, and not both.")
    choice: Choice = "approve" if approve else "reject"
    answers = approve or reject
    if not answers and (digest or reason):
        raise click.UsageError("--digest and --reason are for an answer: --approve or --reject.")
    as_person(
        kubeconfig,
        lambda cluster: _answer(cluster, task, choice, digest, reason) if answers else _show(cluster, task),
    )


async def _list(cluster: Cluster, *, everything: bool) -> int:
    stored = await cluster.tasks.all()
    found = [task for task in stored if everything or waits_for_people(task)]
    for task in sorted(found, key=lambda each: (each.created_at or cluster.clock.now(), each.id)):
        for line in short(task):
            click.echo(line)
    if not found:
        click.echo("There are no tasks." if everything else "No task waits for people.")
    return FINE


async def _show(cluster: Cluster, id_: str) -> int:
    task = await _known(cluster, id_)
    if task is None:
        return FINDINGS
    _print(task, counting(task, await cluster.task_answers.of(id_)))
    return FINE


def _print(task: Task, given: TaskAnswer | None) -> None:
    for line in lines(task, given):
        click.echo(line)


async def _answer(cluster: Cluster, id_: str, choice: Choice, digest: str, reason: str) -> int:
    task = await _known(cluster, id_)
    if task is None:
        return FINDINGS
    if problem := unanswerable(task, choice):
        complain(f"{problem.message} ({problem.code})")
        return FINDINGS
    asked = asked_digest(task)
    if digest and digest != asked:
        complain(f"{id_} waits with other calls:", asked, f"Look at them again: agentspawn answer {id_}")
        return FINDINGS
    if given := counting(task, await cluster.task_answers.of(id_)):
        return _answered_before(given)
    if not digest and (code := _unsure(task, choice)):
        return code
    me = await cluster.whoami()
    mine = TaskAnswer(f"{id_}.{random_suffix()}", id_, task.uid, asked, choice, me, reason)
    stored = await cluster.task_answers.create(mine)
    return await _said(cluster, task, stored)


def is_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def _unsure(task: Task, choice: Choice) -> int:
    """Show it and ask again; gives the exit code when it is not to be, and 0 when it is."""
    if not is_terminal():
        complain("Without a terminal to be asked on, say what you have seen: --digest.")
        return USAGE
    _print(task, None)
    return FINE if click.confirm(f"{choice.capitalize()} {len(task.pending)} calls?") else FINDINGS


async def _said(cluster: Cluster, task: Task, stored: TaskAnswer) -> int:
    first = counting(task, await cluster.task_answers.of(task.id)) or stored
    if first.name != stored.name:
        return _answered_before(first)
    click.echo(escaped(f"{DONE[stored.decision]}: {task.id}, {stored.digest}, as {stored.decider}."))
    if await is_taken(cluster.tasks, task, TAKEN_WITHIN_SECONDS):
        click.echo("The subagent waits with these calls no longer.")
    else:
        click.echo("The subagent has not taken it yet. It stands: the server brings it there when it next looks.")
    return FINE


def _answered_before(given: TaskAnswer) -> int:
    complain(f"It was answered already ({given.name}): {given.decision}, by {given.decider}. Only one answer counts.")
    return FINDINGS


async def _known(cluster: Cluster, id_: str) -> Task | None:
    task = await cluster.tasks.get(id_)
    if task is None:
        complain(f"There is no task {id_}. `agentspawn tasks --all` lists those that there are.")
    return task
