"""From samples to a table: percentiles, and ratios against a bare POST of the same round."""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).with_name("results.json")
BARE = "bare POST"
AIMS = {
    ("propose", 1): 3.0,
    ("propose", 8): 3.6,
    ("apply", 1): 3.3,
    ("apply", 8): 4.3,
    ("retire", 1): 2.5,
    ("retire", 8): 2.5,
}
MCP_MORE = 0.5


@dataclass(frozen=True)
class Batch:
    """What one contender did in one round: seconds of each call, and this process's CPU seconds per call."""

    contender: str
    concurrency: int
    seconds: Sequence[float]
    cpu_seconds: float


@dataclass(frozen=True)
class Row:
    """One line of the table; times in milliseconds. `ratio` is the median of the rounds' p50 ratios."""

    contender: str
    concurrency: int
    p50: float
    p99: float
    ratio: float
    least: float
    most: float
    aim: float | None
    cpu: float


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def rows(rounds: Sequence[Sequence[Batch]]) -> list[Row]:
    """A row for each contender and concurrency, in the order of the first round."""
    found: dict[tuple[str, int], list[tuple[Batch, float]]] = defaultdict(list)
    for batches in rounds:
        bare = {batch.concurrency: _p50(batch) for batch in batches if batch.contender == BARE}
        for batch in batches:
            found[batch.contender, batch.concurrency].append((batch, _p50(batch) / bare[batch.concurrency]))
    return [_row(name, concurrency, measured) for (name, concurrency), measured in found.items()]


def _row(name: str, concurrency: int, measured: Sequence[tuple[Batch, float]]) -> Row:
    pooled = [1000 * seconds for batch, _ in measured for seconds in batch.seconds]
    ratios = [ratio for _, ratio in measured]
    return Row(
        contender=name,
        concurrency=concurrency,
        p50=percentile(pooled, 0.5),
        p99=percentile(pooled, 0.99),
        ratio=statistics.median(ratios),
        least=percentile(ratios, 0.25),
        most=percentile(ratios, 0.75),
        aim=_aim(name, concurrency),
        cpu=1000 * statistics.median(batch.cpu_seconds for batch, _ in measured),
    )


def _p50(batch: Batch) -> float:
    return percentile(batch.seconds, 0.5)


def _aim(name: str, concurrency: int) -> float | None:
    layer, _, verb = name.partition(" ")
    aim = AIMS.get((verb, concurrency))
    return aim + MCP_MORE if aim is not None and layer == "mcp" else aim


def shown(table: Sequence[Row]) -> str:
    """The table as text."""
    heads = f"{'':22}{'c':>3}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>8}{'quartiles':>14}{'aim':>7}{'client CPU ms':>15}"
    return "\n".join([heads, *map(_line, table)])


def _line(row: Row) -> str:
    aim = "" if row.aim is None else f"{row.aim:.1f}{' ' if row.ratio <= row.aim else '!'}"
    quartiles = f"{row.least:.2f} - {row.most:.2f}"
    return (
        f"{row.contender:22}{row.concurrency:>3}{row.p50:>9.2f}{row.p99:>9.2f}{row.ratio:>8.2f}"
        f"{quartiles:>14}{aim:>7}{row.cpu:>15.2f}"
    )


def save(table: Sequence[Row] = (), **others: float) -> None:
    """Keep these figures, and what was kept before of others."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    rows_now = {"rows": [asdict(row) for row in table]} if table else {}
    RESULTS.write_text(json.dumps(kept | rows_now | others, indent=1) + "\n", encoding="utf-8")
