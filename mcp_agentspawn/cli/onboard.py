"""`agentspawn manifests`: the YAML that onboards one orchestrator."""

import click

from mcp_agentspawn.cli.manifests import TEMPLATES, render


@click.command(short_help="Print what onboards one orchestrator.")
@click.option("--root", required=True, metavar="NAMESPACE/ACCOUNT", help="The orchestrator's service account.")
@click.option("--namespace", required=True, help="Where its subagents will live: subagents, or one of its own.")
@click.option("--template", "templates", multiple=True, help=f"A template it may use; default: {', '.join(TEMPLATES)}.")
@click.option("--before-1-36", is_flag=True, help="For clusters without constrained impersonation (KEP-5284).")
def manifests(root: str, namespace: str, templates: tuple[str, ...], before_1_36: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Print what onboards one orchestrator: rights, impersonation, credential, RemoteMCPServer and a sample Agent."""
    root_namespace, slash, account = root.partition("/")
    if not slash:
        raise click.BadParameter("must be namespace/account", param_hint="--root")
    try:
        text = render(root_namespace, account, namespace, constrained=not before_1_36, templates=templates or TEMPLATES)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(text, nl=False)
