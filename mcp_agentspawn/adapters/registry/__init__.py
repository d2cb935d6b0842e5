"""Reads agentregistry, in all its dialects, as the stranger that it is: bounded, checked, never trusted."""
