"""Where kagent's Python runtime is installed: an environment of its own, because its dependencies clash with ours."""

from pathlib import Path

from mcp_agentspawn.localplane.errors import ControlPlaneUnavailable

CHECKOUT = Path(__file__).parents[3]


def find_runtime(project_root: Path = CHECKOUT) -> Path:
    """The Python of kagent's environment. Raises ControlPlaneUnavailable with the way out when there is none."""
    folder = project_root / ".cache" / "kagent"
    if not (folder / ".installed").is_file():
        raise ControlPlaneUnavailable(
            f"kagent's agent runtime, which runs subagents on this machine, is not installed in {folder}. `make setup` "
            "in a clone of the repository installs it. To do without agents that live: agentspawn serve --memory"
        )
    return folder / "bin" / "python"
