"""`agentspawn serve`: the server against the current cluster, or over an in-process twin of one."""

import os
from collections.abc import Callable
from typing import Any

import click

from mcp_agentspawn.app import serving_cluster, serving_memory
from mcp_agentspawn.cli.running import run_until_stopped
from mcp_agentspawn.settings import Settings, load
from mcp_agentspawn.telemetry import configure_logging

OPTIONS = {
    "host": "Where to listen; default 127.0.0.1.",
    "port": "The port; default 8000, 0 takes any that is free.",
    "roots": "Who may spawn: namespace/account[@home], several separated by commas; home is subagents by default.",
    "policies": "The folder of policies; default ./policies.",
    "templates": "The folder of templates; default ./templates.",
    "registries": "The folder with a file for each registry; default none.",
    "audit-file": "The audit log; default ./audit.jsonl.",
    "writer": "This replica's name in the audit; default the host's name.",
    "legacy-tokens": "Accounts whose token Secrets are accepted; default all roots.",
    "allowed-hosts": "More Host headers to accept, as name, name:port or name:*.",
    "allowed-origins": "Browser origins to accept; default none.",
    "public-url": "The MCP endpoint as callers see it.",
    "token-issuer": "Who issues the callers' tokens (RFC 9728 metadata); default the cluster's usual issuer.",
    "a2a-url": "Where subagents are talked to, with {namespace} and {name}; default each one's own Service.",
    "a2a-wire": "The version of A2A that they speak: 0.3, 1.0, or auto, which is the default.",
    "log-level": "debug, info, warning or error.",
    "drain-seconds": "How long to serve on, not ready, before ending; default 0.",
    "kubeconfig": "The cluster and identity; default the pod's own, or else KUBECONFIG.",
}


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for every setting; each also is an environment variable AGENTSPAWN_*."""
    for name, text in reversed(OPTIONS.items()):
        command = click.option(f"--{name}", metavar="TEXT", help=text)(command)
    return command


@click.command()
@click.option("--memory", is_flag=True, help="Over an in-process twin of a cluster, on this machine only.")
@settings_options
def serve(memory: bool, **options: Any) -> None:  # noqa: FBT001 - click passes flags so
    """Serve MCP. Every option is also an environment variable: AGENTSPAWN_ROOTS for --roots, and so on."""
    settings = load(os.environ, options)
    configure_logging(settings.log_level)
    run_until_stopped(_in_memory(settings) if memory else _in_cluster(settings))


async def _in_cluster(settings: Settings) -> None:
    async with serving_cluster(settings) as served:
        await served.process.wait()


async def _in_memory(settings: Settings) -> None:
    async with serving_memory(settings) as serving:
        click.echo(
            f"Serving an in-process world, gone when this ends: {serving.served.url}\n"
            f"  The token of {serving.root.name}: {serving.token_file}\n"
            f"  The audit log: {serving.audit_file}\n"
            f"  Try: npx @modelcontextprotocol/inspector --cli {serving.served.url} --transport http \\\n"
            f"    --method tools/call --tool-name list_templates \\\n"
            f'    --header "X-Agentspawn-Token: $(cat {serving.token_file})"'
        )
        await serving.served.process.wait()
