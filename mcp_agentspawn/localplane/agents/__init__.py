"""A stand-in for kagent's controller on a laptop: it runs Agents in kagent's own Python runtime, one process each."""

from mcp_agentspawn.localplane.agents.installed import find_runtime
from mcp_agentspawn.localplane.agents.process import AgentRuntime
from mcp_agentspawn.localplane.agents.runner import AgentRunner, agent_runner
from mcp_agentspawn.localplane.agents.translating import Endpoint

__all__ = ["AgentRunner", "AgentRuntime", "Endpoint", "agent_runner", "find_runtime"]
