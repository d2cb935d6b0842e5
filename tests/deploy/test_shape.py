"""What a subagent may look like, over the reduced kinds and over kagent's own."""

import pytest

from tests.deploy.attacks import FIELDS, HEADERS, NAMES, SINCE_0_10
from tests.deploy.cluster import Answer, Manifest
from tests.deploy.objects import fresh_id, named, spawning, subagent, tool, with_changes
from tests.deploy.world import DEPLOY, Everybody, manifests_of, type_checked

SHAPE = "agentspawn-shape"
DEPTH = "metadata.annotations.agentspawn~dev/depth"
POLICIES = sorted(
    f"agentspawn-{name}" for name in ("lock", "shape", "kin", "own", "reserved", "approvals", "freeze", "people")
)


async def _try(everyone: Everybody, manifest: Manifest) -> Answer:
    """Try it as the root to whom it would belong: nothing but the shape stands between it and the cluster."""
    root = everyone.root(manifest["metadata"]["name"])
    return await root.create(manifest, dryRun="All", fieldValidation="Strict")


async def test_a_subagent_with_everything_that_it_may_have_is_accepted_as_it_is(everyone_on_kagent: Everybody) -> None:
    agent = subagent(fresh_id())

    answer = await _try(everyone_on_kagent, agent)

    assert (answer.status, answer.message) == (201, "")
    assert answer.body["spec"] == agent["spec"]


async def test_the_least_subagent_is_accepted(everyone_on_kagent: Everybody) -> None:
    agent = subagent(fresh_id())
    agent["spec"] = {"type": "Declarative", "declarative": {"systemMessage": "x", "modelConfig": "m"}}

    assert (await _try(everyone_on_kagent, agent)).message == ""


@pytest.mark.parametrize("attack", FIELDS)
async def test_a_field_that_escalates_is_refused(everyone_on_kagent: Everybody, attack: str) -> None:
    answer = await _try(everyone_on_kagent, with_changes(subagent(fresh_id()), FIELDS[attack]))

    assert (answer.status, answer.policy) == (422, SHAPE), answer.message


@pytest.mark.parametrize("depth", ["1", "2"])
async def test_a_subagent_with_depth_left_shows_its_own_credential_to_this_server(
    everyone_on_kagent: Everybody, depth: str
) -> None:
    agent = spawning(fresh_id(), depth)

    answer = await _try(everyone_on_kagent, agent)

    assert (answer.status, answer.message) == (201, "")
    assert answer.body["spec"] == agent["spec"]


@pytest.mark.parametrize("attack", HEADERS)
async def test_a_header_that_shows_anything_else_is_refused(everyone_on_kagent: Everybody, attack: str) -> None:
    answer = await _try(everyone_on_kagent, HEADERS[attack](spawning(fresh_id())))

    assert (answer.status, answer.policy) == (422, SHAPE), answer.message


@pytest.mark.parametrize("depth", ["0", None])
async def test_without_depth_left_the_tools_of_this_server_are_refused(
    everyone_on_kagent: Everybody, depth: str | None
) -> None:
    bare = with_changes(subagent(fresh_id()), {"spec.declarative.tools": [tool("agentspawn")]})
    armed = [with_changes(agent, {DEPTH: depth}) for agent in (spawning(fresh_id()), bare)]

    assert [(await _try(everyone_on_kagent, agent)).policy for agent in armed] == [SHAPE, SHAPE]


@pytest.mark.parametrize("attack", SINCE_0_10)
async def test_a_field_that_escalates_since_0_10_is_refused(
    everyone_on_kagent: Everybody, kagent_version: str, attack: str
) -> None:
    answer = await _try(everyone_on_kagent, with_changes(subagent(fresh_id()), SINCE_0_10[attack]))

    if kagent_version == "0.9.12":
        assert (answer.status, "unknown field" in answer.message) == (400, True)
    else:
        assert (answer.status, answer.policy) == (422, SHAPE), answer.message


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_that_others_bear_is_refused(everyone_on_kagent: Everybody, name: str) -> None:
    answer = await _try(everyone_on_kagent, subagent(name))

    assert answer.status == 422
    assert answer.policy == SHAPE or "metadata.name" in answer.message


async def test_a_large_agent_is_judged_in_time(everyone_on_kagent: Everybody) -> None:
    """20 servers with 50 tools each, in 900 KB: the expressions stay within the API server's budget."""
    tools = [tool(f"server-{number}", toolNames=[f"tool-{other}" for other in range(50)]) for number in range(20)]
    large = {"spec.declarative.tools": tools, "spec.declarative.systemMessage": "x" * 900_000}

    accepted = await _try(everyone_on_kagent, with_changes(subagent(fresh_id()), large))
    tools[19]["mcpServer"]["toolNames"][49] = ""
    refused = await _try(everyone_on_kagent, with_changes(subagent(fresh_id()), large))

    assert (accepted.message, refused.policy) == ("", SHAPE)


async def test_the_api_server_finds_nothing_wrong_with_the_policies(everyone_on_kagent: Everybody) -> None:
    for name in POLICIES:
        checked = await type_checked(everyone_on_kagent, name)

        assert checked == {}, name


async def test_the_api_server_would_find_a_misspelled_field(everyone_on_kagent: Everybody) -> None:
    """Not a test of the API server: it shows that the expressions are written so that it can look into them."""
    policy, _ = manifests_of(DEPLOY / "31-policy-shape.yaml")
    text = {"toolNames": "toolNamez", "compaction": "compactionz", "skills": "skillz", "modelConfig": "modelConfigz"}
    for right, wrong in text.items():
        broken = _misspelled(policy, f".?{right}", f".?{wrong}")
        assert (await everyone_on_kagent.administrator.apply(broken)).status in {200, 201}

        assert "expressionWarnings" in await type_checked(everyone_on_kagent, "test-misspelled"), right
    await everyone_on_kagent.administrator.delete(broken)


def _misspelled(policy: Manifest, right: str, wrong: str) -> Manifest:
    validations = [
        {**validation, "expression": validation["expression"].replace(right, wrong)}
        for validation in policy["spec"]["validations"]
    ]
    assert validations != policy["spec"]["validations"]
    spec = {**policy["spec"], "validations": validations}
    return named(policy["apiVersion"], policy["kind"], "test-misspelled", "", spec=spec)


async def test_operators_shape_their_own(everyone_on_kagent: Everybody) -> None:
    agent = with_changes(subagent(fresh_id()), FIELDS["another account"])

    assert (await everyone_on_kagent.operator.create(agent, dryRun="All")).status == 201
