"""From what a search took to its figures: percentiles by how busy the server was, ratios, seconds and megabytes."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.figures import percentile
from bench.helpers import Reading

P99_AIM, SLOWER_AIM, REFRESH_AIM, MEGABYTES_AIM = 25.0, 1.5, 10.0, 100.0
LINES = (
    ("list_templates", "quiet_bare", "", 0.0),
    ("search", "quiet", "quiet_bare", 0.0),
    ("list_templates, during a reading", "during_bare", "", 0.0),
    ("search, during a reading", "during", "during_bare", P99_AIM),
    ("list_templates, 8 at once", "crowd_bare", "", 0.0),
    ("search, 8 at once", "crowd", "crowd_bare", 0.0),
    ("list_templates alone", "beside_alone", "", 0.0),
    ("list_templates beside 8 of its kind", "beside_bare", "", 0.0),
    ("list_templates beside 8 searches", "beside_search", "beside_bare", 0.0),
)
"""What a line says, the figures of it, what it is compared with, and what its p99 may be."""


@dataclass
class Samples:
    """Milliseconds of searches, and of bare calls beside them."""

    search: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


@dataclass
class Round:
    """What was taken while nothing was read, and while the registry was read again."""

    quiet: Samples = field(default_factory=Samples)
    during: Samples = field(default_factory=Samples)

    def slower(self) -> float:
        """How many times as long a search takes during a reading."""
        return percentile(self.during.search, 0.5) / percentile(self.quiet.search, 0.5)


@dataclass
class Taken:
    """All that was measured. Megabytes are the server's: before anything was read, and at most since then.

    `crowd` is what eight at once took; `beside` are bare calls alone, beside eight of their kind, and beside eight
    searches.
    """

    before: float
    peak: float = 0.0
    rounds: list[Round] = field(default_factory=list)
    crowd: Samples = field(default_factory=Samples)
    beside: dict[str, list[float]] = field(default_factory=dict)
    first: Reading | None = None
    changed: list[Reading] = field(default_factory=list)
    unchanged: Reading | None = None


def figures(taken: Taken) -> dict[str, float]:
    """The figures by name: milliseconds, ratios, seconds, megabytes."""
    assert taken.first
    assert taken.unchanged
    quiet, during = _pooled(one.quiet for one in taken.rounds), _pooled(one.during for one in taken.rounds)
    helper = max(one.megabytes for one in (taken.first, *taken.changed, taken.unchanged))
    return {
        **_spread("quiet", quiet.search),
        **_spread("during", during.search),
        **_spread("quiet_bare", quiet.bare),
        **_spread("during_bare", during.bare),
        **_spread("crowd", taken.crowd.search),
        **_spread("crowd_bare", taken.crowd.bare),
        **{
            name: figure
            for kind, own in taken.beside.items()
            for name, figure in _spread(f"beside_{kind}", own).items()
        },
        "slower_p50": statistics.median(one.slower() for one in taken.rounds),
        "slower_p99": percentile(during.search, 0.99) / percentile(quiet.search, 0.99),
        "first_seconds": taken.first.seconds,
        "changed_seconds": statistics.median(one.seconds for one in taken.changed),
        "unchanged_seconds": taken.unchanged.seconds,
        "before_megabytes": taken.before,
        "peak_megabytes": taken.peak,
        "helper_megabytes": helper,
        "more_megabytes": taken.peak - taken.before + helper,
    }


def _pooled(samples: Iterable[Samples]) -> Samples:
    every = list(samples)
    return Samples([one for taken in every for one in taken.search], [one for taken in every for one in taken.bare])


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    return {f"{name}_p50": percentile(values, 0.5), f"{name}_p99": percentile(values, 0.99)}


def shown(found: dict[str, float], entries: int, changed: int) -> str:
    """The figures as text; a `!` stands behind what misses its aim."""
    head = f"{f'Search over {entries} entries, through MCP':44}{'p50 ms':>11}{'p99 ms':>9}{'x bare':>9}{'aim p99':>10}"
    return "\n".join([head, *(_line(found, *line) for line in LINES), *_sentences(found, changed)])


def _line(found: dict[str, float], text: str, name: str, bare: str, aim: float) -> str:
    p50, p99 = found[f"{name}_p50"], found[f"{name}_p99"]
    ratio = f"{p50 / found[f'{bare}_p50']:.2f}" if bare else ""
    return f"{text:44}{p50:>11.2f}{p99:>9.2f}{ratio:>9}{_judged(p99, aim) if aim else '':>10}"


def _sentences(found: dict[str, float], changed: int) -> Sequence[str]:
    slower = _judged(max(found["slower_p50"], found["slower_p99"]), SLOWER_AIM)
    seconds = _judged(max(found["first_seconds"], found["changed_seconds"]), REFRESH_AIM)
    more = found["more_megabytes"]
    return [
        (
            f"During a reading {found['slower_p50']:.2f} times as long by p50, "
            f"{found['slower_p99']:.2f} by p99 (aim {slower})"
        ),
        (
            f"A reading: the first {found['first_seconds']:.1f} s, with {changed} entries changed "
            f"{found['changed_seconds']:.1f} s, unchanged {found['unchanged_seconds']:.1f} s (aim {seconds})"
        ),
        (
            f"Memory: the server {found['before_megabytes']:.0f} MB before, {found['peak_megabytes']:.0f} MB at most, "
            f"a helper {found['helper_megabytes']:.0f} MB: {more:.0f} MB more (aim {_judged(more, MEGABYTES_AIM)})"
        ),
    ]


def _judged(value: float, aim: float) -> str:
    return f"< {aim:g}{'' if value < aim else '!'}"
