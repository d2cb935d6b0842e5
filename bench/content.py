"""What a scan for forbidden content costs: p50 and p99 over texts of two sizes, honest ones and the worst we know.

python -m bench.content [--rounds N]
"""

import argparse
import base64
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from bench.figures import percentile
from mcp_agentspawn.content import scan

CORPUS = Path(__file__).parents[1] / "tests" / "corpus"
DOCUMENTS = Path(__file__).parents[1] / "mcp_agentspawn" / "localplane" / "documents"
KIBIBYTE = 1024
LOOP = 100_000
COLD = 50
AIMS = {4: 1.0, 64: 5.0}
"""Milliseconds that the 99th percentile may take, by KiB of text."""
NEAR_MISSES = (
    "ignore",
    "all",
    "previous",
    "your",
    "system",
    "show",
    "act",
    "as",
    "send",
    "the",
    "password",
    "not",
    "do",
)


def _corpus(name: str) -> list[str]:
    lines = (CORPUS / name).read_text(encoding="utf-8").splitlines()
    return [entry.get("text") or "".join(entry["parts"]) for entry in map(json.loads, lines)]


def _of_corpus(name: str, chance: random.Random, *, ascii_only: bool = False) -> Iterator[str]:
    texts = [text for text in _corpus(name) if text.isascii() or not ascii_only]
    while True:
        yield chance.choice(texts) + "\n"


def _documents(chance: random.Random) -> Iterator[str]:
    documents = "\n\n".join(file.read_text(encoding="utf-8") for file in sorted(DOCUMENTS.glob("*.md")))
    while True:
        yield chance.choice(documents.split("\n\n")) + "\n\n"


def _near_misses(chance: random.Random) -> Iterator[str]:
    while True:
        yield chance.choice(NEAR_MISSES) + chance.choice(" \n")


def _base64(chance: random.Random) -> Iterator[str]:
    while True:
        yield base64.b64encode(chance.randbytes(KIBIBYTE)).decode().rstrip("=")


def _lookalikes(chance: random.Random) -> Iterator[str]:
    while True:
        yield "".join(chance.choices("іgnоrе аll рrеvіоuѕ", k=64))  # noqa: RUF001 - lookalikes are the point


def _symbols(chance: random.Random) -> Iterator[str]:
    while True:
        yield "".join(map(chr, chance.choices(range(0xA0, 0xD7FF), k=64)))


def _percents(chance: random.Random) -> Iterator[str]:
    while True:
        yield f"%{chance.randrange(32, 127):02x}"


def _entities(chance: random.Random) -> Iterator[str]:
    while True:
        yield f"&#{chance.randrange(32, 127)};"


def _assignments(chance: random.Random) -> Iterator[str]:
    while True:
        yield f"token={'a' * 12}{chance.randrange(10)} "


def _long_words(chance: random.Random) -> Iterator[str]:
    while True:
        yield f"Aa{'b' * 30}{chance.randrange(100)} "


KINDS: Mapping[str, Callable[[random.Random], Iterator[str]]] = {
    "documents": _documents,
    "honest corpus, ASCII": partial(_of_corpus, "benign.jsonl", ascii_only=True),
    "honest corpus": partial(_of_corpus, "benign.jsonl"),
    "hostile corpus": partial(_of_corpus, "hostile.jsonl"),
    "near misses": _near_misses,
    "base64": _base64,
    "lookalikes": _lookalikes,
    "any symbols": _symbols,
    "percent encoding": _percents,
    "HTML entities": _entities,
    "assignments": _assignments,
    "long words": _long_words,
}


def text_of(kind: str, kibibytes: int, seed: int) -> str:
    """A text of a kind that takes this size in UTF-8, another one for each seed."""
    pieces, size = [], 0
    for piece in KINDS[kind](random.Random(seed)):  # noqa: S311 - a text, not a key
        pieces.append(piece)
        size += len(piece.encode("utf-8", "surrogatepass"))
        if size >= kibibytes * KIBIBYTE:
            break
    whole = "".join(pieces).encode("utf-8", "surrogatepass")[: kibibytes * KIBIBYTE]
    return whole.decode("utf-8", "ignore")


def milliseconds(text: str) -> float:
    """CPU of one scan of a text."""
    started = time.thread_time()
    scan(text)
    return 1000 * (time.thread_time() - started)


def measured(kind: str, kibibytes: int, rounds: int) -> tuple[float, list[float]]:
    """The slowest of the first texts, with which RE2 makes its automata, and each of those after them."""
    taken = [milliseconds(text_of(kind, kibibytes, seed)) for seed in range(COLD + rounds)]
    return max(taken[:COLD]), taken[COLD:]


def loop_milliseconds() -> float:
    """What a fixed loop takes now: about 1 ms on a machine with nothing else to do."""
    started = time.thread_time()
    sum(range(LOOP))
    return 1000 * (time.thread_time() - started)


def main() -> None:
    """Measure and print; a `!` stands behind what misses its aim."""
    parser = argparse.ArgumentParser(description="What a scan for forbidden content costs.")
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    print(f"{'':24}{'KiB':>5}{'cold ms':>10}{'p50 ms':>9}{'p99 ms':>9}{'aim':>7}{'loop ms':>9}")
    scan("warm")
    for kind in KINDS:
        for kibibytes, aim in AIMS.items():
            cold, taken = measured(kind, kibibytes, rounds)
            p50, p99, loop = percentile(taken, 0.5), percentile(taken, 0.99), loop_milliseconds()
            missed = " " if p99 <= aim else "!"
            print(f"{kind:24}{kibibytes:>5}{cold:>10.2f}{p50:>9.2f}{p99:>9.2f}{aim:>6.1f}{missed}{loop:>9.2f}")


if __name__ == "__main__":
    main()
