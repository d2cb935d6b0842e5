"""`agentspawn audit`: is this log whole?"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import click

from mcp_agentspawn.cli import FINDINGS, UNAVAILABLE
from mcp_agentspawn.core.audit_line import MOST_LINE_BYTES
from mcp_agentspawn.core.audit_verify import Remark, Report, verify
from mcp_agentspawn.core.errors import AgentSpawnError
from mcp_agentspawn.core.ledger import Head

ReadHeads = Callable[[Path | None], Awaitable[Sequence[Head]]]
"""Reads the audit heads of all ledgers, from the cluster of this kubeconfig; `None`: the current one.

The root context's `obj` carries it as `read_heads`.
"""

LOOKS = 3
SECONDS_BETWEEN_LOOKS = 0.2

FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.group()
def audit() -> None:
    """Work with audit logs."""


@audit.command("verify")
@click.argument("file", type=FILE)
@click.option("--kubeconfig", type=FILE, help="The cluster whose ledgers are asked; without it, the current one.")
@click.option("--no-cluster", is_flag=True, help="Ask no ledgers: a tail that was cut is not found then.")
@click.pass_context
def verify_command(context: click.Context, file: Path, kubeconfig: Path | None, no_cluster: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Check that no record of FILE was altered, removed, moved or added.

    Exit codes: 0 whole, 1 findings, 2 usage, 3 the cluster was not reached and FILE itself shows nothing.
    """
    if kubeconfig and no_cluster:
        raise click.UsageError("--kubeconfig and --no-cluster exclude each other.")
    heads = None if no_cluster else _heads(context.find_root().obj.read_heads, kubeconfig)
    report = _look(file, heads)
    _print(file, report)
    if report.findings:
        sys.exit(FINDINGS)
    if heads is None and not no_cluster:
        sys.exit(UNAVAILABLE)


def _heads(read_heads: ReadHeads, kubeconfig: Path | None) -> Sequence[Head] | None:
    """What the ledgers know, or `None` when the cluster was not reached."""
    try:
        return asyncio.run(_awaited(read_heads(kubeconfig)))
    except (AgentSpawnError, TimeoutError) as error:
        click.echo(f"The ledgers can not be read: {error} (--no-cluster verifies without them)", err=True)
        return None


async def _awaited(heads: Awaitable[Sequence[Head]]) -> Sequence[Head]:
    return await heads


def _look(file: Path, heads: Sequence[Head] | None) -> Report:
    """Verify it; a last line that is torn may be one that a living writer is just writing, so look again."""
    for look in range(LOOKS):
        with file.open("rb") as opened:
            report = verify(iter(partial(opened.readline, MOST_LINE_BYTES), b""), heads)
        if look == LOOKS - 1 or not any(finding.code == "torn" for finding in report.findings):
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return report


def _print(file: Path, report: Report) -> None:
    for finding in report.findings:
        click.echo(_line(file, finding))
    for note in report.notes:
        click.echo(_line(file, note, "note: "))
    tail = f"tail checked against {_count(report.heads, 'ledger head')}" if report.heads else "tail unchecked"
    writer = report.writer.encode("unicode_escape").decode() or "nobody"
    parts = [
        f"{_count(report.records, 'record')} in {_count(report.segments, 'segment')} by {writer}",
        _count(len(report.findings), "finding"),
        tail,
    ]
    click.echo(f"{file}: {', '.join(parts)}")


def _line(file: Path, remark: Remark, kind: str = "") -> str:
    where = f"{file}:{remark.line}" if remark.line else str(file)
    return f"{where}: {kind}{remark.code}: {remark.what}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
