"""What can not be asked says no: a store that is away, slow or broken is never read as nothing, none or yes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.attacks.battlefield import Battlefield, served_on
from tests.attacks.orchestrators import Orchestrator, codes, message
from tests.attacks.people import Person
from tests.faults.proxy import Fault, FaultProxy, Forward

SHORT = {"lifetime_minutes": 5}
MANY = 200
AWAY = {
    "the ledger": ("GET", r"/spawnledgers"),
    "the rights to use templates": ("POST", r"/subjectaccessreviews"),
    "the models": ("GET", r"/modelconfigs"),
    "the tool servers": ("GET", r"/remotemcpservers"),
    "the freezes": ("GET", r"/spawnfreezes"),
    "the resets": ("GET", r"/spawnresets"),
    "the kind": ("GET", r"/customresourcedefinitions"),
}
AWAY_AT_APPLY = {
    "the ledger": ("GET", r"/spawnledgers"),
    "the proposal": ("GET", r"/subagentproposals/"),
    "the decisions": ("GET", r"/subagentapprovals"),
    "the freezes": ("GET", r"/spawnfreezes"),
    "the parent": ("GET", r"/agents/sub-spawner"),
}


async def _broken(_fault: Fault, _request: web.BaseRequest, _forward: Forward) -> web.Response:
    return web.json_response({"kind": "Status", "code": 500, "message": "etcdserver: no leader"}, status=500)


@asynccontextmanager
async def _proxied(field: Battlefield, *away: tuple[str, str]) -> AsyncIterator[FaultProxy]:
    """A way to the API server on which every such request fails."""
    plane = field.cluster.plane
    async with FaultProxy(plane.url, plane.connection("").ssl_context()) as proxy:
        for method, path in away:
            for _ in range(MANY):
                proxy.on(method, path, _broken)
        yield proxy


@asynccontextmanager
async def _served(
    field: Battlefield, caller: Orchestrator, folder: Path, proxy: FaultProxy
) -> AsyncIterator[Orchestrator]:
    """The same caller at a server behind the proxy."""
    async with served_on(field, caller.root, folder / "audit.jsonl", proxy) as url:
        yield caller.at(url)


@pytest.mark.parametrize("what", AWAY)
async def test_without_an_answer_nothing_is_proposed(
    field: Battlefield, orchestrator: Orchestrator, tmp_path: Path, what: str
) -> None:
    async with _proxied(field, AWAY[what]) as proxy, _served(field, orchestrator, tmp_path, proxy) as caller:
        answer = await caller.propose()

    (code,) = codes(answer)
    assert code == "server.unavailable" or code.endswith(".unanswered")
    assert await field.cluster.proposals_of(orchestrator.root) == []


@pytest.mark.parametrize("what", AWAY_AT_APPLY)
async def test_without_an_answer_nothing_is_made_and_retiring_goes_on(
    field: Battlefield, orchestrator: Orchestrator, tmp_path: Path, what: str
) -> None:
    parent = await field.parent(orchestrator)
    proposal = await parent.propose("Careful", template="careful", **SHORT)
    await Person(field.cluster, "alice").decide(proposal)
    async with _proxied(field, AWAY_AT_APPLY[what]) as proxy, _served(field, parent, tmp_path, proxy) as caller:
        answered = await caller.post(message("tools/call", name="apply_subagent", arguments=_which(proposal)))

    assert answered.status_code in {200, 503}
    if answered.status_code == 200:
        (code,) = codes(answered.json()["result"]["structuredContent"])
        assert code == "server.unavailable" or code.endswith(".unanswered")
    assert len(await field.cluster.agents_of(orchestrator.root)) == 1
    assert (await orchestrator.retire(parent.agent))["phase"] == "retired"


def _which(proposal: dict[str, str]) -> dict[str, str]:
    return {"proposal": proposal["proposal"], "digest": proposal["digest"]}


async def test_a_credential_that_nobody_can_review_is_not_taken_on_trust(
    field: Battlefield, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    reviews = ("POST", r"/tokenreviews")
    async with _proxied(field, reviews) as proxy, _served(field, orchestrator, tmp_path, proxy) as caller:
        answered = await caller.post(message("tools/list"))

    assert answered.status_code == 503


async def test_retiring_works_while_everything_that_judges_is_away(
    field: Battlefield, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    agent = await orchestrator.spawn()
    judging = [AWAY[what] for what in AWAY if what != "the ledger"] + [("GET", r"/subagentapprovals")]
    async with _proxied(field, *judging) as proxy, _served(field, orchestrator, tmp_path, proxy) as caller:
        assert codes(await caller.propose("More")) != set()
        assert (await caller.retire(agent))["phase"] == "retired"

    assert await field.cluster.agents_of(orchestrator.root) == []
