"""What is wrong, where: `file:line: key: message`."""

from dataclasses import dataclass

MOST_SHOWN = 64

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong in one file; `line` counts from 1. Sorts by file, then line."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.message}"


def shown(key: str) -> str:
    """A key as it may be printed: one line, bounded, nothing unseen."""
    return "".join(character if character.isprintable() else "?" for character in key[:MOST_SHOWN])
