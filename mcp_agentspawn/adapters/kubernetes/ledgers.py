"""Ledgers as SpawnLedger objects, one a root, changed only by compare-and-swap."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from mcp_agentspawn.adapters.kubernetes.answers import Answers
from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.group_commit import Book
from mcp_agentspawn.adapters.kubernetes.ledger_objects import (
    StoredLedger,
    name_of,
    object_of,
    stored_as,
    stored_ledger_of,
)
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import LEDGERS
from mcp_agentspawn.core.errors import Missing
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.names import SYSTEM_NAMESPACE

T = TypeVar("T")

KNOWN_SECONDS = 2.0
REQUEST_SECONDS = 3.0
COLLECTION = LEDGERS.collection(SYSTEM_NAMESPACE)


class KubernetesLedgers:
    """All ledgers. What was seen of one is looked at again without asking for 2 seconds, and decided on never."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self.conflicted: Callable[[], None] = lambda: None
        """Called each time that another replica was faster; for whoever counts."""
        self._client = client
        self._clock = clock
        self._books: dict[str, Book] = {}
        self._reads = Answers[str, StoredLedger](KNOWN_SECONDS, 0, clock)
        """Those on their way; what they gave is kept by the books alone."""

    async def look(self, root: str, *, fresh: bool = False) -> Ledger:
        """See `core.ports.Ledgers.look`."""
        book = self._book(root)
        if fresh:
            return (await book.read()).ledger
        known = book.known
        if known is None or self._clock() - book.known_at > KNOWN_SECONDS:
            known = await self._reads.get(root, book.read)  # one read for everybody who looks now
        return known.ledger

    async def change(self, root: str, decide: Callable[[Ledger], tuple[Ledger, T]]) -> T:
        """See `core.ports.Ledgers.change`."""
        return await self._book(root).change(decide)

    async def roots(self) -> Sequence[str]:
        """See `core.ports.Ledgers.roots`."""
        return read(lambda items: [item["spec"]["root"] for item in items], await self._client.list(COLLECTION))

    async def close(self) -> None:
        """Wait for the changes that are on their way; each is bounded in time."""
        for book in self._books.values():
            await book.close()

    def _book(self, root: str) -> Book:
        if root not in self._books:
            self._books[root] = Book(_Store(self._client, root), self._clock, self._count)
        return self._books[root]

    def _count(self) -> None:
        self.conflicted()


class _Store:
    """The object of one root."""

    def __init__(self, client: Client, root: str) -> None:
        self._client = client
        self._root = root
        self._path = LEDGERS.item(SYSTEM_NAMESPACE, name_of(root))

    async def read(self) -> StoredLedger:
        """See `group_commit.Store.read`."""
        try:
            answer = await self._client.request("GET", self._path, as_=SERVER, timeout_seconds=REQUEST_SECONDS)
        except Missing:
            return StoredLedger(Ledger(self._root))
        return read(stored_ledger_of, answer)

    async def write(self, base: StoredLedger, ledger: Ledger, write: str) -> StoredLedger:
        """See `group_commit.Store.write`."""
        method, path = ("PUT", self._path) if base.version else ("POST", COLLECTION)
        sent = object_of(base, ledger, write)
        answer = await self._client.request(
            method, path, sent, as_=SERVER, partial=True, timeout_seconds=REQUEST_SECONDS
        )
        # What is stored is what was sent: of the answer, which need not be the whole, the metadata is news.
        return read(lambda written: stored_as(ledger, written["metadata"]), answer, changes=True)
