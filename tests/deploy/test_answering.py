"""What is so of answers to the tool calls of tasks alone."""

import pytest

from tests.deploy.decisions import ANSWERS
from tests.deploy.objects import answer, fresh_handle
from tests.deploy.world import Everybody


@pytest.mark.parametrize("actor", ["vera", "frida"])
async def test_who_does_not_decide_sees_no_answers_and_stores_none(everyone: Everybody, actor: str) -> None:
    stored, somebody = await ANSWERS.stored(everyone), everyone.named(actor)

    assert (await somebody.get(stored)).status == 403
    assert (await somebody.create(answer(fresh_handle(), actor))).status == 403
    assert (await somebody.delete(stored)).status == 403
