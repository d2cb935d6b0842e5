"""A freeze stops everybody within a moment, wherever it says, and nothing but creating."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tests.deploy.cluster import BROAD, EXTRA, HOME, Actor, Manifest, until
from tests.deploy.objects import ROOT, TENANT, freeze, fresh_id, named, subagent, with_changes
from tests.deploy.world import CANARY, DEPLOY, FROZEN_SONG, STUBS, Everybody, manifests_of, song

FREEZE = "agentspawn-freeze"
EVERYWHERE = "everywhere"
STORM = 8
_, *BINDINGS = manifests_of(DEPLOY / "36-policy-freeze.yaml")


@asynccontextmanager
async def frozen(everyone: Everybody, name: str = EVERYWHERE) -> AsyncIterator[None]:
    """Frozen inside, by a person with the operators' role; seen to be over afterwards."""
    switch = freeze(name, "frida")
    if name == EVERYWHERE:
        answer = await everyone.frida.patch(switch, {"spec": switch["spec"]})
    else:
        answer = await everyone.frida.create(switch)
    assert answer.status in {200, 201}, answer.message
    try:
        yield
    finally:
        await everyone.frida.patch(switch, {"spec": {"frozen": False}})
        assert await until(lambda: _may_spawn(everyone))
        if name != EVERYWHERE:
            await everyone.frida.delete(switch)


async def _refusal(everyone: Everybody, account: str = ROOT) -> str:
    """The policy that refuses a root its next subagent; empty when none does."""
    name = fresh_id()
    return (await everyone.root(name, account).create(subagent(name, account), dryRun="All")).policy


async def _may_spawn(everyone: Everybody, account: str = ROOT) -> bool:
    return await _refusal(everyone, account) == ""


async def _stopped(everyone: Everybody, account: str = ROOT) -> bool:
    async def stopped() -> bool:
        return await _refusal(everyone, account) == FREEZE

    return await until(stopped, seconds=1)


def _kin(kind: str) -> Manifest:
    return named(f"kagent.dev/{STUBS[kind]}", kind, fresh_id(), HOME, spec={})


async def test_a_freeze_acts_within_a_second_and_an_unfreeze_too(everyone: Everybody) -> None:
    async with frozen(everyone):
        begun = time.monotonic()
        assert await _stopped(everyone)
        assert time.monotonic() - begun < 1
    assert await _may_spawn(everyone)


@pytest.mark.parametrize("actor", ["administrator", "operator", "server_with_every_right"])
async def test_nobody_is_exempt(everyone: Everybody, actor: str) -> None:
    async with frozen(everyone):
        assert await _stopped(everyone)
        assert (await everyone.named(actor).create(subagent(fresh_id()))).policy == FREEZE
        assert (await everyone.named(actor).apply(subagent(fresh_id()))).policy == FREEZE


@pytest.mark.parametrize("kind", ["SandboxAgent", "AgentHarness"])
async def test_every_kind_of_agent_is_stopped(everyone: Everybody, kind: str) -> None:
    free = await everyone.operator.create(_kin(kind), dryRun="All")
    async with frozen(everyone):
        assert await _stopped(everyone)
        stopped = await everyone.operator.create(_kin(kind), dryRun="All")

    assert (free.policy, stopped.policy) == ("", FREEZE)


async def test_every_version_of_the_kind_is_stopped(everyone: Everybody) -> None:
    older = subagent(fresh_id()) | {"apiVersion": "kagent.dev/v1alpha1", "spec": {"modelConfig": "m"}}
    async with frozen(everyone):
        assert await _stopped(everyone)
        assert (await everyone.operator.create(older)).policy == FREEZE


async def test_looking_and_retiring_go_on(everyone: Everybody) -> None:
    agents = [await everyone.spawn() for _ in range(3)]
    async with frozen(everyone):
        assert await _stopped(everyone)
        assert await everyone.server.has(agents[0])
        assert (await everyone.root(agents[0]["metadata"]["name"]).delete(agents[0])).status == 200
        assert (await everyone.server.delete(agents[1])).status == 200
        assert (await everyone.operator.patch(agents[2], {"spec": {"description": "x"}})).status == 200
        assert (await everyone.operator.delete(agents[2])).status == 200


@pytest.mark.parametrize(
    ("name", "stopped"),
    [
        (EVERYWHERE, {ROOT, TENANT}),
        ("namespace.subagents", {ROOT, TENANT}),
        ("namespace.agents", {ROOT, TENANT}),
        (f"root.agents.{ROOT}", {ROOT}),
        (f"root.agents.{ROOT}-2", set()),
        ("root.agents.mal", set()),
        ("namespace.agent", set()),
        ("namespace.agents-2", set()),
        ("namespace.default", set()),
    ],
)
async def test_a_freeze_stops_whom_it_names_and_nobody_else(everyone: Everybody, name: str, stopped: set[str]) -> None:
    async with frozen(everyone, name):
        for account in stopped:
            assert await _stopped(everyone, account)
        if not stopped:
            await _seen(everyone, name)
        assert {account for account in (ROOT, TENANT) if not await _may_spawn(everyone, account)} == stopped


async def _seen(everyone: Everybody, name: str) -> None:
    """Until the API server's policies know of a freeze that stops nobody here: a later one acts after it."""
    later = f"root.agents.{ROOT}"
    assert name != later
    async with frozen(everyone, later):
        assert await _stopped(everyone)


async def test_a_namespaces_freeze_stops_whoever_creates_there(everyone: Everybody) -> None:
    async with frozen(everyone, "namespace.subagents"):
        assert await _stopped(everyone)
        assert (await everyone.operator.create(subagent(fresh_id()))).policy == FREEZE


async def test_a_roots_freeze_does_not_stop_operators(everyone: Everybody) -> None:
    async with frozen(everyone, f"root.agents.{ROOT}"):
        assert await _stopped(everyone)
        assert (await everyone.operator.create(subagent(fresh_id()), dryRun="All")).status == 201


async def test_any_freeze_is_enough(everyone: Everybody) -> None:
    async with frozen(everyone, "namespace.subagents"):
        async with frozen_too(everyone, f"root.agents.{ROOT}"):
            assert await _stopped(everyone)
        assert await _stopped(everyone)


@asynccontextmanager
async def frozen_too(everyone: Everybody, name: str) -> AsyncIterator[None]:
    """The same, while another freeze holds on."""
    switch = freeze(name, "frida")
    assert (await everyone.frida.create(switch)).status == 201
    try:
        yield
    finally:
        await everyone.frida.delete(switch)


@pytest.mark.parametrize("actor", ["server", "orchestrator", "editor", "namespace_admin", "kagent"])
async def test_what_it_stops_does_not_end_it(everyone: Everybody, actor: str) -> None:
    somebody = everyone.named(actor)
    async with frozen(everyone):
        ended = [
            await somebody.patch(freeze(), {"spec": {"frozen": False, "by": actor}}),
            await somebody.apply(freeze(by=actor, frozen=False)),
            await somebody.delete(freeze()),
        ]
        assert {answer.status for answer in ended} <= {403, 422}
        assert await _stopped(everyone)


async def test_the_canary_sees_a_freeze_and_is_not_silenced_by_one(everyone: Everybody) -> None:
    frozen_canary = everyone.server.impersonating(CANARY).saying((EXTRA, FROZEN_SONG))
    name = fresh_id()
    canary = everyone.server.impersonating(CANARY).saying((EXTRA, name))

    assert (await frozen_canary.create(song(FROZEN_SONG), dryRun="All")).policy == FREEZE
    async with frozen(everyone):
        assert await _stopped(everyone)
        assert (await frozen_canary.create(song(FROZEN_SONG), dryRun="All")).policy == FREEZE
        assert (await canary.create(song(name), dryRun="All")).status == 201
        assert (await canary.create(song(name))).policy in {FREEZE, "agentspawn-lock"}


async def test_no_create_that_starts_after_the_freeze_acts_succeeds(everyone: Everybody) -> None:
    """Eight at once, all the time: from the first refusal on there is none that gets through."""
    made: list[tuple[float, str]] = []
    over = asyncio.Event()

    async def storm() -> None:
        while not over.is_set():
            begun = time.monotonic()
            made.append((begun, await _refusal(everyone)))

    storms = [asyncio.create_task(storm()) for _ in range(STORM)]
    try:
        await _made(made, 40)
        async with frozen(everyone):
            assert await _stopped(everyone)
            acts = time.monotonic()
            await _made(made, len(made) + 200)
            over.set()
            await asyncio.gather(*storms)
    finally:
        over.set()
        await asyncio.gather(*storms)

    assert {policy for begun, policy in made if begun > acts} == {FREEZE}
    assert "" in {policy for begun, policy in made if begun < acts}


async def _made(made: list[tuple[float, str]], number: int) -> None:
    async def enough() -> bool:
        return len(made) >= number

    assert await until(enough)


async def _under_a_freeze_alone(everyone: Everybody, name: str, binding: Manifest, **change: str) -> None:
    """A namespace under the freeze and nothing else, by this binding changed so."""
    names = [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": [name]}]
    where = {"spec.matchResources.namespaceSelector.matchExpressions": names}
    moved = with_changes(binding, {"metadata.name": f"test-{name}", **where, **change})
    for manifest in (named("v1", "Namespace", name, ""), moved):
        assert (await everyone.administrator.apply(manifest)).status < 300


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def freeze_alone(on_reduced: Everybody) -> str:
    await _under_a_freeze_alone(on_reduced, "freeze-alone", BINDINGS[0])
    return "freeze-alone"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def without_freezes(on_reduced: Everybody) -> Actor:
    """One namespace where no freeze at all is found, one where the one that is asked for by its name is not."""
    elsewhere = [{"spec.paramRef.namespace": "default"}, {"spec.paramRef.name": "nowhere"}]
    for number, (binding, change) in enumerate(zip(BINDINGS, elsewhere, strict=True)):
        await _under_a_freeze_alone(on_reduced, f"without-freezes-{number}", binding, **change)
    return on_reduced.operator


@pytest.mark.parametrize("number", [0, 1])
async def test_a_freeze_that_can_not_be_found_refuses(everyone: Everybody, without_freezes: Actor, number: int) -> None:
    """In the second, others are found: the canary's does not stand in for `everywhere`."""

    async def refused() -> bool:
        agent = subagent(fresh_id(), namespace=f"without-freezes-{number}")
        return (await without_freezes.create(agent, dryRun="All")).policy == FREEZE

    assert await until(refused)
    assert await _may_spawn(everyone)


async def test_only_what_the_canary_tries_dry_gets_past_a_freeze(everyone: Everybody, freeze_alone: str) -> None:
    canary = everyone.cluster.person(CANARY, BROAD)

    async def refused() -> bool:
        return (await canary.create(song(fresh_id(), freeze_alone))).policy == FREEZE

    assert await until(refused)
    assert (await canary.create(song(fresh_id(), freeze_alone), dryRun="All")).status == 201


async def test_elsewhere_agents_are_as_free_as_before(everyone: Everybody) -> None:
    async with frozen(everyone):
        assert await _stopped(everyone)
        free = await everyone.cluster.person("eve", BROAD).create(
            subagent(fresh_id(), namespace="default"), dryRun="All"
        )

    assert free.status == 201
