"""Where the control plane's programs come from: KUBEBUILDER_ASSETS, an earlier build, or `go build`."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_agentspawn.localplane import build
from mcp_agentspawn.localplane.errors import ControlPlaneUnavailable

CHECKOUT = Path(__file__).parents[2]
ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
COMMAND = Path(sys.executable).with_name("agentspawn")
WAYS_OUT = (
    "Ways out: install Go {go} or newer (https://go.dev/dl), and it builds them once; "
    f"or set {ASSETS_VARIABLE} to a folder that has etcd, kube-apiserver and kube-controller-manager; "
    "or do without a control plane: {command} serve --memory"
).format(go=build.GO_VERSION, command=COMMAND)

Report = Callable[[str], None]


@dataclass(frozen=True)
class Binaries:
    """The three programs of a control plane."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path


def report_to_stderr(line: str) -> None:
    """Show one line of progress to the person at the terminal."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def find_or_build(
    project_root: Path = CHECKOUT, report: Report = report_to_stderr, environment: Mapping[str, str] | None = None
) -> Binaries:
    """Find the programs, or build what is missing into `.cache/` below the project root; blocks for minutes then.

    KUBEBUILDER_ASSETS (envtest's convention) wins; kube-controller-manager is not part of it, so ours stands in where
    it is missing. Raises ControlPlaneUnavailable with the ways out.
    """
    variables = os.environ if environment is None else environment
    found = _assets(variables)
    missing = [program for program in build.PROGRAMS if program not in found]
    if missing:
        found |= _built(missing, project_root, report)
    return Binaries(*(found[program] for program in build.PROGRAMS))


def _assets(environment: Mapping[str, str]) -> dict[str, Path]:
    """Take what KUBEBUILDER_ASSETS has; when it is set, etcd and kube-apiserver must be there."""
    folder = environment.get(ASSETS_VARIABLE, "")
    if not folder:
        return {}
    found = {program: Path(folder) / program for program in build.PROGRAMS if _is_program(Path(folder) / program)}
    for program in ("etcd", "kube-apiserver"):
        if program not in found:
            raise ControlPlaneUnavailable(f"{ASSETS_VARIABLE} is set to {folder}, where there is no program {program}.")
    return found


def _built(programs: list[str], project_root: Path, report: Report) -> dict[str, Path]:
    """Take programs from the cache, and build those that are not there."""
    source = project_root / "dev" / "controlplane"
    if not (source / "go.mod").is_file():
        raise ControlPlaneUnavailable(
            f"No {', '.join(programs)}, and nothing to build them from: {source} has no go.mod (an installed package "
            f"has not, a clone of the repository has). {WAYS_OUT}"
        )
    folder = build.cache_folder(source, project_root / ".cache" / "controlplane")
    missing = [program for program in programs if not _is_program(folder / program)]
    if missing:
        _build(missing, source, folder, report)
    return {program: folder / program for program in programs}


def _build(programs: list[str], source: Path, folder: Path, report: Report) -> None:
    try:
        build.build(programs, source, folder, report)
    except build.GoMissing as error:
        raise ControlPlaneUnavailable(f"No {', '.join(programs)}, and no Go to build them. {WAYS_OUT}") from error
    except build.BuildFailed as error:
        raise ControlPlaneUnavailable(f"{error}\n{WAYS_OUT}") from error


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
