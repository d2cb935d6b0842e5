"""A ledger as a SpawnLedger object, and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_agentspawn.adapters.kubernetes.objects import text_of, time_of
from mcp_agentspawn.adapters.kubernetes.resources import LEDGERS
from mcp_agentspawn.core.errors import Missing
from mcp_agentspawn.core.ledger import Change, Head, Ledger, Live, Open, Used
from mcp_agentspawn.core.names import GROUP, SYSTEM_NAMESPACE
from mcp_agentspawn.core.outcomes import Outcomes

WRITES = f"{GROUP}/writes"
MOST_WRITES = 16
COUNTS = ("tasks", "succeeded", "seconds", "retries", "quarantines")


@dataclass(frozen=True, slots=True)
class StoredLedger:
    """A ledger as it was read or written. `version` is `""` when there is no object yet.

    `writes` are the marks of the last writes, so that a writer whose answer was lost can tell whether it arrived.
    """

    ledger: Ledger
    version: str = ""
    writes: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def name_of(root: str) -> str:
    """`namespace.account` for `namespace/account`; a namespace has no dot, so two roots never share one."""
    namespace, slash, account = root.partition("/")
    if not (namespace and slash and account) or "." in namespace or "/" in account:
        raise Missing(f"{root!r} is no root.")
    return f"{namespace}.{account}"


def stored_ledger_of(stored: Mapping[str, Any]) -> StoredLedger:
    """Read a stored ledger."""
    return stored_as(ledger_of(stored["spec"]), stored["metadata"])


def stored_as(ledger: Ledger, metadata: Mapping[str, Any]) -> StoredLedger:
    """The ledger of an object with this metadata."""
    kept = {key: metadata[key] for key in ("labels", "annotations") if key in metadata}
    writes = kept.get("annotations", {}).get(WRITES, "").split()
    return StoredLedger(ledger, metadata["resourceVersion"], tuple(writes), kept)


def object_of(base: StoredLedger, ledger: Ledger, write: str) -> dict[str, Any]:
    """Write what follows `base`, marked with this write."""
    writes = " ".join([*base.writes, write][-MOST_WRITES:])
    metadata = {
        **base.metadata,
        "name": name_of(ledger.root),
        "namespace": SYSTEM_NAMESPACE,
        "annotations": {**base.metadata.get("annotations", {}), WRITES: writes},
    }
    if base.version:
        metadata["resourceVersion"] = base.version
    return LEDGERS.object(metadata, spec=_spec(ledger))


def ledger_of(spec: Mapping[str, Any]) -> Ledger:
    """Read the sets of a ledger."""
    return Ledger(
        root=spec["root"],
        open={key: _open(entry) for key, entry in spec["open"].items()},
        live={id_: _live(entry) for id_, entry in spec["live"].items()},
        used={id_: Used(time_of(use["at"]), use["parent"]) for id_, use in spec["used"].items()},
        changes=tuple(Change(time_of(entry["at"]), entry["caller"]) for entry in spec["changes"]),
        spawned=spec["spawned"],
        audit={writer: Head(writer, head["sequence"], head["hash"]) for writer, head in spec["audit"].items()},
        account=spec["account"],
        outcomes={entry["key"]: _outcomes(entry) for entry in spec.get("outcomes", ())},  # older ledgers have none
    )


def _open(entry: Mapping[str, Any]) -> Open:
    return Open(entry["proposal"], time_of(entry["until"]), entry["parent"])


def _live(entry: Mapping[str, Any]) -> Live:
    credentials = tuple(entry["credentials"])
    return Live(time_of(entry["at"]), entry["nonce"], entry["request"], entry["parent"], credentials)


def _outcomes(entry: Mapping[str, Any]) -> Outcomes:
    counts = {name: entry[name] for name in COUNTS}
    return Outcomes(**counts, recent=tuple(entry["recent"]))


def _spec(ledger: Ledger) -> dict[str, Any]:
    return {
        "root": ledger.root,
        "account": ledger.account,
        "open": {key: _open_spec(entry) for key, entry in ledger.open.items()},
        "live": {id_: _live_spec(entry) for id_, entry in ledger.live.items()},
        "used": {id_: {"at": text_of(use.at), "parent": use.parent} for id_, use in ledger.used.items()},
        "changes": [{"at": text_of(change.at), "caller": change.caller} for change in ledger.changes],
        "spawned": ledger.spawned,
        "audit": {writer: {"sequence": head.sequence, "hash": head.hash} for writer, head in ledger.audit.items()},
        "outcomes": [_outcomes_spec(key, outcomes) for key, outcomes in ledger.outcomes.items()],
    }


def _open_spec(entry: Open) -> dict[str, Any]:
    return {"proposal": entry.proposal, "until": text_of(entry.until), "parent": entry.parent}


def _live_spec(entry: Live) -> dict[str, Any]:
    return {
        "at": text_of(entry.at),
        "nonce": entry.nonce,
        "request": entry.request,
        "parent": entry.parent,
        "credentials": list(entry.credentials),
    }


def _outcomes_spec(key: str, outcomes: Outcomes) -> dict[str, Any]:
    counts = {name: getattr(outcomes, name) for name in COUNTS}
    return {"key": key, **counts, "recent": list(outcomes.recent)}
