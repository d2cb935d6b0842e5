"""What lies there, what RBAC says, whose a credential is, what time it is, and whether the world is ready."""

from datetime import timedelta

import pytest

from mcp_agentspawn.core.errors import Missing
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.ports import Account
from tests.contracts.stages import Stage, fresh, manifest
from tests.localplane.waiting import until

HOME = "subagents"


async def test_a_model_that_lies_there_is_listed(stage: Stage) -> None:
    name = fresh("model")
    assert name not in await stage.world.inventory.models(HOME)

    await stage.put_model(name)

    assert name in await stage.world.inventory.models(HOME, fresh=True)
    assert name in await stage.world.inventory.models(HOME)


async def test_a_tool_is_listed_once_its_server_was_seen_to_offer_it(stage: Stage) -> None:
    seen, unseen = fresh("server"), fresh("server")
    assert seen not in await stage.world.inventory.tools(HOME)

    await stage.put_server(seen, ["search", "fetch"])
    await stage.put_server(unseen, [])

    tools = await stage.world.inventory.tools(HOME, fresh=True)
    assert (tools[seen], tools[unseen]) == (frozenset({"search", "fetch"}), frozenset())
    assert (await stage.world.inventory.tools(HOME))[seen] == {"search", "fetch"}


async def test_a_manifest_that_fits_has_no_violations(stage: Stage) -> None:
    assert list(await stage.world.inventory.violations(manifest(stage.root, fresh()))) == []


async def test_every_violation_is_named_with_its_path(stage: Stage) -> None:
    tool = {"type": "McpServer", "mcpServer": {"name": "web-search", "toolNames": ["search"], "secret": "my-secret"}}
    wrong = manifest(
        stage.root,
        fresh(),
        unknown={"deep": 1},
        declarative={"systemMessage": 1, "modelConfig": "m", "tools": [tool], "runtime": "my-secret"},
    )

    found = await stage.world.inventory.violations(wrong)

    assert [violation.path for violation in found] == [
        "spec.declarative.runtime",
        "spec.declarative.systemMessage",
        "spec.declarative.tools[0].mcpServer.secret",
        "spec.unknown",
    ]
    assert not any("my-secret" in violation.message for violation in found)


async def test_another_schema_has_another_hash_and_the_same_one_the_same(stage: Stage) -> None:
    first = await stage.world.inventory.schema_hash()
    assert await stage.replica.inventory.schema_hash() == first

    await stage.change_schema()

    async def seen_by_both() -> bool:
        mine, theirs = [await world.inventory.schema_hash() for world in (stage.world, stage.replica)]
        return first != mine == theirs

    await until(seen_by_both)
    assert first.startswith("sha256:")


async def test_a_root_may_use_what_it_was_granted_and_nothing_else(stage: Stage) -> None:
    granted, other = fresh("template"), fresh("template")
    await stage.grant(stage.root, granted)

    access = stage.world.access
    assert await access.may_use(stage.root, granted)
    assert not await access.may_use(stage.root, other)
    assert not await access.may_use(stage.other, granted)
    assert not await access.may_use(stage.unknown_root(), granted)
    assert not await access.may_use(stage.root, "")


async def test_a_credential_tells_whose_it_is(stage: Stage) -> None:
    account = fresh("account")

    found = await stage.world.tokens.caller(await stage.token("agents", account))

    assert found is not None
    assert found.uid
    assert found == Account("agents", account, found.uid)


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "ü", "a\nb", "x" * 100_000])
async def test_anything_else_is_nobodys(stage: Stage, token: str) -> None:
    assert await stage.world.tokens.caller(token) is None


async def test_the_uid_of_an_account_is_the_one_that_its_credential_tells(stage: Stage) -> None:
    account = fresh("account")
    found = await stage.world.tokens.caller(await stage.token("agents", account))

    assert found is not None
    assert await stage.person.account_uid(Root("agents", account, HOME)) == found.uid


async def test_an_account_that_is_not_there_has_no_uid(stage: Stage) -> None:
    for account in (fresh("account"), "..", "a/token", "A B"):
        with pytest.raises(Missing):
            await stage.person.account_uid(Root("agents", account, HOME))


async def test_a_person_is_told_by_what_name_they_are_known(stage: Stage) -> None:
    assert await stage.person.whoami() == stage.person_name


async def test_the_time_is_in_utc(stage: Stage) -> None:
    assert stage.world.clock.now().utcoffset() == timedelta()


async def test_a_world_with_its_rules_in_place_is_ready(stage: Stage) -> None:
    assert list(await stage.world.problems()) == []
