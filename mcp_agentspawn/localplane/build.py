"""Builds the control plane's programs with `go build` from dev/controlplane, visibly, once, and all or nothing."""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from mcp_agentspawn.localplane.processes import Guardian, tail

GO_VERSION = "1.26"
PROGRAMS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
KUBERNETES_VERSION = "v1.36.3"
# Without the version the server names itself in a way that strict clients refuse to parse.
FLAGS = ("-trimpath", f"-ldflags=-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}")
# No C compiler, no workspace of a parent folder, no flags of the user: the same programs everywhere.
SETTINGS = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly"}
PROGRESS_SECONDS = 10.0

Report = Callable[[str], None]


class GoMissing(Exception):
    """There is no `go` on the PATH."""


class BuildFailed(Exception):
    """The Go compiler refused; the text ends with what it said."""


def cache_folder(source: Path, cache: Path) -> Path:
    """Name the folder of the programs that these sources and flags make on this kind of machine."""
    parts = [(source / "go.mod").read_bytes(), (source / "go.sum").read_bytes()]
    parts += [flag.encode() for flag in (*FLAGS, f"{sys.platform}-{platform.machine()}")]
    return cache / hashlib.sha256(b"\0".join(parts)).hexdigest()[:16] / "bin"


def build(programs: Sequence[str], source: Path, folder: Path, report: Report) -> None:
    """Build the programs into the folder; each appears there complete or not at all.

    A second build of the same folder waits for the first and then finds its work. GoMissing, BuildFailed.
    """
    go = shutil.which("go")
    if go is None:
        raise GoMissing
    folder.mkdir(parents=True, exist_ok=True)
    with _only_builder(folder.parent, report):
        missing = [program for program in programs if not (folder / program).exists()]
        if missing:
            report(
                f"Building a Kubernetes control plane from source: {', '.join(missing)}. This takes a few minutes "
                "(about 4 on 2 cores), needs 4 GB for Go's own caches, and is done once."
            )
            _build_each(go, missing, source, folder, report)


def _build_each(go: str, programs: Sequence[str], source: Path, folder: Path, report: Report) -> None:
    with _temporary_folder(folder.parent) as temporary, Guardian(temporary) as guardian:
        for number, program in enumerate(programs, start=1):
            step = f"[{number}/{len(programs)}] {program}"
            output = temporary / program
            command = [go, "build", "-v", *FLAGS, "-o", str(output), PROGRAMS[program]]
            _run(command, source, temporary / "log", guardian.group, partial(_report_step, report, step))
            output.replace(folder / program)


def _run(command: Sequence[str], source: Path, log: Path, group: int, report: Report) -> None:
    started = time.monotonic()
    report("started")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=source,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | SETTINGS | {"GOTMPDIR": str(log.parent)},  # go that is killed leaves it behind
            process_group=group,
        )
    try:
        while _still_runs(process):
            report(f"{_since(started)}, {_progress(log)}")
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise BuildFailed(f"{' '.join(command)} ended with exit code {process.returncode}:\n{tail(log)}")
    report(f"done in {_since(started)}")


def _report_step(report: Report, step: str, text: str) -> None:
    report(f"{step}: {text}")


def _still_runs(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(PROGRESS_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _progress(log: Path) -> str:
    """Say what `go build -v` has written: a line for each module it fetches and each package it compiles."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    fetched = sum(line.startswith("go: downloading ") for line in lines)
    return f"{fetched} modules downloaded, {len(lines) - fetched} packages compiled"


def _since(started: float) -> str:
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


@contextmanager
def _only_builder(folder: Path, report: Report) -> Iterator[None]:
    """Hold the folder's lock; the kernel gives it back when its holder ends, however that happens."""
    with (folder / ".lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("Another build of the control plane is running; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    """Make a folder beside the result (so that a rename is one step), after removing what a crash has left."""
    for left in parent.glob(".building-*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=".building-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
