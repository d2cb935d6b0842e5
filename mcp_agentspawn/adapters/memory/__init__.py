"""A whole world in this process: a twin of every port, for tests and for `serve --memory`."""

from mcp_agentspawn.adapters.memory.delegation import MemoryRemoteAgents
from mcp_agentspawn.adapters.memory.registries import MemoryRegistries
from mcp_agentspawn.adapters.memory.world import MemoryWorld

__all__ = ["MemoryRegistries", "MemoryRemoteAgents", "MemoryWorld"]
