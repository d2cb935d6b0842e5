"""A folder for what is known of registries: ours alone, gone when we are, and cleared by the next if we were killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mcp_agentspawn.core.errors import ConfigError

PREFIX = "agentspawn-registries-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make one, and remove those whose owner is no more. Raises ConfigError where none can be made."""
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{PREFIX}*"):
        _clear(left)
    folder, lock = _made(place)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _made(place: Path) -> tuple[Path, int]:
    """It gets its name once it is locked, so that nobody takes it for one that was left."""
    try:
        unnamed = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=place))
        lock = _lock(unnamed)
        return unnamed.rename(place / unnamed.name[1:]), lock
    except OSError as error:
        raise ConfigError([f"TMPDIR: no folder can be made in {place}: {error.strerror}"]) from error


def _lock(folder: Path) -> int:
    """The kernel lets go of it when we end, however we end. Raises OSError when somebody holds it."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _clear(folder: Path) -> None:
    """Somebody else's, and one that is held, stay."""
    with suppress(OSError):
        lock = _lock(folder)
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
