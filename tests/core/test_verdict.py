from mcp_agentspawn.core.verdict import Allow, Decision, Deny, Finding, Hold, Reason, Verdict

NO = Reason("quota.live_per_root", "Full.")
WAIT = Reason("approval.person", "A person decides.")


def decision(*verdicts: Verdict) -> Decision:
    return Decision(tuple(Finding(f"guard-{number}", verdict) for number, verdict in enumerate(verdicts)))


def test_nobody_asked_means_denied() -> None:
    assert decision().outcome == "denied"
    assert [reason.code for reason in decision().reasons] == ["chain.empty"]


def test_all_allowing_allows_without_reasons() -> None:
    assert decision(Allow(), Allow()).outcome == "allowed"
    assert decision(Allow(), Allow()).reasons == ()


def test_hold_beats_allow() -> None:
    assert decision(Allow(), Hold((WAIT,))).outcome == "pending_approval"
    assert decision(Allow(), Hold((WAIT,))).reasons == (WAIT,)


def test_deny_beats_hold_and_only_its_reasons_are_said() -> None:
    decided = decision(Hold((WAIT,)), Deny((NO,)), Allow())

    assert (decided.outcome, decided.reasons) == ("denied", (NO,))
