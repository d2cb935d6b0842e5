"""The records of one watched collection, by name."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Generic, TypeVar

from mcp_agentspawn.adapters.kubernetes.errors import UNREADABLE

R = TypeVar("R")


class Kept(Generic[R]):
    """The records of one collection by name; tells what became of each. Of an object that is none, none is kept."""

    def __init__(
        self,
        slim: Callable[[Mapping[str, Any]], R | None],
        became: Callable[[R | None, R | None], None],
        read_again: Callable[[], None],
    ) -> None:
        self.unreadable: set[str] = set()
        """Names of objects that can not be read: of these what was known before is kept."""
        self.read_again = read_again
        """See `informer.Records.read_again`."""
        self._slim = slim
        self._became = became
        self.records: dict[str, R] = {}

    def put(self, name: str, stored: Mapping[str, Any]) -> None:
        """See `informer.Records.put`."""
        try:
            self._keep(name, self._slim(stored))
            self.unreadable.discard(name)
        except UNREADABLE:
            self.unreadable.add(name)

    def drop(self, name: str) -> None:
        """See `informer.Records.drop`."""
        self.unreadable.discard(name)
        self._keep(name, None)

    def names(self) -> Collection[str]:
        """See `informer.Records.names`."""
        return self.records.keys() | self.unreadable

    def _keep(self, name: str, new: R | None) -> None:
        old = self.records.pop(name, None)
        if new is not None:
            self.records[name] = new
        if old != new or _fingerprint(old) != _fingerprint(new):
            self._became(old, new)


def _fingerprint(record: object) -> str:
    """Which no comparison of records looks at."""
    return str(getattr(record, "fingerprint", ""))
