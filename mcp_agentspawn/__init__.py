"""mcp-agentspawn: agents that create agents, under policy, on kagent."""
