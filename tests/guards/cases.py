"""What guards are asked about, with one thing changed at a time."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from mcp_agentspawn.adapters.kagent import KagentAgent
from mcp_agentspawn.core.errors import Refused
from mcp_agentspawn.core.guard import Asked, Rendered
from mcp_agentspawn.core.ledger import Change, Ledger, Live, Open, Used
from mcp_agentspawn.core.model import AgentDescription, Ancestor, Approval, Caller, Manifest
from mcp_agentspawn.core.ports import Violation
from mcp_agentspawn.core.registry import RegistryEntry
from mcp_agentspawn.core.render import grant_of, render
from mcp_agentspawn.core.request import Ask, resolve
from mcp_agentspawn.core.switches import EVERYWHERE, Freeze, Switches
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.core.verdict import Allow, Deny, Reason, Verdict
from tests.builders import CALLER, NOON, ROOT, ask, image_entry, image_template, template

KIND = KagentAgent()
ID = "sub-researcher-abcdefghij"
SENTENCE = re.compile(r"([A-Z0-9]|[a-z-]+/[a-z-]+ is not ).*(\.|\(rule [\w.-]+\))\Z")

FIELD_OF = {
    "lineage.depth": "template",
    "lineage.lifetime": "lifetime_minutes",
    "lineage.model": "model",
    "lineage.parameter": "parameters",
    "lineage.spawn_tool": "tools",
    "lineage.tool": "tools",
    "lineage.tool_approval": "tools",
    "manifest.depth": "metadata",
    "manifest.lifetime": "lifetime_minutes",
    "manifest.model_missing": "model",
    "manifest.model_not_allowed": "model",
    "manifest.name": "metadata.name",
    "manifest.no_tools_named": "tools",
    "manifest.owner": "metadata",
    "lineage.image": "registry_entry",
    "manifest.image": "template",
    "manifest.registry_entry": "metadata",
    "manifest.server_repeated": "tools",
    "manifest.template": "metadata",
    "manifest.too_many_tools": "tools",
    "manifest.tool_approval": "tools",
    "manifest.tool_missing": "tools",
    "manifest.tool_not_allowed": "tools",
    "parameters.purpose": "purpose",
    "parameters.too_large": "parameters",
    "parameters.unknown_template": "template",
    "registry.entry_needed": "registry_entry",
    "registry.image_not_allowed": "registry_entry",
    "registry.image_not_pinned": "registry_entry",
    "registry.no_template": "template",
    "registry.nothing_to_run": "registry_entry",
    "registry.prompt_missing": "registry_entry",
    "registry.protocol": "registry_entry",
    "registry.running": "registry_entry",
    "registry.tool_server_unknown": "registry_entry",
    "registry.unknown_entry": "registry_entry",
    "template.not_allowed": "template",
}
"""Where each of these refusals points, for a model to correct it."""


@dataclass
class FixedFacts:
    """Facts as a test wants them; `stale` is what is seen before anybody asks for fresh ones."""

    now: datetime = NOON
    granted: bool = True
    present_models: frozenset[str] = frozenset({"default-model-config", "fast-model-config"})
    present_tools: dict[str, frozenset[str]] = field(
        default_factory=lambda: {"web-search": frozenset({"search", "fetch"})}
    )
    found: tuple[Violation, ...] = ()
    held: Ledger = field(default_factory=lambda: Ledger(ROOT.name))
    stale: Ledger | None = None
    refusal: Refused | None = None
    stored: Manifest | None = None
    switched: Switches = field(default_factory=lambda: Switches((Freeze(EVERYWHERE, frozen=False),)))
    above: tuple[Ancestor, ...] = ()
    decided: tuple[Approval, ...] = ()
    asked_freshly: list[bool] = field(default_factory=list)

    async def may_use(self, caller: Caller, template: str) -> bool:
        return self.granted and bool(caller and template)

    async def models(self, caller: Caller, *, fresh: bool = False) -> frozenset[str]:
        return self.present_models if fresh or not self.stale else frozenset()

    async def tools(self, caller: Caller, *, fresh: bool = False) -> dict[str, frozenset[str]]:
        return self.present_tools if fresh or not self.stale else {}

    async def violations(self, manifest: Manifest) -> tuple[Violation, ...]:
        return self.found if manifest else ()

    async def ledger(self, caller: Caller, *, fresh: bool = False) -> Ledger:
        return self.held if fresh or self.stale is None else self.stale

    async def trial(self, caller: Caller, proposal: str, manifest: Manifest) -> Manifest:
        if self.refusal is not None:
            raise self.refusal
        return self.stored if self.stored is not None else manifest

    async def switches(self) -> Switches:
        return self.switched

    async def ancestors(self, caller: Caller) -> tuple[Ancestor, ...]:
        return self.above if caller.agent else ()

    async def approvals(self, proposal: str, *, fresh: bool = True) -> tuple[Approval, ...]:
        self.asked_freshly.append(fresh)
        return tuple(approval for approval in self.decided if approval.proposal == proposal)


def asked(
    known: Template | None = None, *, unknown: bool = False, entry: RegistryEntry | None = None, **changes: Any
) -> Asked:
    wanted: Ask = ask(**changes)
    return resolve(CALLER, wanted, None if unknown else known or template(), entry)


def rendered(agent: dict[str, Any] | None = None, **changes: Any) -> Rendered:
    case = asked(**changes)
    assert case.template is not None
    described = replace(render(ID, CALLER, case.request, case.template, "sha256:r"), **(agent or {}))
    grant = grant_of(case.request, case.template)
    return Rendered(CALLER, case.request, case.template, ID, described, KIND.manifest(described), grant)


def image_rendered() -> Rendered:
    """An agent that is a registry entry's image."""
    case = asked(image_template(), entry=image_entry())
    assert case.template is not None
    described = render(ID, CALLER, case.request, case.template, "sha256:r")
    grant = grant_of(case.request, case.template)
    return Rendered(CALLER, case.request, case.template, ID, described, KIND.manifest(described), grant)


def lineage(**changes: Any) -> dict[str, Any]:
    described: AgentDescription = rendered().agent
    return {"lineage": replace(described.lineage, **changes)}


def ledger(*, opened: int = 0, live: int = 0, parent: str = "", used: int = 0, changes: int = 0) -> Ledger:
    return Ledger(
        ROOT.name,
        open={f"sha256:{n}": Open(f"sub-o{n}", NOON + timedelta(minutes=5)) for n in range(opened)},
        live={f"sub-l{n}": Live(NOON, "n", f"sha256:l{n}", parent) for n in range(live)},
        used={f"sub-u{n}": Used(NOON) for n in range(used)},
        changes=tuple(Change(NOON) for _ in range(changes)),
    )


def codes(verdict: Verdict) -> list[str]:
    """The codes of a denial, each said in a sentence; none for an allow."""
    assert isinstance(verdict, Allow | Deny)
    reasons = verdict.reasons if isinstance(verdict, Deny) else ()
    assert [reason for reason in reasons if not is_sentence(reason)] == []
    assert [reason for reason in reasons if FIELD_OF.get(reason.code, reason.field) != reason.field] == []
    return [reason.code for reason in reasons]


def is_sentence(reason: Reason) -> bool:
    """Whether people can read it; what the API server said is passed on as it came."""
    foreign = reason.code.startswith(("access.", "crd."))
    return foreign or bool(SENTENCE.match(reason.message) and not reason.message.isupper())


def fields(verdict: Verdict) -> list[str]:
    """The fields of a denial, in order."""
    assert isinstance(verdict, Deny)
    return [reason.field for reason in verdict.reasons]
