"""How well searches find what was meant: `python -m tests.quality.measure` prints the README's table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

from mcp_agentspawn.adapters.index.index import Index
from mcp_agentspawn.core.registry import Blueprint, Finding, Query, RegistryEntry
from tests.quality import judged, substring, unweighted

Rank = Callable[[str], Sequence[str]]
UNUSED_HASH = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Quality:
    """The two numbers, over so many queries."""

    queries: int
    ndcg_at_5: float
    hit_at_1: float


def engines() -> dict[str, Rank]:
    """What is compared, by the name that the README gives it."""
    documents = judged.documents()
    return {
        "plain substring": lambda query: substring.rank(query, documents),
        "unweighted BM25": unweighted.searcher(documents),
        "this search": ours(),
    }


def ours() -> Rank:
    """The index, with the templates that the corpus has, and no routes."""
    index = Index.of(registered(entry) for entry in judged.entries())
    blueprints = [Blueprint(one.name, one.description, tuple(one.keywords)) for one in judged.templates()]
    index.set_blueprints(blueprints)
    names = frozenset(blueprint.name for blueprint in blueprints)

    def rank(query: str) -> Sequence[str]:
        return [key_of(finding) for finding in index.find((), Query(query, judged.DEPTH, names)).findings]

    return rank


def registered(entry: judged.Entry) -> RegistryEntry:
    return RegistryEntry(
        registry="corpus",
        namespace=entry.namespace,
        name=entry.name,
        tag=entry.tag,
        hash=UNUSED_HASH,
        title=entry.title,
        description=entry.description,
        labels=entry.labels,
        skills=tuple(entry.skills),
        tool_servers=tuple(entry.tool_servers),
        instructions=entry.instructions,
    )


def key_of(finding: Finding) -> str:
    if finding.blueprint:
        return f"template/{finding.blueprint.name}"
    assert finding.entry
    return f"{finding.entry.namespace}/{finding.entry.name}"


def quality(rank: Rank, queries: Sequence[judged.Query]) -> Quality:
    found = [(rank(query.query), query.relevant) for query in queries]
    return Quality(
        queries=len(queries),
        ndcg_at_5=mean(judged.ndcg_at_5(ranking, relevant) for ranking, relevant in found),
        hit_at_1=mean(judged.hit_at_1(ranking, relevant) for ranking, relevant in found),
    )


def slices() -> dict[str, Sequence[judged.Query]]:
    """The queries of each row: held out, tuned on, and the held out ones of each kind."""
    held_out = judged.queries("held_out")
    kinds = sorted({query.kind for query in held_out})
    by_kind = {kind.replace("_", " "): [query for query in held_out if query.kind == kind] for kind in kinds}
    return {"**held out**": held_out, "tuned on": judged.queries("tune"), **by_kind}


def table() -> list[str]:
    """nDCG@5 and hit@1 of each engine, as lines of Markdown."""
    compared = engines()
    lines = [f"| queries | | {' | '.join(compared)} |", f"| --- | --- |{' --- |' * len(compared)}"]
    for name, queries in slices().items():
        told = [quality(rank, queries) for rank in compared.values()]
        figures = " | ".join(f"{one.ndcg_at_5:.3f} / {one.hit_at_1:.3f}" for one in told)
        lines.append(f"| {name} | {len(queries)} | {figures} |")
    return lines


if __name__ == "__main__":
    print("\n".join(table()))  # noqa: T201 - this is what it is for
