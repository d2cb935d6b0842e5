"""A listing page by page, to its end and no further."""

from collections.abc import Mapping
from typing import Any

from mcp_agentspawn.adapters.registry.client import Client
from mcp_agentspawn.adapters.registry.failures import ReadingFailed

PAGE = 100
"""What every dialect gives at once."""
LARGE_PAGE = 200
MOST_PAGES = 1000
MOST_CURSOR_CHARACTERS = 4096


class Listing:
    """All of one collection, in every namespace."""

    def __init__(self, client: Client, collection: str) -> None:
        self._client = client
        self._path = ("v0", collection)
        self._query = {"namespace": "all", "limit": str(PAGE)}
        self._cursors: set[str] = set()
        self._ended = False
        self.pages = 0

    async def page(self) -> Any:
        """The next page; `None` behind the last one. Raises `ReadingFailed`, also when there is no end."""
        if self._ended:
            return None
        if self.pages == MOST_PAGES:
            raise ReadingFailed("registry.endless", f"more than {MOST_PAGES} pages")
        found = await self._client.get(self._path, self._query)
        self.pages += 1
        self._follow(found)
        return found

    def _follow(self, page: Any) -> None:
        cursor = _cursor(page)
        if cursor in self._cursors:
            raise ReadingFailed("registry.cursor_loop", "a cursor that was there before")
        self._cursors.add(cursor)
        self._ended = not cursor
        if "items" in page:
            self._query["limit"] = str(LARGE_PAGE)
        self._query["cursor"] = cursor


def _cursor(page: Any) -> str:
    """Where the next page begins; `""` when there is none. Filters are not in it: they are sent again."""
    found = _part(page, "nextCursor") or _part(_part(page, "metadata") or {}, "nextCursor") or ""
    if not isinstance(found, str) or len(found) > MOST_CURSOR_CHARACTERS:
        raise ReadingFailed("registry.dialect", "a cursor that is none")
    return found


def _part(value: Mapping[str, Any], key: str) -> Any:
    if not isinstance(value, dict):
        raise ReadingFailed("registry.dialect", "an answer that is no listing")
    return value.get(key)


def check_count(count: int, most: int) -> None:
    """Raise `ReadingFailed` for more entries than a reading may hold."""
    if count > most:
        raise ReadingFailed("registry.too_large", f"more than {most} entries")
