"""Talks to subagents over A2A, in both wires of the protocol; what kagent adds to it is known in `confirmations`."""

from mcp_agentspawn.adapters.a2a.agents import A2aAgents

__all__ = ["A2aAgents"]
