"""What is so of decisions on proposals alone."""

from tests.deploy.decisions import APPROVALS
from tests.deploy.objects import approval, fresh_id
from tests.deploy.world import DORAS, Everybody


async def test_a_right_to_approve_one_proposal_is_none_to_approve_one_whose_name_begins_like_it(
    everyone: Everybody,
) -> None:
    assert (await everyone.dora.create(approval(f"{DORAS}-2", "dora"))).policy == APPROVALS.policy


async def test_who_may_only_look_stores_nothing(everyone: Everybody) -> None:
    stored = await APPROVALS.stored(everyone)

    assert (await everyone.vera.get(stored)).status == 200
    assert (await everyone.vera.send("GET", APPROVALS.collection)).status == 200
    assert (await everyone.vera.create(approval(fresh_id(), "vera"))).status == 403
    assert (await everyone.vera.delete(stored)).status == 403


async def test_one_person_may_say_it_twice_and_the_server_counts_people(everyone: Everybody) -> None:
    name = fresh_id()

    answers = [await everyone.alice.create(approval(name, "alice", suffix)) for suffix in ("x", "y", "x")]

    assert [answer.status for answer in answers] == [201, 201, 409]


async def test_a_decision_on_a_proposal_that_is_not_there_is_stored(everyone: Everybody) -> None:
    """Admission can not look a proposal up: the server compares its uid and digest."""
    assert (await everyone.alice.create(approval("sub-no-such-proposal", "alice"))).status == 201
