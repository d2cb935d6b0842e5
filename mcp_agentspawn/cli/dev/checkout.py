"""What a clone of the repository has and an installed package has not."""

from pathlib import Path

from mcp_agentspawn.core.errors import ConfigError

ROOT = Path(__file__).parents[3]
POLICIES, TEMPLATES = ROOT / "policies", ROOT / "templates"
KAGENT_KINDS = ROOT / "dev" / "kagent-crds"
DEPLOY = ROOT / "deploy"
REGISTRY = ROOT / "dev" / "registry" / "agents.yaml"


def check_out() -> None:
    """Raise ConfigError when something that this needs is not there."""
    missing = [folder for folder in (POLICIES, TEMPLATES, KAGENT_KINDS, DEPLOY, REGISTRY.parent) if not folder.is_dir()]
    if missing:
        names = ", ".join(folder.name for folder in missing)
        raise ConfigError([f"{ROOT} has no {names}: this runs from a clone of the repository"])


def kinds() -> list[Path]:
    """The CustomResourceDefinitions: kagent's, and ours."""
    return [KAGENT_KINDS, *sorted(DEPLOY.glob("1*.yaml"))]


def manifests() -> list[Path]:
    """Everything else of deploy/, in order, but for the server itself, which runs here as a process."""
    return [file for file in sorted(DEPLOY.glob("*.yaml")) if file.name[0] not in "15"]
