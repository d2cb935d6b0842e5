import asyncio

import pytest

from mcp_agentspawn.core import guard
from mcp_agentspawn.core.guard import LedgerGuard, ManifestGuard, RequestGuard, decide, verdict_of
from mcp_agentspawn.core.verdict import Allow, Reason, Verdict

NO = Reason("second.no", "No.")


async def allow() -> Verdict:
    return Allow()


async def deny() -> Verdict:
    return verdict_of([NO])


async def fail() -> Verdict:
    raise OSError("secret detail")


async def hang() -> Verdict:
    await asyncio.Event().wait()
    return Allow()


async def unexpected() -> Verdict:
    pytest.fail("this guard should not have been asked")


async def test_guards_are_asked_in_order_until_the_first_refusal() -> None:
    decision = await decide({"first": allow, "second": deny, "third": unexpected})

    assert [finding.guard for finding in decision.findings] == ["first", "second"]
    assert (decision.outcome, decision.reasons) == ("denied", (NO,))


async def test_everyone_can_be_heard() -> None:
    decision = await decide({"first": deny, "second": allow, "third": fail}, everyone=True)

    assert [finding.guard for finding in decision.findings] == ["first", "second", "third"]
    assert [reason.code for reason in decision.reasons] == ["second.no", "third.unanswered"]


async def test_a_guard_that_fails_refuses_and_keeps_the_detail_from_the_caller() -> None:
    decision = await decide({"access": fail})

    assert [reason.code for reason in decision.reasons] == ["access.unanswered"]
    assert "secret detail" not in decision.reasons[0].message
    assert "secret detail" in decision.findings[0].detail
    assert isinstance(decision.findings[0].error, OSError)


async def test_a_guard_that_takes_too_long_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ANSWER_WITHIN_SECONDS", 0.01)

    assert [reason.code for reason in (await decide({"crd": hang})).reasons] == ["crd.unanswered"]


async def test_nobody_to_ask_means_denied() -> None:
    assert (await decide({})).outcome == "denied"


@pytest.mark.parametrize("kind", [RequestGuard, ManifestGuard, LedgerGuard])
def test_a_guard_has_no_keys_but_its_own(kind: type[guard.Guard]) -> None:
    with pytest.raises(ValueError, match="extra_forbidden"):
        kind.model_validate({"surprise": 1})
