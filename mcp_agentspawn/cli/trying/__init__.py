"""`agentspawn test`: policy unit tests as files."""
