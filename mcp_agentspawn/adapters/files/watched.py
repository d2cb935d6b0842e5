"""Files that may change under a running server: the last good version stays until a better one is there."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Generic, Literal, TypeVar

from mcp_agentspawn.adapters.files.folder import content, yaml_files
from mcp_agentspawn.core.errors import ConfigError

T = TypeVar("T")

News = Literal["unchanged", "reloaded", "kept"]


class Watched(Generic[T]):
    """The value of a load function, loaded again when the folders it reads have changed.

    Raises `ConfigError` when the first load fails. A change counts once two looks in a row have seen the same, so
    that a half-written file is not taken. Has no timer: call `refresh` about every second, one call at a time.
    """

    def __init__(self, folders: Sequence[Path], load: Callable[[], T]) -> None:
        self._folders = tuple(folders)
        self._load = load
        self._seen = self._judged = self._fingerprint()
        self._value = load()
        self._problems: tuple[str, ...] = ()

    def current(self) -> T:
        """The last good value."""
        return self._value

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the files as they are now are not used; none when they are."""
        return self._problems

    def refresh(self) -> News:
        """Look once. `reloaded`: a new good value; `kept`: what is there now is bad, and `problems` says why.

        Each change is reported once. Blocks while it reads.
        """
        before, self._seen = self._seen, self._fingerprint()
        if self._seen == self._judged or self._seen != before:
            return "unchanged"
        value, problems = self._loaded()
        if self._fingerprint() != self._seen:
            return "unchanged"
        self._judged, self._problems = self._seen, problems
        if value is None:
            return "kept"
        self._value = value
        return "reloaded"

    def _loaded(self) -> tuple[T | None, tuple[str, ...]]:
        try:
            return self._load(), ()
        except ConfigError as error:
            return None, error.problems

    def _fingerprint(self) -> str:
        whole = sha256()
        for folder in self._folders:
            for name, data in _contents(folder):
                whole.update(f"{len(name)} {len(data)} ".encode() + name + data)
        return whole.hexdigest()


def _contents(folder: Path) -> list[tuple[bytes, bytes]]:
    try:
        return [(str(file).encode("utf-8", "surrogateescape"), _bytes(file)) for file in sorted(yaml_files(folder))]
    except OSError as error:
        return [(str(folder).encode("utf-8", "surrogateescape"), f"unreadable {error.errno}".encode())]


def _bytes(file: Path) -> bytes:
    try:
        return content(file)
    except OSError as error:
        return f"unreadable {error.errno}".encode()
