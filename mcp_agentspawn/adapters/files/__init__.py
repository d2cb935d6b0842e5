"""Templates and policies from folders of strict YAML: every problem of every file at once, each with its line."""

from mcp_agentspawn.adapters.files.folder import Folder, examine
from mcp_agentspawn.adapters.files.private import private_file
from mcp_agentspawn.adapters.files.problems import Problem
from mcp_agentspawn.adapters.files.watched import Watched

__all__ = ["Folder", "Problem", "Watched", "examine", "private_file"]
