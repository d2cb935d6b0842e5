"""`agentspawn healthcheck`: a probe for where there is no shell and no curl."""

import sys
from http import HTTPStatus

import click
import httpx

from mcp_agentspawn.cli import UNAVAILABLE

ANSWERS_WITHIN_SECONDS = 3.0


@click.command()
@click.argument("url", default="http://127.0.0.1:8000/healthz")
def healthcheck(url: str) -> None:
    """Exit with 0 when URL answers 200, and with 3 otherwise."""
    try:
        status = httpx.get(url, timeout=ANSWERS_WITHIN_SECONDS, trust_env=False).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        click.echo(f"{url}: no answer ({type(error).__name__})", err=True)
        sys.exit(UNAVAILABLE)
    if status != HTTPStatus.OK:
        click.echo(f"{url}: HTTP {status}", err=True)
        sys.exit(UNAVAILABLE)
