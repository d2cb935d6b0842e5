"""Guards at their very bounds, and how much of a caller's words they say again."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.lineage import misnamed
from mcp_agentspawn.core.model import Caller, ToolSelection
from mcp_agentspawn.core.render import MOST_ID_CHARACTERS
from mcp_agentspawn.core.verdict import Allow, Deny, Verdict
from mcp_agentspawn.guards.lineage import LineageGuard
from mcp_agentspawn.guards.manifest import ManifestInvariants
from mcp_agentspawn.guards.parameters import MOST_PURPOSE_CHARACTERS, ParametersGuard
from tests.builders import CALLER, ROOT, template
from tests.guards.cases import FixedFacts, asked, rendered
from tests.guards.test_lineage import PARENT, ancestor, facts

LONG = "n" * 300
DEEP = LineageGuard(most_depth=2)


def said(verdict: Verdict) -> list[tuple[str, str, str]]:
    """Code, field and message of everything that it says."""
    reasons = verdict.reasons if isinstance(verdict, Deny) else ()
    return [(reason.code, reason.field, reason.message) for reason in reasons]


async def of_values(guard: ParametersGuard | None = None, **changes: Any) -> list[tuple[str, str, str]]:
    return said(await (guard or ParametersGuard()).check(asked(**changes), FixedFacts()))


async def test_values_and_purpose_fill_their_bound_to_the_last_byte() -> None:
    values: Mapping[str, Any] = asked().request.parameters
    size = len("Find out") + sum(len(name) + len(str(value)) for name, value in values.items())

    assert await of_values(ParametersGuard(most_bytes=size)) == []
    assert await of_values(ParametersGuard(most_bytes=size - 1)) == [
        ("parameters.too_large", "parameters", f"All values together may take {size - 1} bytes.")
    ]


async def test_a_purpose_has_five_hundred_characters_at_most() -> None:
    assert await of_values(purpose="x" * MOST_PURPOSE_CHARACTERS) == []
    words = f"Say in 1 to {MOST_PURPOSE_CHARACTERS} characters what the subagent is for."
    assert await of_values(purpose="x" * (MOST_PURPOSE_CHARACTERS + 1)) == [("parameters.purpose", "purpose", words)]
    assert await of_values(purpose=" ") == [("parameters.purpose", "purpose", words)]


async def test_hidden_characters_are_named_up_to_five_where_they_stand() -> None:
    hidden = "\u200b\u200c\u200d\u200e\u200f\u202a"
    words = "Characters that nobody can see are refused: U+200B, U+200C, U+200D, U+200E, U+200F."

    assert await of_values(purpose=f"x{hidden}") == [("parameters.hidden_characters", "purpose", words)]
    assert await of_values(parameters=(("topic", f"Admission{hidden}"),)) == [
        ("parameters.hidden_characters", "parameters.topic", words)
    ]


async def test_a_purpose_is_one_line_and_a_value_may_have_more() -> None:
    assert [code for code, _, _ in await of_values(purpose="one\ntwo")] == ["parameters.hidden_characters"]
    assert await of_values(parameters=(("topic", "one\ntwo"),)) == []


async def test_a_fence_mark_is_named_where_it_stands() -> None:
    words = "A value may not contain <<< or >>>: they mark where data begins and ends."

    assert await of_values(parameters=(("topic", "a >>> b"),)) == [("parameters.fence", "parameters.topic", words)]


async def test_a_name_that_a_caller_made_up_is_said_in_part() -> None:
    given = (("topic", "Admission"), (LONG, "a\u200b >>>"), (LONG, "a\u200b >>>"))
    fields = {code: where for code, where, _ in await of_values(parameters=given)}

    assert fields["parameters.repeated"] == f"parameters.{'n' * 64}"
    assert fields["parameters.hidden_characters"] == f"parameters.{'n' * 64}"
    assert fields["parameters.fence"] == f"parameters.{'n' * 64}"


async def test_a_value_that_does_not_fit_hears_by_which_rule() -> None:
    too_short = await of_values(parameters=(("topic", "x"),))
    unknown = await of_values(parameters=(("topic", "Admission"), ("other", "x")))

    assert too_short == [
        ("parameters.invalid", "parameters.topic", 'The value does not fit the template\'s schema: {"minLength":3}.')
    ]
    assert unknown == [("parameters.invalid", "parameters", "The value does not fit the template's schema: known.")]


async def test_a_rule_and_a_path_are_said_in_part() -> None:
    choices = [f"choice-{number}" for number in range(60)]
    properties = {LONG[:64]: {"type": "string", "enum": choices, "description": "x"}}
    known = template(
        parameters={"type": "object", "properties": properties},
        agent={"description": "x", "instructions": "x"},
    )
    ((_, where, words),) = await of_values(known=known, parameters=((LONG[:64], "none"),))

    assert where == f"parameters.{LONG[:64]}"
    assert len(words) == len("The value does not fit the template's schema: .") + 200


async def of_agent(made: Any, seen: FixedFacts | None = None) -> list[tuple[str, str, str]]:
    return said(await ManifestInvariants().check(made, seen or FixedFacts()))


def renamed(id_: str) -> Any:
    made = rendered()
    return replace(made, id=id_, agent=replace(made.agent, id=id_))


@pytest.mark.parametrize("id_", ["sub-UP", "sub-", "sub-a.b", "other-a", f"sub-{'a' * (MOST_ID_CHARACTERS - 3)}"])
async def test_an_id_of_another_shape_is_refused_although_the_agent_bears_it(id_: str) -> None:
    assert [code for code, _, _ in await of_agent(renamed(id_))] == ["manifest.name"]


async def test_an_id_has_forty_characters_at_most() -> None:
    assert await of_agent(renamed(f"sub-{'a' * (MOST_ID_CHARACTERS - 4)}")) == []


async def test_a_tool_that_is_not_allowed_is_said_in_part() -> None:
    made = rendered()
    tools = (ToolSelection("web-search", ("search", LONG)), ToolSelection(LONG, ("look",)))
    words = [message for _, _, message in await of_agent(replace(made, agent=replace(made.agent, tools=tools)))]

    assert words == [
        f"The template does not allow {f'web-search/{LONG}'[:128]}.",
        f"The template allows no tools of {LONG[:64]}.",
    ]


async def test_spawn_tools_are_for_templates_with_depth_and_others_are_judged_beside_them() -> None:
    deep = rendered(known=template(depth=1))
    offered = {"web-search": frozenset({"search", "fetch"}), **_offered(deep)}
    bad = tuple(ToolSelection(one.server, ("exec",)) if one.server == "web-search" else one for one in deep.agent.tools)

    assert await of_agent(deep, FixedFacts(present_tools=offered)) == []
    found = await of_agent(replace(deep, agent=replace(deep.agent, tools=bad)), FixedFacts(present_tools=offered))
    assert [code for code, _, _ in found] == ["manifest.tool_not_allowed"]


def _offered(made: Any) -> dict[str, frozenset[str]]:
    return {one.server: frozenset(one.tools) for one in made.agent.tools}


@dataclass
class Asking(FixedFacts):
    """Facts that write down for whom, and how freshly, they were asked."""

    asked_for: list[tuple[str, Any, bool]] = field(default_factory=list)

    async def models(self, caller: Caller, *, fresh: bool = False) -> frozenset[str]:
        self.asked_for.append(("models", caller, fresh))
        return await super().models(caller, fresh=fresh)

    async def tools(self, caller: Caller, *, fresh: bool = False) -> dict[str, frozenset[str]]:
        self.asked_for.append(("tools", caller, fresh))
        return await super().tools(caller, fresh=fresh)

    async def ledger(self, caller: Caller, *, fresh: bool = False) -> Ledger:
        self.asked_for.append(("ledger", caller, fresh))
        return await super().ledger(caller, fresh=fresh)


async def test_what_was_seen_to_be_there_is_not_asked_for_again() -> None:
    seen = Asking()
    await ManifestInvariants().check(rendered(), seen)

    assert seen.asked_for == [("models", CALLER, False), ("tools", CALLER, False)]


async def test_a_childs_line_is_judged_by_a_fresh_ledger_of_its_own_root() -> None:
    child = Caller(ROOT, PARENT)
    whole = facts(ancestor())
    seen = Asking(above=whole.above, held=whole.held, stale=Ledger(ROOT.name))
    verdict = await DEEP.check(replace(rendered(lifetime_minutes=5), caller=child), seen)

    assert verdict == Allow()
    assert seen.asked_for == [("tools", child, False), ("ledger", child, False), ("ledger", child, True)]


@pytest.mark.parametrize(
    ("grant", "field_"), [({"tools": ("web-search/sea*",)}, "tools"), ({"models": ("gpt 5",)}, "model")]
)
async def test_a_name_that_is_none_is_refused_where_it_stands(grant: dict[str, Any], field_: str) -> None:
    made = rendered()
    found = said(await LineageGuard().check(replace(made, grant=replace(made.grant, **grant)), FixedFacts()))

    words = "A name has no wildcard, no space, no trailing dot and plain letters only."
    assert found == [("lineage.name", field_, words)]


def test_a_name_may_end_in_any_plain_letter() -> None:
    assert list(misnamed(["gpt-X", "x", "XX", "a.b"])) == []


async def test_a_server_that_makes_agents_is_said_in_part() -> None:
    made = rendered()
    made = replace(made, agent=replace(made.agent, tools=(ToolSelection(LONG, ("propose_subagent",)),)))
    ((_, _, words),) = said(await LineageGuard().check(made, FixedFacts()))

    assert words == f"The server {LONG[:64]} makes agents: only depth gives its tools."
