"""The folder of registries that a command works with, and the registries as they are now."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from logging import ERROR
from pathlib import Path
from typing import Any

import click
import structlog

from mcp_agentspawn.adapters.files import Folder, examine
from mcp_agentspawn.adapters.registry.source import Source
from mcp_agentspawn.cli.rule_folders import FOLDER, there
from mcp_agentspawn.composing import read_once
from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.settings import PREFIX

HERE = Path("registries")
VARIABLE = f"{PREFIX}REGISTRIES"
SAMPLE = "docs/registries/main.yaml"


def registries_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--registries`."""
    return click.option(
        "--registries",
        type=FOLDER,
        help=f"The folder of registries; default {VARIABLE}, or ./{HERE} where it is, otherwise none.",
    )(command)


def at_hand(folder: Path | None) -> Path | None:
    """The folder that was named, looked through, or else the setting's, or the one that lies here.

    `None` where there is none, or where the setting's has no file: that of a server without registries is such a one.
    """
    named = os.environ.get(VARIABLE)
    default = Path(named or HERE)
    if folder is None and not any(default.glob("*.yaml")) and (default.is_dir() or not named):
        return None
    return read_sources(folder or default).path


def read_sources(folder: Path) -> Folder[Source]:
    """All of a folder. Raises ConfigError with every problem; ends the command when it is not there or empty."""
    advice = f"; begin with: mkdir -p {folder} && cp {SAMPLE} {folder}/"
    read = there(examine(folder, Source), "--registries", advice)
    if read.problems:
        raise ConfigError([str(problem) for problem in read.problems])
    return read


@asynccontextmanager
async def with_registries(services: Services, folder: Path | None) -> AsyncIterator[Services]:
    """The same services on the registries of this folder as they are now."""
    with _logging_failures_alone():
        async with read_once(services.rules.current(), folder) as known:
            yield replace(services, registries=known)


@contextmanager
def _logging_failures_alone() -> Iterator[None]:
    """What is printed belongs to the command, and says how each registry stands; what broke here is logged beside."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**before)
