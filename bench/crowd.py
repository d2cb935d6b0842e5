"""A registry with many entries, in a process of its own, and what is asked of it.

Its entries are those that judge the quality of search, varied and mixed; each also has words that few others have.

    python -m bench.crowd ENTRIES    # says its address; a number on standard input changes so many entries
"""

import asyncio
import os
import random
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count

from mcp_agentspawn.localplane.registry import Content, Published, registry_standin
from tests.quality.judged import Entry, entries, queries

NICENESS = 10
"""In life a registry has a machine of its own."""
SEED = 5
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu", "wa", "xe", "yo")
RARE_WORDS = 20_000
OF_ITS_OWN = 5
TOLD, AN_IMAGE = 0.6, 0.1
"""So many entries have instructions, and so many are images."""
TYPOS = 0.2
MOST_WORDS = 5
ASCII_WORD = re.compile("[a-z0-9]+")


def crowd(size: int) -> Iterator[Published]:
    """So many entries, always the same ones."""
    chance, judged = random.Random(SEED), entries()  # noqa: S311 - texts, no secrets
    for number in range(size):
        yield _entry(number, judged[number % len(judged)], chance.sample(judged, 8), chance)


def _entry(number: int, like: Entry, others: Sequence[Entry], chance: random.Random) -> Published:
    words = _rare(chance)
    told = "\n".join(f"{other.title}: {other.description} {other.instructions}" for other in others)
    return Published(
        name=f"{like.name}-{words[0]}-{number}",
        namespace=like.namespace,
        labels=like.labels | {"unit": words[1]},
        title=f"{like.title} {words[0].title()}",
        description=f"{like.description} {others[0].description} {' '.join(words[2:])}",
        image=f"registry.example/agents/{like.name}:{number}" if chance.random() < AN_IMAGE else "",
        mcp_servers=[(server, "latest") for server in (*like.tool_servers, *others[1].tool_servers)],
        skills=[(_slug(skill), "latest") for skill in (*like.skills, *others[2].skills)],
        instructions=told if chance.random() < TOLD else "",
    )


def _rare(chance: random.Random) -> list[str]:
    """Words that nobody knows, some of them much more often than others."""
    numbers = (int(RARE_WORDS * chance.random() ** 3) for _ in range(OF_ITS_OWN))
    return [
        "".join(SYLLABLES[number // len(SYLLABLES) ** place % len(SYLLABLES)] for place in range(4))
        for number in numbers
    ]


def _slug(text: str) -> str:
    return "-".join(ASCII_WORD.findall(text.lower()))


def asked(size: int) -> Iterator[str]:
    """Queries without an end, hardly two the same: those that judge quality, then words of entries, some misspelt."""
    yield from (query.query for query in queries())
    chance, held = random.Random(SEED + 1), list(crowd(size))  # noqa: S311 - texts, no secrets
    while True:
        entry = chance.choice(held)
        words = f"{entry.title} {entry.description}".replace(",", " ").replace(".", " ").split()
        picked = chance.sample(words, min(len(words), chance.randint(1, MOST_WORDS)))
        yield " ".join(_misspelt(word, chance) if chance.random() < TYPOS else word for word in picked)


def _misspelt(word: str, chance: random.Random) -> str:
    """With one letter left out."""
    place = chance.randrange(len(word))
    return word[:place] + word[place + 1 :] if len(word) > MOST_WORDS else word


@dataclass(frozen=True)
class Registry:
    """The process that serves the crowd."""

    process: asyncio.subprocess.Process
    url: str

    async def change(self, entries: int) -> None:
        """Have so many entries say something else from now on."""
        await self._say(str(entries))

    async def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line.encode() + b"\n")
        await self.process.stdout.readline()


@asynccontextmanager
async def served(size: int) -> AsyncIterator[Registry]:
    """Start it; it ends with the block, or with this process."""
    command = (sys.executable, "-m", "bench.crowd", str(size))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    try:
        yield Registry(process, (await process.stdout.readline()).decode().strip())
    finally:
        process.kill()
        await process.wait()


async def _serve(size: int) -> None:
    os.nice(NICENESS)
    held = list(crowd(size))
    async with registry_standin(Content(held)) as standin:
        print(standin.url, flush=True)
        for number in count(1):
            line = await asyncio.to_thread(sys.stdin.readline)
            if not line:
                return
            changed = [replace(entry, title=f"{entry.title} {number}") for entry in held[: int(line)]]
            standin.content.publish(*changed)
            print("changed", flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
