"""A stand-in for agentregistry on this machine, for the tests and `agentspawn dev`: three dialects, and faults."""

from mcp_agentspawn.localplane.registry.cursors import Dialect
from mcp_agentspawn.localplane.registry.published import Artifact, Content, Deployment, Published, Reference, load
from mcp_agentspawn.localplane.registry.server import Seen, Standin, registry_standin

__all__ = [
    "Artifact",
    "Content",
    "Deployment",
    "Dialect",
    "Published",
    "Reference",
    "Seen",
    "Standin",
    "load",
    "registry_standin",
]
