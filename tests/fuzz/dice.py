"""Dice that throw hostile values, the same ones again for the same number."""

import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import psutil

SECONDS_FOR_ONE = 2.0
MEGABYTES_MORE = 100
SETTLES_AFTER = 0.2
TEXTS: Sequence[str] = (
    "",
    " ",
    "a",
    "researcher",
    "web-search/search",
    "agents/orchestrator",
    "sub-researcher-aaaaaaaaaa",
    "${topic}",
    "$${",
    "${",
    "\x00",
    "\x1b[2J",
    "\u202eabc",
    "\u200b",
    "\ufeff",
    "\ud800",
    "e\u0301\u0301\u0301",
    "🔎" * 20,
    "\uff32\uff25\uff33\uff25\uff21\uff32\uff23\uff28\uff25\uff32",
    "../../etc/passwd",
    "{{7*7}}",
    "%s%n",
    "'; DROP TABLE agents; --",
    "1e999",
    "NaN",
    "-0",
    "0" * 400,
    "9" * 400,
    "true",
    "null",
    "a" * 499 + "!",
    "a" * 20_000,
    "=" * 5_000,
    "&#x41;" * 500,
    "%41" * 900,
    "QUJD" * 1_000,
    "\n" * 1_000,
    "- a: *b\n" * 50,
    "sha256:" + "0" * 64,
    "Bearer x",
)
NUMBERS: Sequence[Any] = (0, -1, 1, 2, 5.0, 0.5, -0.0, 1440, 1441, 2**31, 2**53, 2**63, -(2**63) - 1, 10**400, 1e308)
OTHERS: Sequence[Any] = (None, True, False, [], {}, [[]], [{}], {"": ""}, {"$ref": "#"}, [None])


class Dice(random.Random):
    """What is thrown depends on the number alone."""

    def text(self) -> str:
        """A text, often one that has hurt somebody."""
        if self.random() < 0.5:
            return self.choice(TEXTS)
        characters = [chr(self.choice([self.randrange(0x80), self.randrange(0x3000), self.randrange(0x110000)]))]
        return "".join(characters * self.randrange(1, 4)) + self.choice(TEXTS)

    def value(self, depth: int = 3) -> Any:
        """Any JSON value, not too deep."""
        kind = self.randrange(6 if depth else 4)
        if kind < 2:
            return self.text()
        if kind < 4:
            return deepcopy(self.choice(NUMBERS if kind == 2 else OTHERS))
        if kind == 4:
            return [self.value(depth - 1) for _ in range(self.randrange(4))]
        return {self.text(): self.value(depth - 1) for _ in range(self.randrange(4))}

    def mutated(self, document: Any, times: int = 2) -> Any:
        """The same, but for a few places."""
        changed = [deepcopy(document)]
        for _ in range(self.randrange(1, times + 1)):
            self._mutate(changed)
        return changed[0]

    def torn(self, content: bytes) -> bytes:
        """The same bytes, but for a few places."""
        torn = bytearray(content)
        for _ in range(self.randrange(1, 4)):
            at, size = self.randrange(len(torn) + 1), self.randrange(1, 20)
            match self.randrange(4):
                case 0:
                    torn[at : at + size] = b""
                case 1:
                    torn[at:at] = self.randbytes(size)
                case 2:
                    torn[at:at] = torn[at : at + size] * self.randrange(1, 50)
                case _:
                    torn[at:] = b""
        return bytes(torn)

    def _mutate(self, holder: list[Any]) -> None:
        """Change one place somewhere below."""
        here: Any = holder
        key: Any = 0
        while isinstance(here[key], dict | list) and here[key] and self.random() < 0.8:
            here = here[key]
            key = self.choice(list(here)) if isinstance(here, dict) else self.randrange(len(here))
        match self.randrange(5):
            case 0 if here is not holder:
                del here[key]
            case 1 if isinstance(here, dict):
                here[self.text()] = deepcopy(here[key])
            case 2 if isinstance(here, list) and here is not holder:
                here.extend(deepcopy(here[key]) for _ in range(self.randrange(1, 100)))
            case _:
                here[key] = self.value()


@dataclass
class Bounds:
    """That no input takes long, and that many take no more memory than few."""

    most: int
    _done: int = 0
    _settled: int = 0
    slowest: float = 0.0
    process: psutil.Process = field(default_factory=psutil.Process)

    @contextmanager
    def one(self, seed: str) -> Iterator[None]:
        """Treat one input; its processor time is what counts, others may use this machine, too."""
        began = time.process_time()
        try:
            yield
        except BaseException as error:
            error.add_note(f"the dice of {seed!r}")
            raise
        took = time.process_time() - began
        self.slowest = max(self.slowest, took)
        assert took < SECONDS_FOR_ONE, f"{took:.1f} s for the dice of {seed!r}"
        self._done += 1
        if self._done == int(self.most * SETTLES_AFTER):
            self._settled = self._megabytes()

    def check_memory(self) -> None:
        """Compare what is held now with what was held once everything had been used."""
        more = self._megabytes() - self._settled
        assert more < MEGABYTES_MORE, f"{more} MB more after {self._done} inputs"

    def _megabytes(self) -> int:
        return int(self.process.memory_info().rss // 2**20)


def written(document: Any) -> bytes:
    """A document as JSON, whatever its texts hold."""
    return json.dumps(document).encode()
