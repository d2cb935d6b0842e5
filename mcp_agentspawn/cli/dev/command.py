"""`agentspawn dev` and `agentspawn demo`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from mcp_agentspawn.cli import FINDINGS
from mcp_agentspawn.cli.dev import checkout
from mcp_agentspawn.cli.dev.cluster import ROOTS
from mcp_agentspawn.cli.dev.models import SCRIPTED
from mcp_agentspawn.cli.dev.registry_story import hire
from mcp_agentspawn.cli.dev.story import retire, spawn
from mcp_agentspawn.cli.dev.telling import Teller
from mcp_agentspawn.cli.dev.working_story import account, live, work
from mcp_agentspawn.cli.dev.world import REGISTRY, LocalWorld, local_world, ready_file
from mcp_agentspawn.cli.known_registries import read_sources
from mcp_agentspawn.cli.rule_folders import FOLDER
from mcp_agentspawn.cli.running import run_until_stopped
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.localplane import Binaries, find_or_build
from mcp_agentspawn.localplane.agents import find_runtime
from mcp_agentspawn.server.process import listen
from mcp_agentspawn.settings import LEVELS
from mcp_agentspawn.telemetry import configure_logging

LOOPBACK = "127.0.0.1"
SEARCH = """--method tools/call --tool-name search_agents_agentregistry --tool-args-json '{"query": "cite sources"}'"""
READY_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
LOG_LEVEL = click.option(
    "--log-level", type=click.Choice(LEVELS), default="warning", show_default=True, help="What the server logs."
)


@click.command(short_help="Run everything on this machine until Ctrl-C.")
@click.option("--ready-file", type=READY_FILE, help="Where to write, as JSON, what is where, once it is ready.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The server's port; default any that is free.")
@click.option("--registries", type=FOLDER, help="A folder of registries of your own, instead of the stand-in for one.")
@click.option("--spawn", "tell", is_flag=True, help="Spawn one subagent, step by step, and leave it live.")
@LOG_LEVEL
def dev(ready_file: Path | None, port: int, registries: Path | None, tell: bool, log_level: str) -> None:  # noqa: FBT001 - click passes flags so
    """Run everything on this machine until Ctrl-C: a control plane, deploy/, sample tools, an orchestrator, the server.

    A stand-in for agentregistry is there, too, so that there is something to find, unless --registries names your own:
    ./policies says what of them is shown. Nothing of it is left then.
    """
    own = read_sources(registries).path.absolute() if registries else None
    if ready_file is not None and not ready_file.absolute().parent.is_dir():
        raise click.BadParameter("there is no such folder", param_hint="--ready-file")
    _claim(port)
    configure_logging(log_level)
    checkout.check_out()
    find_runtime()
    binaries = find_or_build()
    run_until_stopped(_dev(binaries, port, own, ready_file, tell=tell))


@click.command(short_help="Show two subagents, confirmed step by step.")
@LOG_LEVEL
def demo(log_level: str) -> None:
    """Show two subagents from search to retirement, and exit with 0 only when every step is confirmed.

    One is of a template, one of an entry of a registry, which a person approves. Both are given work.
    """
    configure_logging(log_level)
    checkout.check_out()
    find_runtime()
    binaries = find_or_build()
    failed: list[str] = ["it did not come to its end"]
    run_until_stopped(_demo(binaries, failed))
    if failed:
        _unconfirmed(failed)
        sys.exit(FINDINGS)
    click.echo("\nEvery step was confirmed: by the API server, the registry, the agents themselves, or the audit.")


def _unconfirmed(failed: Sequence[str]) -> None:
    if failed:
        click.echo("\nNot confirmed:\n  " + "\n  ".join(failed), err=True)


def _claim(port: int) -> None:
    """Say at once that a port is taken, and not after everything else was started."""
    try:
        listen(LOOPBACK, port).close()
    except Unavailable as error:
        click.echo(f"{error}. Choose another one: make run PORT=8001, or --port 0 for any that is free.", err=True)
        sys.exit(FINDINGS)


async def _dev(binaries: Binaries, port: int, own: Path | None, file: Path | None, *, tell: bool) -> None:
    async with _told(binaries, port, own) as world:
        await _while_alive(world, _stay(world, file, tell=tell))


async def _stay(world: LocalWorld, file: Path | None, *, tell: bool) -> None:
    with ready_file(file, world):
        if tell:
            await _tell(world)
        click.echo(_how_to_go_on(world))
        await asyncio.Event().wait()


async def _tell(world: LocalWorld) -> None:
    teller = Teller()
    agent = await spawn(world, teller)
    if agent:
        await live(world, teller, agent)
    _unconfirmed(teller.failed)


async def _demo(binaries: Binaries, failed: list[str]) -> None:
    async with _told(binaries, 0) as world:
        await _while_alive(world, _once(world, failed))


async def _once(world: LocalWorld, failed: list[str]) -> None:
    teller = Teller()
    for story in (spawn, hire):
        agent = await story(world, teller)
        if agent:
            tasks = await work(world, teller, agent) if await live(world, teller, agent) else []
            await retire(world, teller, agent)
            await account(world, teller, agent, tasks)
    failed[:] = teller.failed


@asynccontextmanager
async def _told(binaries: Binaries, port: int, own: Path | None = None) -> AsyncIterator[LocalWorld]:
    click.echo("Starting a Kubernetes control plane on this machine, and on it everything that deploy/ holds ...")
    async with local_world(binaries, port, own) as world:
        click.echo(f"Ready: {world.mcp_url}")
        try:
            yield world
        finally:
            click.echo("\nStopping; nothing of it will be left.")


async def _while_alive(world: LocalWorld, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, but give up when a part of the world ends before."""
    tasks = [asyncio.create_task(work), asyncio.create_task(world.watch())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _models(world: LocalWorld) -> str:
    """Who thinks for the subagents."""
    runs = "Subagents run here in kagent's own Python runtime; what starts them is a stand-in for its controller."
    if world.model.model == SCRIPTED:
        return (
            f"{runs}\nTheir model is scripted and understands nothing: set OPENAI_API_KEY, or OPENAI_BASE_URL, for one."
        )
    return f"{runs}\nTheir model is at {world.model.url}."


def _how_to_go_on(world: LocalWorld) -> str:
    inspector = f"npx @modelcontextprotocol/inspector --cli {world.mcp_url} --transport http"
    header = f'--header "X-Agentspawn-Token: $(cat {world.cluster.credentials.callers["orchestrator"]})"'
    call = "--method tools/call --tool-name list_subagents"
    people, root = world.cluster.people, ROOTS["orchestrator"].name
    standin = f"registry {REGISTRY}, {world.registry_url}, is a stand-in for agentregistry"
    searched = standin if world.registry_url else f"the registries are those of {world.registries}"
    return (
        f"\nCall it from MCP Inspector (Node 22 or newer), in the protocol's legacy era and in its modern one:\n"
        f"  {inspector} {call} {header}\n"
        f"  {inspector} --protocol-era modern {call} {header}\n"
        f"\nSearch as it does; {searched}:\n"
        f"  {inspector} {SEARCH} {header}\n"
        f"  {sys.argv[0]} search 'cite sources' --root {root} --registries {world.registries}\n"
        f"\nLook at the cluster as its administrator:\n"
        f"  export KUBECONFIG={world.kubeconfig}\n"
        f"  kubectl get agents,subagentproposals,spawnledgers --all-namespaces\n"
        f"\nDecide as a person on what asks for one: alice, or bob where two are needed ({people['bob']}):\n"
        f"  export KUBECONFIG={people['alice']}\n"
        f"  {sys.argv[0]} proposals\n"
        f"  {sys.argv[0]} show ID\n"
        f"  {sys.argv[0]} approve ID --digest DIGEST\n"
        f"  {sys.argv[0]} tasks\n"
        f"  {sys.argv[0]} answer TASK --approve --digest DIGEST\n"
        f"  {sys.argv[0]} freeze --reason WHY\n"
        f"  and unfreeze, retire-tree, reset: see --help. Bob approves but may not freeze, retire or reset.\n"
        f"\n{_models(world)}\n"
        f"\nAsk, as the administrator, what each guard says to a proposal:\n"
        f"  {sys.argv[0]} explain ID --root {root} --registries {world.registries} --kubeconfig {world.kubeconfig}\n"
        f"\nThe audit log: {world.audit_file}\n"
        f"  {sys.argv[0]} audit verify {world.audit_file} --kubeconfig {world.kubeconfig}\n"
        f"\nCtrl-C ends it and leaves nothing behind."
    )
