"""deploy/byo: an image may be a subagent, by its digest, from a listed repository; in nothing else is the shape wider.

Over the reduced kinds and over kagent's own.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import pytest
import pytest_asyncio
import yaml

from mcp_agentspawn.cli.dev import checkout
from tests.deploy.attacks import FIELDS, HEADERS, METADATA
from tests.deploy.cluster import Answer, Manifest
from tests.deploy.images import (
    ALSO_LISTED,
    DEFAULT,
    DIGEST,
    IMAGES,
    LISTED,
    NO_REPOSITORIES,
    OVERLAY,
    from_image,
    images_allowed,
    overlay,
    put,
)
from tests.deploy.objects import fresh_id, named, spawning, subagent, tool, with_changes
from tests.deploy.world import DEPLOY, Everybody, deployed, manifests_of, type_checked

SHAPE = "agentspawn-shape"
DEPTH = "metadata.annotations.agentspawn~dev/depth"
IMAGE = "spec.byo.deployment"
CHANGED = ["spec", "spec.type", "spec.declarative.modelConfig", "spec.declarative.systemMessage"]
ADDED = ["spec.byo", "spec.byo.deployment", "spec.byo.deployment.image", "metadata.annotations[agentspawn.dev/depth]"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def with_images(on_kagent: Everybody) -> AsyncIterator[Everybody]:
    """The overlay instead of the default; in its list also what is no repository."""
    async with images_allowed(on_kagent, *ALSO_LISTED, *NO_REPOSITORIES):
        yield on_kagent


async def _try(everyone: Everybody, manifest: Manifest) -> Answer:
    """Try it as the root to whom it would belong: nothing but the shape stands between it and the cluster."""
    root = everyone.root(manifest["metadata"]["name"])
    return await root.create(manifest, dryRun="All", fieldValidation="Strict")


async def _refusing(everyone: Everybody, manifests: Mapping[str, Manifest]) -> dict[str, str]:
    """Which policy refuses each; for what none refuses, what the API server says."""
    answers = {name: await _try(everyone, manifest) for name, manifest in manifests.items()}
    return {name: answer.policy or f"{answer.status} {answer.message}" for name, answer in answers.items()}


@pytest.mark.parametrize("repository", [LISTED, *ALSO_LISTED])
async def test_an_image_of_a_listed_repository_is_accepted_as_it_is(with_images: Everybody, repository: str) -> None:
    """As it is: there is nothing that the API server fills in beside an image."""
    agent = from_image(fresh_id(), f"{repository}@{DIGEST}")

    answer = await _try(with_images, agent)

    assert (answer.status, answer.message) == (201, "")
    assert answer.body["spec"] == agent["spec"]


@pytest.mark.parametrize("image", IMAGES)
async def test_any_other_image_is_refused(with_images: Everybody, image: str) -> None:
    answer = await _try(with_images, from_image(fresh_id(), IMAGES[image]))

    assert answer.status == 422
    assert answer.policy == SHAPE or (image == "nothing" and "image" in answer.message)


@pytest.mark.parametrize("entry", NO_REPOSITORIES)
async def test_what_is_listed_and_is_no_repository_lets_nothing_in(with_images: Everybody, entry: str) -> None:
    found = [f"{entry}@{DIGEST}", f"{entry}x@{DIGEST}", entry.replace("*", "x") + f"@{DIGEST}"]
    agents = {image: from_image(fresh_id(), image) for image in found}

    assert await _refusing(with_images, agents) == dict.fromkeys(found, SHAPE)


async def test_every_other_field_of_a_deployment_is_refused(with_images: Everybody) -> None:
    """All that there are: the command, arguments, variables, volumes, the account, and what kagent adds later."""
    fields = await _fields(with_images, "byo", "deployment")
    beside = {
        name: with_changes(from_image(fresh_id()), {f"{IMAGE}.{name}": _example(schema)})
        for name, schema in fields.items()
        if name != "image"
    }

    assert {"cmd", "args", "env", "volumes", "serviceAccountName", "imagePullSecrets", "replicas"} <= beside.keys()
    assert await _refusing(with_images, beside) == dict.fromkeys(beside, SHAPE)


async def test_every_other_field_of_an_agent_is_refused(with_images: Everybody) -> None:
    """The declarative part among them, and with it tools, models and skills."""
    fields = set(await _fields(with_images)) - {"type", "description", "byo"}
    schemas = await _fields(with_images)
    parts = {name: _example(schemas[name]) for name in fields} | {
        "declarative": subagent(fresh_id())["spec"]["declarative"]
    }
    beside = {name: with_changes(from_image(fresh_id()), {f"spec.{name}": part}) for name, part in parts.items()}

    assert {"declarative", "skills", "sandbox", "allowedNamespaces"} <= beside.keys()
    assert await _refusing(with_images, beside) == dict.fromkeys(beside, SHAPE)


async def _fields(everyone: Everybody, *path: str) -> dict[str, Any]:
    """The fields below an Agent's spec, as the API server knows them."""
    kind = named("apiextensions.k8s.io/v1", "CustomResourceDefinition", "agents.kagent.dev", "")
    versions = (await everyone.administrator.get(kind)).body["spec"]["versions"]
    (schema,) = (item["schema"]["openAPIV3Schema"] for item in versions if item["name"] == "v1alpha2")
    for key in ("spec", *path):
        schema = schema["properties"][key]
    fields: dict[str, Any] = schema["properties"]
    return fields


def _example(schema: Mapping[str, Any]) -> Any:
    """The least that this schema accepts."""
    match schema["type"]:
        case "object":
            return {name: _example(schema["properties"][name]) for name in schema.get("required", [])}
        case "array":
            return [_example(schema["items"])]
        case "integer":
            return 1
    return schema.get("enum", ["https://registry.example"])[0]


@pytest.mark.parametrize("depth", ["1", "2"])
async def test_an_image_spawns_nothing(with_images: Everybody, depth: str) -> None:
    assert (await _try(with_images, with_changes(from_image(fresh_id()), {DEPTH: depth}))).policy == SHAPE


async def test_a_deployment_without_an_image_is_refused(with_images: Everybody) -> None:
    bare = [{IMAGE: None}, {f"{IMAGE}.image": None}, {"spec.byo": None}]
    answers = [await _try(with_images, with_changes(from_image(fresh_id()), changes)) for changes in bare]

    assert [answer.status for answer in answers] == [422, 422, 422]


async def test_a_kind_that_is_not_said_is_no_image(with_images: Everybody) -> None:
    """The API server fills in Declarative."""
    unsaid = with_changes(from_image(fresh_id()), {"spec.type": None})
    both = with_changes(subagent(fresh_id()), {"spec.byo": from_image(fresh_id())["spec"]["byo"]})

    assert (await _try(with_images, unsaid)).status == 422
    assert (await _try(with_images, both)).policy == SHAPE


@pytest.mark.parametrize("attack", METADATA)
async def test_an_images_metadata_are_those_of_any_subagent(with_images: Everybody, attack: str) -> None:
    assert (await _try(with_images, with_changes(from_image(fresh_id()), METADATA[attack]))).policy == SHAPE


async def test_every_other_subagent_is_shaped_as_before(with_images: Everybody) -> None:
    right = {"alone": subagent(fresh_id()), "spawning": spawning(fresh_id(), "2")}
    bare = with_changes(subagent(fresh_id()), {"spec.declarative.tools": [tool("agentspawn")]})
    wrong = {name: with_changes(subagent(fresh_id()), changes) for name, changes in FIELDS.items()}
    wrong |= {f"header: {name}": attack(spawning(fresh_id())) for name, attack in HEADERS.items()}
    wrong["the tools of this server"] = bare
    del wrong["an image by its digest, and nothing else"]

    assert await _refusing(with_images, right) == dict.fromkeys(right, "201 ")
    assert await _refusing(with_images, wrong) == dict.fromkeys(wrong, SHAPE)


async def test_the_api_server_finds_nothing_wrong_with_the_overlay(with_images: Everybody) -> None:
    assert await type_checked(with_images, SHAPE) == {}


async def test_as_it_is_shipped_and_after_the_default_was_applied_again_no_image_is_let_in(
    with_images: Everybody,
) -> None:
    policy, *_ = manifests_of(DEFAULT)
    for shape in (manifests_of(OVERLAY), manifests_of(DEFAULT)):
        await put(with_images, shape, lets_in=False)

        assert await type_checked(with_images, SHAPE) == {}
        assert (await _try(with_images, from_image(fresh_id()))).policy == SHAPE
        assert (await _try(with_images, subagent(fresh_id()))).status == 201
        is_default = "variables" not in (await with_images.administrator.get(policy)).body["spec"]
        await put(with_images, overlay(LISTED, *ALSO_LISTED, *NO_REPOSITORIES), lets_in=True)

    assert is_default


def test_the_overlay_is_the_default_but_for_what_makes_an_image_a_subagent() -> None:
    (policy, *bindings), (wider, *same) = manifests_of(DEFAULT), manifests_of(OVERLAY)
    before, after = policy["spec"].pop("validations"), wider["spec"].pop("validations")

    assert _fields_of(item for item in before if item not in after) == sorted(CHANGED)
    assert _fields_of(item for item in after if item not in before) == sorted([*CHANGED, *ADDED])
    assert wider["spec"].pop("variables") == [{"name": "repositories", "expression": "[]"}]
    assert (wider, same) == (policy, bindings)


def _fields_of(validations: Iterable[Manifest]) -> list[str]:
    """What each is about, as its message begins."""
    return sorted(item["message"].partition(":")[0] for item in validations)


def test_a_repository_is_added_by_editing_one_line() -> None:
    """The only one with a list that is empty."""
    text = OVERLAY.read_text(encoding="utf-8")
    edited = text.replace('      expression: "[]"\n', f"      expression: \"['{LISTED}']\"\n")

    assert [one == other for one, other in zip(text.splitlines(), edited.splitlines(), strict=True)].count(False) == 1
    assert [document for document in yaml.safe_load_all(edited) if document] == overlay(LISTED)


def test_nothing_installs_the_overlay_by_itself() -> None:
    """Neither a folder's manifests, as kubectl takes them, nor what runs on this machine, nor these tests."""
    taken = [*DEPLOY.glob("*.yaml"), *checkout.kinds(), *checkout.manifests(), *deployed()]

    assert OVERLAY.is_file()
    assert OVERLAY not in taken
    assert {file.parent for file in taken if DEPLOY in file.parents} == {DEPLOY}
