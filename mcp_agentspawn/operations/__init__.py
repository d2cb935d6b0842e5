"""One verb a file: what callers, people and time can do to subagents."""
