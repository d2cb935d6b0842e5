from mcp_agentspawn.core.ports import Violation
from mcp_agentspawn.guards.crd import CrdSchema
from tests.guards.cases import FixedFacts, codes, fields, rendered


async def test_what_fits_is_allowed() -> None:
    assert codes(await CrdSchema().check(rendered(), FixedFacts())) == []


async def test_every_place_that_does_not_fit_is_named() -> None:
    facts = FixedFacts(found=(Violation("spec.a", "unknown field"), Violation("spec.b", "x" * 400)))
    verdict = await CrdSchema().check(rendered(), facts)

    assert codes(verdict) == ["crd.violation", "crd.violation"]
    assert fields(verdict) == ["spec.a", "spec.b"]
