"""What a root holds and has used: keyed sets, never counters, so that repair can be run twice.

Every change is a pure function from ledger to ledger; a `Ledgers` port stores it by compare-and-swap.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from mcp_agentspawn.core.outcomes import MOST_KEYS, Outcomes

RATE_WINDOW = timedelta(minutes=1)
SPAWN_WINDOW = timedelta(hours=24)
MOST_AUDIT_HEADS = 16


@dataclass(frozen=True, slots=True)
class Head:
    """Where one audit writer (`name@start of its log`) stood when the ledger was changed.

    A log that ends before it was cut.
    """

    writer: str
    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Open:
    """An open proposal; `until` is when it expires."""

    proposal: str
    until: datetime
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """A slot that an agent holds or is about to; `nonce` tells this reservation from a later one of the same id.

    `credentials` are the SHA-256 of what each attempt would give the agent as its own credential; one of them it has.
    """

    at: datetime
    nonce: str
    request: str
    parent: str = ""
    credentials: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Used:
    """A spawn that counts for a day."""

    at: datetime
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One change that counts against the rate, by the caller who made it (`""`: the root itself)."""

    at: datetime
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The sets of one root. `open` is keyed by request digest, `live` and `used` by proposal id, `audit` by writer.

    `account` is the uid of the service account whose tree it is; `""` before that is known. `outcomes` is how its
    subagents have done, by template and registry entry, see `core.outcomes`.
    """

    root: str
    open: Mapping[str, Open] = field(default_factory=dict)
    live: Mapping[str, Live] = field(default_factory=dict)
    used: Mapping[str, Used] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    spawned: int = 0
    audit: Mapping[str, Head] = field(default_factory=dict)
    account: str = ""
    outcomes: Mapping[str, Outcomes] = field(default_factory=dict)

    def find(self, request_digest: str, ended: Collection[str] = ()) -> str:
        """The id that stands for this request, open or live, and has not ended; `""` when there is none."""
        opened = [self.open[request_digest].proposal] if request_digest in self.open else []
        found = [*opened, *(id_ for id_, live in self.live.items() if live.request == request_digest)]
        return next((id_ for id_ in found if id_ not in ended), "")

    def is_open(self, proposal: str) -> bool:
        """Whether this proposal may still be applied."""
        return any(entry.proposal == proposal for entry in self.open.values())

    def parents(self) -> Mapping[str, str]:
        """The parent of every open proposal and of every agent that holds a place, by id."""
        opened = {entry.proposal: entry.parent for entry in self.open.values()}
        return opened | {id_: live.parent for id_, live in self.live.items()}

    def pruned(self, now: datetime, since: datetime | None = None) -> "Ledger":
        """Without what no longer counts: expired proposals, uses older than a day, changes older than a minute.

        Nor do uses and changes before `since`, when a person said that the counts begin anew.
        """
        day, minute = (max(since or begin, begin) for begin in (now - SPAWN_WINDOW, now - RATE_WINDOW))
        return replace(
            self,
            open={digest: entry for digest, entry in self.open.items() if entry.until > now},
            used={id_: use for id_, use in self.used.items() if use.at > day or id_ in self.live},
            changes=tuple(change for change in self.changes if change.at > minute),
        )

    def claimed(self, account: str) -> "Ledger":
        """With the service account of this uid as its own; `""` changes nothing."""
        return replace(self, account=account) if account else self

    def opened(self, request_digest: str, entry: Open, change: Change) -> "Ledger":
        """With one more open proposal, counted against the rate."""
        return replace(self, open={**self.open, request_digest: entry}, changes=(*self.changes, change))

    def renewed(self, request_digest: str, until: datetime) -> "Ledger":
        """With the open proposal of this request kept until then; the same when there is none."""
        entry = self.open.get(request_digest)
        return replace(self, open={**self.open, request_digest: replace(entry, until=until)}) if entry else self

    def reserved(self, proposal: str, entry: Live, change: Change) -> "Ledger":
        """With the open proposal's slot taken and used, counted against the rate."""
        return replace(
            self.closed(proposal),
            live={**self.live, proposal: entry},
            used={**self.used, proposal: Used(entry.at, entry.parent)},
            changes=(*self.changes, change),
            spawned=self.spawned + 1,
        )

    def closed(self, proposal: str) -> "Ledger":
        """Without this open proposal; removing nothing is success."""
        return replace(self, open={key: entry for key, entry in self.open.items() if entry.proposal != proposal})

    def released(self, proposal: str, nonce: str = "") -> "Ledger":
        """Without the slot of this agent; with a `nonce`, only if it is still that very reservation."""
        held = self.live.get(proposal)
        if held is None or (nonce and held.nonce != nonce):
            return self
        return replace(self, live={id_: live for id_, live in self.live.items() if id_ != proposal})

    def recorded(self, key: str, outcomes: Outcomes) -> "Ledger":
        """With these outcomes under this key; past the bound, the best are forgotten first, so that no poor one is.

        Of those that are equally good, it is the one that was written longest ago.
        """
        others = {other: known for other, known in self.outcomes.items() if other != key}
        while len(others) >= MOST_KEYS:
            del others[max(others, key=lambda other: others[other].score)]
        return replace(self, outcomes={**others, key: outcomes})

    def counted(self, keys: Iterable[str], count: Callable[[Outcomes], Outcomes]) -> "Ledger":
        """With one more thing counted under each of these keys; the same when it is counted under all of them."""
        ledger = self
        for key in keys:
            known = ledger.outcomes.get(key, Outcomes())
            grown = count(known)
            ledger = ledger if grown is known else ledger.recorded(key, grown)
        return ledger

    def anchored(self, head: Head) -> "Ledger":
        """With the audit writer's head, if it is news; the logs that began first leave when there are too many."""
        known = self.audit.get(head.writer)
        if known is not None and known.sequence >= head.sequence:
            return self
        others = [other for writer, other in self.audit.items() if writer != head.writer]
        others.sort(key=lambda other: other.writer.rpartition("@")[2])
        kept = others[max(0, len(others) + 1 - MOST_AUDIT_HEADS) :]
        return replace(self, audit={entry.writer: entry for entry in (*kept, head)})
