"""The shape of the code, which a wish does not hold but a test does."""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import guard_names

REPOSITORY = Path(__file__).parent.parent
PACKAGE = REPOSITORY / "mcp_agentspawn"
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_FUNCTION_LINES = 40
MOST_MODULE_LINES = 300
MEDIAN_FUNCTION_LINES = 10


def named(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a module with its lines, docstring not counted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            last = body[-1].end_lineno if body else node.lineno
            documented = (node.body[0].end_lineno or 0) - node.body[0].lineno + 1 if ast.get_docstring(node) else 0
            yield f"{named(path)}:{node.name}", (last or node.lineno) - node.lineno + 1 - documented


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_fits_on_three_hundred_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_MODULE_LINES


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_function_fits_on_one_screen(path: Path) -> None:
    assert [found for found in functions(path) if found[1] > MOST_FUNCTION_LINES] == []


def test_most_functions_are_short() -> None:
    lengths = [length for path in MODULES for _, length in functions(path)]

    assert statistics.median(lengths) < MEDIAN_FUNCTION_LINES


def test_imports_point_inward() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    checked = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


def test_every_guard_has_one_word() -> None:
    """Its key in the policy, its module, and its test file bear the same name."""
    guards = set(guard_names())

    assert guards == {path.stem for path in (PACKAGE / "guards").glob("*.py")} - {"__init__"}
    assert guards <= {path.stem.removeprefix("test_") for path in (REPOSITORY / "tests" / "guards").glob("test_*.py")}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_nothing_goes_through_a_shell(path: Path) -> None:
    for name, call in calls(path):
        assert not name.startswith(("os.system", "os.popen", "pty."))
        assert name not in {"eval", "exec", "subprocess.getoutput", "asyncio.create_subprocess_shell"}
        assert not any(keyword.arg == "shell" for keyword in call.keywords)


STARTING = re.compile(
    r"^\s*(import|from) (subprocess|multiprocessing|pty|asyncio\.subprocess)\b"
    r"|\b(create_subprocess_\w+|subprocess_exec|subprocess_shell|ProcessPoolExecutor)\b"
    r"|\bos\.(fork\w*|exec[lv]\w*|spawn[lv]\w*|posix_spawn\w*)\b",
    re.MULTILINE,
)
"""Every spelling by which Python starts a process."""
START_PROCESSES = {PACKAGE / "adapters" / "registry" / "helpers.py", PACKAGE / "cli" / "dev" / "telling.py"}
"""Outside of the local control plane: readers of registries, and the demo that tries the commands that it prints."""


@pytest.mark.parametrize("path", [path for path in MODULES if "localplane" not in path.parts], ids=named)
def test_only_the_local_control_plane_and_two_others_start_processes(path: Path) -> None:
    assert bool(STARTING.search(path.read_text())) == (path in START_PROCESSES)
