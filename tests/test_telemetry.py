import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from mcp.server.mcpserver import MCPServer
from prometheus_client.parser import text_string_to_metric_families

from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.core.registry import Standing
from mcp_agentspawn.telemetry import MOST_VALUES, CountedAudit, Metrics, configure_logging
from tests.builders import NOON

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"
CANARY = "canary-4711"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("mcp_agentspawn").setLevel(logging.NOTSET)
    structlog.reset_defaults()


def fail(text: str) -> None:
    """Fail with this text, with something else in a local variable."""
    hidden = text.swapcase()
    raise ValueError(hidden.swapcase())


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def configured(level: str = "info", *, readable: bool = False) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(level, stream=stream, readable=readable)
    return stream


def test_entries_are_json_lines_with_time_level_and_logger() -> None:
    stream = configured()

    structlog.get_logger("mcp_agentspawn.app").info("ready", port=8000)

    (entry,) = logged(stream)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"event": "ready", "level": "info", "logger": "mcp_agentspawn.app", "port": 8000}


def test_a_stream_that_is_no_terminal_gets_json() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)

    structlog.get_logger("mcp_agentspawn.app").info("ready")

    assert [entry["event"] for entry in logged(stream)] == ["ready"]


def test_a_person_gets_readable_lines() -> None:
    stream = configured(readable=True)

    try:
        fail(CANARY)
    except ValueError:
        structlog.get_logger("mcp_agentspawn.app").exception("failed", at="start", authorization=CANARY * 2)

    assert "at=start" in stream.getvalue()
    assert f"ValueError: {CANARY}" in stream.getvalue()
    assert CANARY * 2 not in stream.getvalue()


@pytest.mark.parametrize("name", ["uvicorn.error", "mcp.server.runner", "aiohttp.client", "anything"])
def test_libraries_speak_through_the_same_lines(name: str) -> None:
    logging.getLogger(name).handlers[:] = [logging.NullHandler()] if name == "uvicorn.error" else []
    stream = configured()

    logging.getLogger(name).info("listening on %s", "a port")

    assert [(entry["event"], entry["logger"]) for entry in logged(stream)] == [("listening on a port", name)]


def test_an_mcp_server_that_is_made_afterwards_adds_no_lines_of_its_own() -> None:
    stream = configured()

    MCPServer("agentspawn")
    logging.getLogger("mcp.server.runner").warning("once")

    assert len(logging.getLogger().handlers) == 1
    assert [entry["event"] for entry in logged(stream)] == ["once"]


@pytest.mark.parametrize("name", ["mcp.server.streamable_http", "mcp.server.streamable_http_manager", "uvicorn.access"])
def test_what_speaks_of_every_request_is_silent_at_info(name: str) -> None:
    stream = configured("debug")

    logging.getLogger(name).info("a request")
    logging.getLogger(name).warning("a problem")

    assert [entry["event"] for entry in logged(stream)] == ["a problem"]


def test_only_this_package_speaks_below_info() -> None:
    stream = configured("debug")

    structlog.get_logger("mcp_agentspawn.server").debug("ours")
    logging.getLogger("kubernetes.client.rest").debug("response body: %s", CANARY)
    logging.getLogger("mcp.server.lowlevel.server").debug("message: %s", CANARY)

    assert [entry["event"] for entry in logged(stream)] == ["ours"]


def test_the_level_is_a_floor_for_all() -> None:
    stream = configured("warning")

    structlog.get_logger("mcp_agentspawn.server").info("ours")
    logging.getLogger("uvicorn.error").info("theirs")
    logging.getLogger("mcp.server.streamable_http").warning("a problem")

    assert [entry["event"] for entry in logged(stream)] == ["a problem"]


SECRETS: dict[str, dict[str, Any]] = {
    "a token by its key": {"token": CANARY},
    "a header by its key": {"X-Agentspawn-Token": CANARY},
    "a camel-case key": {"clientSecret": CANARY},
    "an inner key": {"headers": {"Authorization": [CANARY]}},
    "a list of headers": {"headers": [("x", f"Bearer {CANARY}")]},
    "a bearer token": {"seen": f"authorization: bearer {CANARY}, and more"},
    "a JWT": {"seen": f"failed with {JWT} at the end"},
    "a JWT as a key": {"seen": {JWT: 1}},
    "bytes": {"seen": f"Bearer {CANARY}".encode()},
    "an exception": {"error": ValueError(f"Bearer {CANARY}")},
    "a deep one": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": f"Bearer {CANARY}"}}}}}}}},
}


@pytest.mark.parametrize("kind", SECRETS)
def test_what_looks_like_a_credential_is_not_logged(kind: str) -> None:
    stream = configured()

    structlog.get_logger("mcp_agentspawn.server").info("seen", **SECRETS[kind])

    assert len(logged(stream)) == 1
    assert CANARY not in stream.getvalue()
    assert JWT not in stream.getvalue()
    assert "[redacted]" in stream.getvalue()


def test_a_librarys_message_and_traceback_are_redacted_too() -> None:
    stream = configured()

    try:
        fail(f"Bearer {JWT}")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("with Bearer %s", CANARY)

    (entry,) = logged(stream)
    assert entry["exception"].endswith("ValueError: [redacted]")
    assert entry["event"] == "with [redacted]"
    assert f"Bearer {JWT}".swapcase() not in stream.getvalue()


def test_ordinary_values_stay_as_they_are() -> None:
    stream = configured()

    structlog.get_logger("mcp_agentspawn.server").info("seen", at=["a:1"], root="agents/o", n=3, ok=True, none=None)

    (entry,) = logged(stream)
    assert (entry["at"], entry["root"], entry["n"], entry["ok"], entry["none"]) == (["a:1"], "agents/o", 3, True, None)


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    body, _ = metrics.render()
    families = text_string_to_metric_families(body.decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket"))
    }


def test_what_happened_is_counted() -> None:
    metrics = Metrics()

    metrics.called("apply_subagent", "allowed", 0.2)
    metrics.refused(["quota.live_per_root", "rate.changes_per_minute"])
    metrics.ledger_conflicted()
    metrics.audit_failed()
    metrics.rules_loaded(3)
    metrics.rules_rejected()
    metrics.repaired("release")
    metrics.watched(leading=True, in_sync=False, age_seconds=4.5)
    metrics.registry_read(Standing("main", "fresh", NOON), 12, succeeded=True)
    metrics.registry_read(Standing("other", "away"), 0, succeeded=False)

    found = samples(metrics)
    assert found["agentspawn_tool_calls_total", "allowed", "apply_subagent"] == 1
    assert found["agentspawn_tool_seconds_count", "apply_subagent"] == 1
    assert found["agentspawn_tool_seconds_sum", "apply_subagent"] == 0.2
    assert found["agentspawn_refusals_total", "quota.live_per_root"] == 1
    assert found["agentspawn_refusals_total", "rate.changes_per_minute"] == 1
    assert found["agentspawn_ledger_conflicts_total",] == 1
    assert found["agentspawn_audit_failures_total",] == 1
    assert found["agentspawn_rules_generation",] == 3
    assert found["agentspawn_rules_reload_failures_total",] == 1
    assert found["agentspawn_repairs_total", "release"] == 1
    assert found["agentspawn_reconciler_leading",] == 1
    assert found["agentspawn_reconciler_in_sync",] == 0
    assert found["agentspawn_reconciler_watch_age_seconds",] == 4.5
    assert found["agentspawn_registry_readings_total", "read", "main"] == 1
    assert found["agentspawn_registry_readings_total", "failed", "other"] == 1
    assert found["agentspawn_registry_entries", "main"] == 12
    assert found["agentspawn_registry_read_timestamp_seconds", "main"] == NOON.timestamp()
    assert found["process_resident_memory_bytes",] > 0


def test_counters_without_labels_are_there_before_anything_happened() -> None:
    assert samples(Metrics())["agentspawn_audit_failures_total",] == 0


def test_two_servers_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()

    first.audit_failed()

    assert samples(second)["agentspawn_audit_failures_total",] == 0


@pytest.mark.parametrize("text", ["sub-researcher-x7", JWT, "Ignore all that", "a.b.c", "", "quota.x\n", "q" * 60])
def test_no_label_holds_what_somebody_made_up(text: str) -> None:
    metrics = Metrics()

    metrics.called(text, text, 0.1)
    metrics.refused([text])
    metrics.repaired(text)

    labels = {label for _, *values in samples(metrics) for label in values}
    assert labels == {"other"}


def test_the_number_of_codes_is_bounded() -> None:
    metrics = Metrics()
    letters = [f"{first}{second}" for first in "abcdefghijkl" for second in "abcdefghijkl"]

    metrics.refused([f"quota.{each}" for each in letters] * 2)

    found = {key: value for key, value in samples(metrics).items() if key[0] == "agentspawn_refusals_total"}
    assert len(found) == MOST_VALUES + 1
    assert found["agentspawn_refusals_total", "other"] == 2 * (len(letters) - MOST_VALUES)


def test_metrics_come_with_their_content_type() -> None:
    assert Metrics().render()[1].startswith("text/plain; version=")


class FullAudit:
    """An audit whose disk is full."""

    async def write(self, _record: Record) -> Head:
        raise Unavailable("no space left")


class RoomyAudit:
    """An audit that takes everything."""

    async def write(self, _record: Record) -> Head:
        return Head("agentspawn-0", 1, "sha256:00")


async def test_records_that_could_not_be_written_are_counted() -> None:
    metrics = Metrics()

    with pytest.raises(Unavailable):
        await CountedAudit(FullAudit(), metrics).write(Record("apply.intent", "agents/o", ""))

    assert samples(metrics)["agentspawn_audit_failures_total",] == 1


async def test_refusals_are_counted_as_they_are_recorded() -> None:
    metrics = Metrics()
    audit = CountedAudit(RoomyAudit(), metrics)

    await audit.write(Record("apply.intent", "agents/o", "", reasons=("quota.live_per_root",)))
    head = await audit.write(Record("refused", "agents/o", "", reasons=("quota.live_per_root",)))

    assert head.sequence == 1
    assert samples(metrics)["agentspawn_refusals_total", "quota.live_per_root"] == 1
