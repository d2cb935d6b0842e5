"""Files that hold credentials."""

import os
from pathlib import Path


def private_file(path: Path, text: str) -> Path:
    """Write a file that its owner alone can read, all at once."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with open(fresh, "x", opener=_owner_only, encoding="utf-8") as file:
        file.write(text)
    return fresh.replace(path)


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
