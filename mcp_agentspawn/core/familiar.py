"""Credentials that were good when last looked at, by their hashes."""

from collections import OrderedDict


class Familiar:
    """So many of them, least recently good first out: whoever makes credentials up waits in another line than these."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._digests = OrderedDict[bytes, None]()

    def __contains__(self, digest: bytes) -> bool:
        """Whether it was good."""
        return digest in self._digests

    def __len__(self) -> int:
        """How many are known."""
        return len(self._digests)

    def note(self, digest: bytes, *, good: bool) -> None:
        """Know from now on what has just been found out about it."""
        self._digests.pop(digest, None)
        if good:
            self._digests[digest] = None
        if len(self._digests) > self._most:
            self._digests.popitem(last=False)
