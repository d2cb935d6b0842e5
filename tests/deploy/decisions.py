"""What people decide: on proposals, and on the tool calls of tasks. Two kinds, for which the same sentences hold."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.deploy.cluster import SYSTEM, Manifest
from tests.deploy.objects import answer, approval, fresh_handle, fresh_id
from tests.deploy.world import DORAS, DORAS_TASK, Everybody


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of decision: what it is about, how one is made, and whose policy refuses it."""

    policy: str
    plural: str
    about: str
    """What it is about, by the word for it in `spec`."""
    words: tuple[str, str]
    """What may be decided: to let it be, and not to."""
    make: Callable[..., Manifest]
    """A decision on what has this name, by this decider; then a suffix, and changes of `spec`."""
    fresh: Callable[[], str]
    """The name of something to decide on that nobody has decided on."""
    doras: str
    """The only thing that Dora may decide on."""

    def __str__(self) -> str:
        return self.policy.removeprefix("agentspawn-")

    @property
    def collection(self) -> str:
        return f"/apis/agentspawn.dev/v1alpha1/namespaces/{SYSTEM}/{self.plural}"

    @property
    def collection_of_what_it_is_about(self) -> str:
        return f"/apis/agentspawn.dev/v1alpha1/namespaces/{SYSTEM}/subagent{self.about}s"

    async def stored(self, everyone: Everybody) -> Manifest:
        """A decision of Alice's that is there."""
        return await everyone.alice.store(self.make(self.fresh(), "alice"))


APPROVALS = Kind(
    policy="agentspawn-approvals",
    plural="subagentapprovals",
    about="proposal",
    words=("approve", "deny"),
    make=approval,
    fresh=fresh_id,
    doras=DORAS,
)
ANSWERS = Kind(
    policy="agentspawn-answers",
    plural="subagenttaskanswers",
    about="task",
    words=("approve", "reject"),
    make=answer,
    fresh=fresh_handle,
    doras=DORAS_TASK,
)
KINDS = (APPROVALS, ANSWERS)
of_both_kinds = pytest.mark.parametrize("kind", KINDS, ids=str)


def of_each_kind(name: str, cases: Callable[[Kind], Iterable[Any]]) -> pytest.MarkDecorator:
    """The test once for each case of each kind."""
    pairs = [(kind, case) for kind in KINDS for case in cases(kind)]
    return pytest.mark.parametrize(
        ("kind", name), [pytest.param(kind, case, id=f"{kind}-{str(case)[:60]}") for kind, case in pairs]
    )
