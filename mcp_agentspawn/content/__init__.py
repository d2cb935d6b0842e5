"""What a text that enters a prompt must not hold: credentials, injections, exfiltration, hidden characters.

The rules stand in `rules.toml`. Everything here is pure, and linear in the length of the text.
"""

from mcp_agentspawn.content.patterns import ScanFailed
from mcp_agentspawn.content.redacting import redacted
from mcp_agentspawn.content.rules import rules
from mcp_agentspawn.content.scanning import Match, scan

__all__ = ["Match", "ScanFailed", "redacted", "rules", "scan"]
