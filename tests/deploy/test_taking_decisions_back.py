"""A decision is taken back by whoever made it or cleared away by the server, and then is gone."""

import pytest

from tests.deploy.cluster import BROAD, SERVER, until
from tests.deploy.decisions import Kind, of_both_kinds
from tests.deploy.strangers import NO_PERSONS
from tests.deploy.world import Everybody


@of_both_kinds
async def test_who_decided_takes_it_back(everyone: Everybody, kind: Kind) -> None:
    stored = await kind.stored(everyone)

    assert (await everyone.alice.delete(stored)).status == 200
    assert not await everyone.administrator.has(stored)


@of_both_kinds
async def test_the_server_clears_old_decisions_away(everyone: Everybody, kind: Kind) -> None:
    stored = await kind.stored(everyone)

    assert (await everyone.server.delete(stored)).status == 200


@of_both_kinds
@pytest.mark.parametrize("actor", ["bob", "administrator", "operator", "cluster_admin", "kagent"])
async def test_a_decision_is_taken_back_by_nobody_else(everyone: Everybody, actor: str, kind: Kind) -> None:
    stored = await kind.stored(everyone)

    one = await everyone.named(actor).delete(stored)
    many = await everyone.named(actor).send("DELETE", kind.collection)

    assert one.policy == kind.policy
    assert many.policy == kind.policy or (actor, many.status) == ("bob", 403)


@of_both_kinds
@pytest.mark.parametrize("who", NO_PERSONS)
async def test_what_is_no_person_takes_no_decision_back(everyone: Everybody, who: str, kind: Kind) -> None:
    user, *groups = NO_PERSONS[who]
    stored = await kind.stored(everyone)

    answer = await everyone.cluster.person(user, BROAD, *groups).delete(stored)

    assert (answer.status, answer.policy) == ((200, "") if user == SERVER else (422, kind.policy))


@of_both_kinds
@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
async def test_a_decision_that_was_taken_back_is_gone_however_that_spreads(
    everyone: Everybody, policy: str, kind: Kind
) -> None:
    """In the foreground the collector takes its own finalizer off, and a decision that stays would still count."""
    stored = await kind.stored(everyone)

    await everyone.alice.delete(stored, propagationPolicy=policy)

    async def gone() -> bool:
        return not await everyone.administrator.has(stored)

    assert await until(gone, seconds=60)  # the collector learns of a new kind after half a minute
