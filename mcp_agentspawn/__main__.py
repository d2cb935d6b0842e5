"""`python -m mcp_agentspawn` is `agentspawn`."""

from mcp_agentspawn.cli import main

main()
