"""The rule book on one screen: the guards in the order in which they are asked.

One word per guard: its key in the policy file, its module here, the prefix of its reason codes.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property, partial
from itertools import takewhile
from typing import Annotated

from pydantic import Field

from mcp_agentspawn.core.digest import digest_of
from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import (
    Asked,
    Guard,
    LedgerGuard,
    ManifestGuard,
    Question,
    Rendered,
    RequestGuard,
    Step,
)
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Caller, Root
from mcp_agentspawn.core.registry import Blueprint, Route, View
from mcp_agentspawn.core.strict import Strict
from mcp_agentspawn.core.template import Duration, Name, Template, Words
from mcp_agentspawn.core.verdict import Decision, Finding
from mcp_agentspawn.guards.access import ClusterAccess
from mcp_agentspawn.guards.approval import ApprovalGuard
from mcp_agentspawn.guards.content import ContentGuard
from mcp_agentspawn.guards.crd import CrdSchema
from mcp_agentspawn.guards.freeze import FreezeGuard
from mcp_agentspawn.guards.lineage import LineageGuard
from mcp_agentspawn.guards.manifest import ManifestInvariants
from mcp_agentspawn.guards.parameters import ParametersGuard
from mcp_agentspawn.guards.quota import Quota
from mcp_agentspawn.guards.rate import ChangeRate
from mcp_agentspawn.guards.registry import RegistryGuard
from mcp_agentspawn.guards.template import TemplateGuard


class Callers(Strict):
    """Whom a policy is for: every service account of a namespace, or one as `namespace/account`. Empty: nobody."""

    namespaces: tuple[str, ...] = Field(default=(), strict=False)
    service_accounts: tuple[str, ...] = Field(default=(), strict=False)

    def match(self, root: Root) -> bool:
        """Whether this policy is for that root."""
        return root.namespace in self.namespaces or root.name in self.service_accounts


class RouteRule(Strict):
    """A search with one of these words finds this template first."""

    words: Annotated[Words, Field(min_length=1)]
    first: Name


class Search(Strict):
    """What a search does beside ranking; it is no guard."""

    routes: Annotated[tuple[RouteRule, ...], Field(strict=False)] = ()


class TaskRules(Strict):
    """What holds for the work that subagents are given; it is no guard.

    `at_a_time` is how many tasks one subagent has at most that have not ended. One that waits for an answer longer
    than `answer_within`, or has not ended after `end_within`, is given up.
    """

    at_a_time: int = Field(default=5, ge=0, le=50)
    answer_within: Duration = timedelta(hours=1)
    end_within: Duration = timedelta(hours=4)


class Policy(Strict):
    """One policy file. A missing section is the strict default, an unknown one an error."""

    callers: Callers = Callers()
    freeze: FreezeGuard = FreezeGuard()
    template: TemplateGuard = TemplateGuard()
    registry: RegistryGuard = RegistryGuard()
    parameters: ParametersGuard = ParametersGuard()
    content: ContentGuard = ContentGuard()
    manifest: ManifestInvariants = ManifestInvariants()
    crd: CrdSchema = CrdSchema()
    lineage: LineageGuard = LineageGuard()
    rate: ChangeRate = ChangeRate()
    quota: Quota = Quota()
    access: ClusterAccess = ClusterAccess()
    approval: ApprovalGuard = ApprovalGuard()
    search: Search = Search()
    tasks: TaskRules = TaskRules()

    @cached_property
    def hash(self) -> str:
        """`sha256:` of everything it says."""
        return digest_of(self.model_dump(mode="json"))

    def view(self, templates: Mapping[str, Template]) -> View:
        """All that callers under this policy can find. What only a registry entry fills is no find of its own."""
        here = [templates[name] for name in sorted(self.template.allow) if name in templates]
        return View(
            scopes=self.registry.scopes,
            blueprints=tuple(
                Blueprint(one.name, one.description, tuple(one.keywords)) for one in here if not one.takes
            ),
            routes=tuple(Route(tuple(rule.words), rule.first) for rule in self.search.routes),
        )

    def guards(self, step: Step) -> Mapping[str, Guard]:
        """The guards that are asked at this step, in order."""
        sections = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: guard for name, guard in sections.items() if isinstance(guard, Guard) and step in guard.steps}

    def before_rendering(self, asked: Asked, facts: Facts, step: Step) -> Mapping[str, Question]:
        """The questions about what was asked."""
        guards = self.guards(step).items()
        return {name: partial(guard.check, asked, facts) for name, guard in guards if isinstance(guard, RequestGuard)}

    def before_reading(self, asked: Asked, facts: Facts, step: Step) -> Mapping[str, Question]:
        """Those of them that need no registry entry: for what they refuse, nothing is read of a registry."""
        questions = self.before_rendering(asked, facts, step).items()
        return dict(takewhile(lambda question: question[0] != "registry", questions))

    def once_rendered(
        self, rendered: Rendered, facts: Facts, step: Step, *, reserved: bool = False
    ) -> Mapping[str, Question]:
        """The questions about what would be created, and, unless its place is `reserved`, whether there is room."""
        questions: dict[str, Question] = {}
        for name, guard in self.guards(step).items():
            if isinstance(guard, ManifestGuard):
                questions[name] = partial(guard.check, rendered, facts)
            elif isinstance(guard, LedgerGuard) and not reserved:
                questions[name] = partial(guard.look, step, rendered.caller, facts)
        return questions

    def room(self, step: Step, caller: Caller, ledger: Ledger, now: datetime) -> Decision:
        """What the guards of the ledger say; pure, for use inside the compare-and-swap."""
        guards = self.guards(step).items()
        judged = [
            Finding(name, guard.judge(step, caller, ledger, now))
            for name, guard in guards
            if isinstance(guard, LedgerGuard)
        ]
        return Decision(tuple(judged))
