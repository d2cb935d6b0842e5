"""How the history of a hit's subagents weighs on its rank: bounded, within its page, and said.

An index is shared by all callers of a policy, and a history is one root's own; a cursor names a place in the order of
the index, so that hits would be lost or come twice if a history that grows between two pages could move that place.
Therefore a page holds what the words alone put there, and its order is weighed when it is handed out.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from mcp_agentspawn.core.outcomes import Outcomes
from mcp_agentspawn.core.registry import Place

T = TypeVar("T")

SPAN = 0.3
"""A weight is 1 give or take half of this."""
FEW = 5
"""A history of so many tasks weighs half of what it can."""
MOST_PLACES = 3
"""No hit moves further than this."""
DECIMALS = 4


def weight(record: Outcomes) -> float:
    """By what a score is multiplied: 1 without a history, more where most succeeded and less where most failed."""
    return 1 + SPAN * (record.score - 0.5) * record.counted / (record.counted + FEW)


def weighed(score: float, record: Outcomes) -> float:
    """A score from 0 to 1 as it is shown."""
    return min(1.0, round(score * weight(record), DECIMALS))


def reordered(hits: Sequence[T], place: Callable[[T], Place], record: Callable[[T], Outcomes]) -> Sequence[T]:
    """A page in the order of its weighed scores. Suspected ones stay last, and routed ones first."""
    found: list[T] = []
    for _, group in groupby(hits, lambda hit: (place(hit).suspected, place(hit).routed)):
        members = list(group)
        found += [members[at] for at in _moved([place(one).score * weight(record(one)) for one in members])]
    return found


def _moved(scores: Sequence[float]) -> Iterator[int]:
    """The positions in their new order: the best of those that may come next, or the one that can wait no longer."""
    left = list(range(len(scores)))
    for place in range(len(scores)):
        overdue = left[0] + MOST_PLACES <= place
        near = [position for position in left if position <= place + MOST_PLACES]
        best = left[0] if overdue else max(near, key=scores.__getitem__)
        left.remove(best)
        yield best
