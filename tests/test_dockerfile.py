"""The image, as far as it can be shown without an engine: what it copies, how it runs, and that its wheel serves."""

import fnmatch
import json
import os
import re
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import httpx
import pytest

REPOSITORY = Path(__file__).parents[1]
WAIT_SECONDS = 60


def instructions() -> list[tuple[str, str]]:
    """Every instruction and its arguments, continuation lines joined."""
    lines = [line for line in (REPOSITORY / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(word, rest.strip()) for word, _, rest in found]


def arguments_of(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in arguments_of("ENV")[-1].split())


def copies() -> list[tuple[str, list[str]]]:
    """The stage that each COPY takes from (empty: the context), and what it takes."""
    found = []
    for rest in arguments_of("COPY"):
        words = rest.split()
        stage = next((word.partition("=")[2] for word in words if word.startswith("--from=")), "")
        found.append((stage, [word for word in words if not word.startswith("--")][:-1]))
    return found


def is_ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out of the context; the last pattern that fits decides."""
    ignored = False
    for pattern in (REPOSITORY / ".dockerignore").read_text().splitlines():
        if pattern and not pattern.startswith("#"):
            bare = pattern.removeprefix("!").removeprefix("**/")
            if any(fnmatch.fnmatch(part, bare) for part in (path, path.split("/", maxsplit=1)[0], Path(path).name)):
                ignored = not pattern.startswith("!")
    return ignored


def test_everything_that_is_copied_is_there_and_in_the_context() -> None:
    taken = [source for stage, sources in copies() if not stage for source in sources]

    assert len(taken) >= 7
    for source in taken:
        assert (REPOSITORY / source).exists(), source
        assert not is_ignored(source), source


def test_the_context_holds_nothing_that_is_not_copied() -> None:
    assert all(is_ignored(name) for name in (".git", ".venv", ".cache", "tests", "deploy", "dev", "Makefile"))
    assert is_ignored("mcp_agentspawn/__pycache__")


def test_a_stage_that_is_copied_from_comes_before() -> None:
    stages = [rest.split(" AS ")[1] for rest in arguments_of("FROM") if " AS " in rest]

    assert {stage for stage, _ in copies() if stage} == set(stages)


def test_both_stages_have_the_same_python() -> None:
    """An environment only works with the interpreter that it was made with."""
    assert len({rest.split(" AS ")[0] for rest in arguments_of("FROM")}) == 1


def test_it_runs_as_a_numeric_user_who_is_not_root() -> None:
    assert all(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) for user in arguments_of("USER"))
    assert [word for word, _ in instructions()].index("USER") < [word for word, _ in instructions()].index("ENTRYPOINT")


def test_nothing_at_run_time_needs_a_shell() -> None:
    (entry,), (command,), (check,) = arguments_of("ENTRYPOINT"), arguments_of("CMD"), arguments_of("HEALTHCHECK")

    assert json.loads(entry) == ["/opt/agentspawn/bin/agentspawn"]
    assert json.loads(command) == ["serve"]
    assert json.loads(check.partition("CMD ")[2])[1] == "healthcheck"


def test_only_the_audit_is_written() -> None:
    assert environment()["PYTHONDONTWRITEBYTECODE"] == "1"
    assert json.loads(arguments_of("VOLUME")[0]) == [str(Path(environment()["AGENTSPAWN_AUDIT_FILE"]).parent)]


def test_everything_is_installed_from_the_lock() -> None:
    installs = [part for run in arguments_of("RUN") for part in run.split("&&") if "install " in part and "pip" in part]

    assert len(installs) == 3
    assert all("--require-hashes" in install or "--no-deps" in install for install in installs)


def locked(name: str) -> dict[str, str]:
    """What a lock installs: each distribution's name, and its whole entry with version, marker and hashes."""
    text = (REPOSITORY / "requirements" / name).read_text()
    return {entry[1]: entry[0] for entry in re.finditer(r"^([\w.-]+)==.+(?:\n +--hash=.+)+", text, re.MULTILINE)}


def test_the_image_gets_what_the_tests_run_with() -> None:
    assert len(locked("run.txt")) > 20
    assert locked("run.txt").items() <= locked("dev.txt").items()


def link_from_here(name: str, site_packages: Path) -> None:
    """Put a distribution there as it is installed here, from the same lock; one that its marker leaves out is not."""
    with suppress(PackageNotFoundError):
        for file in distribution(name).files or ():
            top = file.parts[0]
            if top not in {"..", "__pycache__"} and not (site_packages / top).exists():
                (site_packages / top).symlink_to(Path(str(distribution(name).locate_file(top))))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean environment with the wheel and what the lock names, as the image has it."""
    folder = tmp_path_factory.mktemp("image")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    wheel = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(REPOSITORY)]
    subprocess.run([*pip, *wheel], check=True, timeout=WAIT_SECONDS)
    venv.create(folder / "venv", with_pip=False)
    (site_packages,) = folder.glob("venv/lib/python*/site-packages")
    for name in locked("run.txt"):
        link_from_here(name, site_packages)
    into = [*pip, "--python", str(folder / "venv" / "bin" / "python")]
    (built,) = folder.glob("*.whl")
    subprocess.run([*into, "install", "--quiet", "--no-deps", str(built)], check=True, timeout=WAIT_SECONDS)
    subprocess.run([*into, "check"], check=True, timeout=WAIT_SECONDS)
    return folder / "venv"


@pytest.fixture
def server(installed: Path, tmp_path: Path) -> Iterator[Path]:
    """The image's entry point with the image's environment, but for the paths, on a free port; gives its output."""
    variables = environment() | {
        "PATH": os.environ["PATH"],
        "AGENTSPAWN_HOST": "127.0.0.1",
        "AGENTSPAWN_PORT": "0",
        "AGENTSPAWN_POLICIES": str(REPOSITORY / "policies"),
        "AGENTSPAWN_TEMPLATES": str(REPOSITORY / "templates"),
        "AGENTSPAWN_REGISTRIES": str(tmp_path),
        "AGENTSPAWN_AUDIT_FILE": str(tmp_path / "audit.jsonl"),
        "AGENTSPAWN_DRAIN_SECONDS": "0",
    }
    output = tmp_path / "output"
    with output.open("w") as stream:
        command = [str(installed / "bin" / "agentspawn"), "serve", "--memory"]
        process = subprocess.Popen(command, env=variables, cwd=tmp_path, stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield output
            assert process.poll() is None, output.read_text()
        finally:
            process.terminate()
            process.wait(timeout=WAIT_SECONDS)
    assert process.returncode == 0, output.read_text()


@pytest.mark.timeout(400)
def test_the_wheel_installs_without_extras_and_its_entry_point_serves(installed: Path, server: Path) -> None:
    url = address(server)
    health = httpx.get(f"{url}/healthz")
    probe = [str(installed / "bin" / "agentspawn"), "healthcheck"]

    assert health.status_code == 200
    assert subprocess.run([*probe, f"{url}/healthz"], check=False, timeout=WAIT_SECONDS).returncode == 0
    assert subprocess.run([*probe, f"{url}/nothing"], check=False, timeout=WAIT_SECONDS).returncode == 3


def address(output: Path) -> str:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = re.search(r"(http://127\.0\.0\.1:\d+)/mcp", output.read_text())
        if found:
            return found[1]
        time.sleep(0.05)
    raise AssertionError(output.read_text())
