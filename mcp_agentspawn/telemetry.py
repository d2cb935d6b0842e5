"""What operators see of a running server: structured logs, and metrics."""

import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final, TextIO, get_args

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from structlog.typing import Processor

from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.ports import Audit, Record
from mcp_agentspawn.core.registry import Standing
from mcp_agentspawn.core.verdict import Outcome

PACKAGE: Final = "mcp_agentspawn"
QUIET: Final = ("mcp.server.streamable_http", "mcp.server.streamable_http_manager", "uvicorn.access")
"""Loggers that speak of every request at INFO."""
OWN_HANDLERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "mcp", "aiohttp")

SECRET_WORDS: Final = frozenset(
    {"token", "tokens", "authorization", "secret", "secrets", "password", "cookie", "credential", "credentials"}
)
WORD: Final = re.compile(r"[^a-zA-Z0-9]+|(?<=[a-z])(?=[A-Z])")
CREDENTIAL: Final = re.compile(
    r"(?i:\bbearer\s+)[^\s\"',]+|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)*"
)
REDACTED: Final = "[redacted]"
MOST_TEXT: Final = 8192
MOST_DEPTH: Final = 6

CODE: Final = re.compile(r"[a-z]+(\.[a-z]+(_[a-z]+)*)?\Z")
WORDS: Final = re.compile(r"[a-z]+(_[a-z]+)*\Z")
MOST_LABEL: Final = 48
MOST_VALUES: Final = 100
OTHER: Final = "other"
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)


def configure_logging(level: str, *, stream: TextIO | None = None, readable: bool | None = None) -> None:
    """Log to a stream (`None`: stderr), as JSON lines or `readable` (`None`: readable on a terminal).

    `level` (`debug`, `info`, ...) is for this package. Libraries speak at INFO at most: below it they log bodies. Call
    it before an MCP server is made, which sets up logging of its own where there is none.
    """
    stream = stream or sys.stderr
    readable = stream.isatty() if readable is None else readable
    shared = _processors()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact,
                _renderer(stream, readable=readable),
            ],
        )
    )
    _route(handler, logging.getLevelNamesMapping()[level.upper()])
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _processors() -> list[Processor]:
    """What every entry goes through, ours or a library's. Tracebacks become text, without local variables."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def _renderer(stream: TextIO, *, readable: bool) -> Processor:
    if readable:
        return structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer()


def _route(handler: logging.Handler, level: int) -> None:
    """Everything goes through the one handler."""
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.INFO, level))
    logging.getLogger(PACKAGE).setLevel(level)
    for name in OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def redact(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """The last resort: nothing that looks like a credential is logged. Code must not rely on it."""
    return {name: REDACTED if _is_secret(name) else _redacted(value) for name, value in entry.items()}


def _is_secret(name: str) -> bool:
    return any(word.lower() in SECRET_WORDS for word in WORD.split(name))


def _redacted(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < MOST_DEPTH and isinstance(value, Mapping):
        return {
            _redacted(str(name)): REDACTED if _is_secret(str(name)) else _redacted(inner, depth + 1)
            for name, inner in value.items()
        }
    if depth < MOST_DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [_redacted(inner, depth + 1) for inner in value]
    return CREDENTIAL.sub(REDACTED, str(value)[:MOST_TEXT])


class Metrics:
    """Counts for Prometheus, in a registry of their own. No label holds what a caller made up, or an agent's name."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._tools, self._codes, self._actions = _Labels(WORDS), _Labels(CODE), _Labels(WORDS)
        self._calls = self._counter("tool_calls", "Tool calls by outcome.", "tool", "outcome")
        self._seconds = Histogram(
            "agentspawn_tool_seconds", "Time to answer a tool call.", ["tool"], buckets=SECONDS, registry=self._registry
        )
        self._refusals = self._counter("refusals", "Reasons of refusals by code.", "code")
        self._conflicts = self._counter("ledger_conflicts", "Compare-and-swaps of a ledger that were tried again.")
        self._audit_failures = self._counter("audit_failures", "Records that could not be written to the audit log.")
        self._generation = self._gauge("rules_generation", "How often policies and templates were loaded.")
        self._reload_failures = self._counter(
            "rules_reload_failures", "Policies or templates that could not be loaded."
        )
        self._repairs = self._counter("repairs", "What repair did, by action.", "action")
        self._readings = self._counter("registry_readings", "Readings of registries by outcome.", "registry", "outcome")
        self._entries = self._gauge("registry_entries", "Entries that are known of a registry.", "registry")
        self._as_of = self._gauge("registry_read_timestamp_seconds", "When a registry was last read whole.", "registry")
        self._leading = self._gauge("reconciler_leading", "Whether this replica looks after the subagents.")
        self._in_sync = self._gauge("reconciler_in_sync", "Whether all that it looks after is being watched.")
        self._age = self._gauge("reconciler_watch_age_seconds", "Since when nothing was heard of a watch, at most.")
        ProcessCollector(registry=self._registry)

    def called(self, tool: str, outcome: str, seconds: float) -> None:
        """Count one call of a tool that there is."""
        known = self._tools.bounded(tool)
        self._calls.labels(known, outcome if outcome in get_args(Outcome) else OTHER).inc()
        self._seconds.labels(known).observe(seconds)

    def refused(self, codes: Iterable[str]) -> None:
        """Count the reasons of one refusal."""
        for code in codes:
            self._refusals.labels(self._codes.bounded(code)).inc()

    def ledger_conflicted(self) -> None:
        """Count a compare-and-swap that has to be tried again."""
        self._conflicts.inc()

    def audit_failed(self) -> None:
        """Count a record that could not be written."""
        self._audit_failures.inc()

    def rules_loaded(self, generation: int) -> None:
        """Say which version of the rules is in force."""
        self._generation.set(generation)

    def rules_rejected(self) -> None:
        """Count rules that could not be loaded; the last good ones stay."""
        self._reload_failures.inc()

    def repaired(self, action: str) -> None:
        """Count something that repair did, for example `release`."""
        self._repairs.labels(self._actions.bounded(action)).inc()

    def watched(self, *, leading: bool, in_sync: bool, age_seconds: float) -> None:
        """Say whether this replica looks after the subagents, and how current what it sees of them is."""
        self._leading.set(leading)
        self._in_sync.set(in_sync)
        self._age.set(age_seconds)

    def registry_read(self, standing: Standing, entries: int, *, succeeded: bool) -> None:
        """Count one reading of a registry, and say what is known of it; a registry's name is the operator's."""
        self._readings.labels(standing.registry, "read" if succeeded else "failed").inc()
        self._entries.labels(standing.registry).set(entries)
        if standing.as_of is not None:
            self._as_of.labels(standing.registry).set(standing.as_of.timestamp())

    def render(self) -> tuple[bytes, str]:
        """All of it in the exposition format, and that format's content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"agentspawn_{name}", meaning, labels, registry=self._registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"agentspawn_{name}", meaning, labels, registry=self._registry)


class _Labels:
    """Values of one label: of a known shape, and only so many; all others are `other`."""

    def __init__(self, shape: re.Pattern[str]) -> None:
        self._shape = shape
        self._seen: set[str] = set()

    def bounded(self, value: str) -> str:
        if value not in self._seen:
            if len(self._seen) >= MOST_VALUES or len(value) > MOST_LABEL or not self._shape.match(value):
                return OTHER
            self._seen.add(value)
        return value


class CountedAudit:
    """An audit that counts what could not be written."""

    def __init__(self, audit: Audit, metrics: Metrics) -> None:
        self._audit, self._metrics = audit, metrics

    async def write(self, record: Record) -> Head:
        """See `core.ports.Audit.write`; also counts the reasons of refusals."""
        if record.event == "refused":
            self._metrics.refused(record.reasons)
        try:
            return await self._audit.write(record)
        except Unavailable:
            self._metrics.audit_failed()
            raise
