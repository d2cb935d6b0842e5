"""The MCP edge: from an HTTP request to an operation, and from its answer to the wire."""
