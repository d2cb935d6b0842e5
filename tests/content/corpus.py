"""The corpus as it is measured: each text with its kind, and whether it was held out while the rules were made."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from mcp_agentspawn.content import scan

FOLDER = Path(__file__).parents[1] / "corpus"
PARAPHRASE = "paraphrase"
"""Attacks that were written after the rules, around them."""
PUBLISHED = "published"
"""Attacks as others have worded them."""
NEAR_MISSES = "near misses"
"""Honest texts that were written after the rules, close to them."""


@dataclass(frozen=True)
class Text:
    """One text. It was held out when its own hash says so, so that nobody chooses."""

    text: str
    kind: str
    source: str

    @property
    def held_out(self) -> bool:
        return sha256(self.text.encode("utf-8", "surrogatepass")).digest()[0] % 2 == 1


@dataclass(frozen=True)
class Share:
    """How many of some texts fall under a rule."""

    found: int
    texts: int

    @property
    def percent(self) -> float:
        return 100 * self.found / self.texts


def load(name: Literal["hostile", "benign"]) -> Sequence[Text]:
    """A corpus. What is written in parts would alarm scanners of repositories, and is joined here."""
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [Text("".join(entry.get("parts", [])) or entry["text"], entry["kind"], entry["source"]) for entry in found]


def measured(texts: Iterable[Text]) -> Share:
    """What the rules make of these texts."""
    found = [bool(scan(text.text)) for text in texts]
    return Share(sum(found), len(found))


def precision(hostile: Share, benign: Share) -> float:
    """Per cent of what is refused that is refused rightly."""
    return 100 * hostile.found / (hostile.found + benign.found)
