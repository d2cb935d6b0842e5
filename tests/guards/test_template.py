import pytest

from mcp_agentspawn.guards.template import TemplateGuard
from tests.guards.cases import FixedFacts, asked, codes

LISTED = TemplateGuard(allow=("researcher",))


async def test_a_listed_and_granted_template_may_be_used() -> None:
    assert codes(await LISTED.check(asked(), FixedFacts())) == []


@pytest.mark.parametrize("guard", [TemplateGuard(), TemplateGuard(allow=("verifier",)), TemplateGuard(allow=("*",))])
async def test_what_is_not_listed_by_name_is_refused(guard: TemplateGuard) -> None:
    assert codes(await guard.check(asked(), FixedFacts())) == ["template.not_allowed"]


async def test_what_rbac_does_not_grant_is_refused() -> None:
    assert codes(await LISTED.check(asked(), FixedFacts(granted=False))) == ["template.not_allowed"]


async def test_a_template_that_is_gone_is_refused_although_it_is_listed() -> None:
    assert codes(await LISTED.check(asked(unknown=True), FixedFacts())) == ["template.not_allowed"]
