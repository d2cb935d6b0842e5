"""The audit on disk: one append-only file a writer, JSON lines, hash-chained, durable before a write returns."""

from mcp_agentspawn.adapters.audit_log.log import AuditLog, opened

__all__ = ["AuditLog", "opened"]
