"""A text read otherwise, piece by piece, with the way back: what is found in it is found in the text."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

Piece = tuple[int, int, bytes]
"""What stands from one place to another, in bytes, and what it is read as."""


@dataclass(frozen=True, slots=True)
class View:
    """`data` is the text as it is read; what begins at `begins` in it comes from `origins` of the text itself."""

    data: bytes
    begins: tuple[int, ...]
    origins: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, text: bytes, pieces: Iterable[Piece]) -> "View":
        """The text with these pieces, in order, read so; the rest as it stands."""
        read, begins, origins = [], [], []
        length = place = 0
        for start, end, meant in (*pieces, (len(text), len(text), b"")):
            for origin, part in (((place, start), text[place:start]), ((start, end), meant)):
                read.append(part)
                begins.append(length)
                origins.append(origin)
                length += len(part)
            place = end
        return cls(b"".join(read), tuple(begins), tuple(origins))

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """From where to where in the text stands what stands so in `data`; a piece is never cut in two."""
        first = bisect_right(self.begins, start) - 1
        last = bisect_right(self.begins, end - 1) - 1
        begin = self.origins[first][0] + (0 if first % 2 else start - self.begins[first])
        return begin, self.origins[last][1] if last % 2 else self.origins[last][0] + end - self.begins[last]
