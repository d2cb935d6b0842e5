"""Many patterns, one pass: sets of RE2, whose time is linear in the text, whatever the patterns and the text are."""

from collections.abc import Sequence

import re2

from mcp_agentspawn.core.errors import AgentSpawnError

MOST_MEMORY_BYTES = 16 * 1024 * 1024
END = r"\z"


class ScanFailed(AgentSpawnError):
    """RE2 ran out of memory within a text, so that nobody knows what the rest of it holds."""


class PatternSet:
    """Patterns with the names that they find, which may repeat; over UTF-8, or over `single_bytes`.

    Raises `ValueError` for a pattern that RE2 does not understand.
    """

    def __init__(
        self,
        patterns: Sequence[tuple[str, str]],
        *,
        single_bytes: bool = False,
        most_memory_bytes: int = MOST_MEMORY_BYTES,
    ) -> None:
        options = re2.Options()
        options.max_mem = most_memory_bytes
        options.log_errors = False
        options.dot_nl = single_bytes
        if single_bytes:
            options.encoding = re2.Options.Encoding.LATIN1
        self._names = [name for name, _ in patterns]
        self._set = re2.Set.SearchSet(options)
        for name, pattern in (*patterns, (END, END)):
            self._add(name, pattern)
        self._set.Compile()

    def _add(self, name: str, pattern: str) -> None:
        try:
            self._set.Add(pattern.encode())
        except re2.error as error:
            raise ValueError(f"{name}: not a pattern of RE2") from error

    def matches(self, text: bytes) -> frozenset[str]:
        """The names of the patterns that are found in a text. Raises `ScanFailed`.

        RE2 answers "nothing found" when it runs out of memory. Every text has an end, so a set that does not find
        it has failed.
        """
        found = self._set.Match(text) or ()
        if len(self._names) not in found:
            raise ScanFailed("RE2 had not enough memory for this text.")
        return frozenset(self._names[index] for index in found if index < len(self._names))
