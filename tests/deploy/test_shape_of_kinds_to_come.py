"""A field that kagent adds later is refused, wherever it adds it: the shape is a list of what is allowed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import yaml

from mcp_agentspawn.localplane import Binaries, ControlPlane
from tests.deploy.cluster import Cluster
from tests.deploy.images import from_image, images_allowed
from tests.deploy.objects import fresh_id, subagent
from tests.deploy.world import REDUCED, Everybody, everybody, manifests_of, set_up

Place = tuple[str | int, ...]
PLACES: dict[str, Place] = {
    "spec": ("spec",),
    "declarative": ("spec", "declarative"),
    "context": ("spec", "declarative", "context"),
    "compaction": ("spec", "declarative", "context", "compaction"),
    "a2aConfig": ("spec", "declarative", "a2aConfig"),
    "a skill": ("spec", "declarative", "a2aConfig", "skills", 0),
    "a tool": ("spec", "declarative", "tools", 1),
    "a server": ("spec", "declarative", "tools", 1, "mcpServer"),
}
PLACES_OF_IMAGES: dict[str, Place] = {
    "spec": ("spec",),
    "byo": ("spec", "byo"),
    "deployment": ("spec", "byo", "deployment"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def to_come(
    control_plane_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Everybody]:
    """The same over kagent's kinds with a new field everywhere."""
    folder = tmp_path_factory.mktemp("kinds")
    for file in REDUCED.glob("*.yaml"):
        (definition,) = manifests_of(file)
        if file.name == "agents.yaml":
            schema = definition["spec"]["versions"][1]["schema"]["openAPIV3Schema"]
            for place in {*PLACES.values(), *PLACES_OF_IMAGES.values()}:
                _schema_at(schema, place)["properties"]["future"] = {"type": "string"}
        (folder / file.name).write_text(yaml.safe_dump(definition), encoding="utf-8")
    async with ControlPlane(control_plane_binaries, kinds=[folder]) as plane, Cluster(plane) as cluster:
        await set_up(plane, cluster, tmp_path_factory.mktemp("onboarding"))
        yield await everybody(cluster)


def _schema_at(schema: dict[str, Any], place: Place) -> dict[str, Any]:
    for key in place:
        schema = schema["items"] if isinstance(key, int) else schema["properties"][key]
    return schema


def _object_at(manifest: Any, place: Place) -> Any:
    for key in place:
        manifest = manifest[key]
    return manifest


@pytest.mark.parametrize("place", PLACES)
async def test_a_field_that_kagent_adds_later_is_refused(to_come: Everybody, place: str) -> None:
    name = fresh_id()
    agent = subagent(name)
    _object_at(agent, PLACES[place])["future"] = "x"

    refused = await to_come.root(name).create(agent, dryRun="All", fieldValidation="Strict")
    accepted = await to_come.root(name).create(subagent(name), dryRun="All", fieldValidation="Strict")

    assert (refused.policy, accepted.status) == ("agentspawn-shape", 201), refused.message


async def test_a_field_that_kagent_adds_later_is_refused_beside_an_image(to_come: Everybody) -> None:
    """With the overlay of deploy/byo."""
    name = fresh_id()
    agents = {place: from_image(name) for place in PLACES_OF_IMAGES}
    for place, agent in agents.items():
        _object_at(agent, PLACES_OF_IMAGES[place])["future"] = "x"

    async with images_allowed(to_come):
        answers = [await to_come.root(name).create(agent, dryRun="All") for agent in agents.values()]

    assert [answer.policy for answer in answers] == ["agentspawn-shape"] * 3, answers
