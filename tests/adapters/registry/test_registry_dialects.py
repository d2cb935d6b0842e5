import copy
from typing import Any

import pytest

from mcp_agentspawn.adapters.registry.dialects import dialect_of, items_of, version_of
from mcp_agentspawn.adapters.registry.envelopes import Companions, Reference, one_line
from mcp_agentspawn.adapters.registry.failures import ReadingFailed
from mcp_agentspawn.adapters.registry.items import MOST_DEPTH, MOST_TOOL_SERVERS, Dialect
from mcp_agentspawn.adapters.registry.texts import Unreadable
from mcp_agentspawn.core.registry import (
    MOST_DESCRIPTION_CHARACTERS,
    MOST_INSTRUCTIONS_CHARACTERS,
    MOST_LABEL_CHARACTERS,
    MOST_LABELS,
    MOST_SKILLS,
    MOST_TITLE_CHARACTERS,
    RegistryEntry,
)
from tests.localplane.registry_samples import sample

PROMPT = Reference("team-a", "greeting", "latest")
REFERENCE = {"kind": "Prompt", "name": "greeting"}
COMPANIONS = Companions(
    prompts={PROMPT: "Greet people.", Reference("shared", "greeting", "v2"): "Greet all."},
    skills={Reference("team-a", "review", "latest"): "Review: Reads changes."},
    servers={Reference("team-a", "fetch", "stable"): "Fetch: Gets pages."},
)


def envelope(spec: Any = None, **metadata: Any) -> dict[str, Any]:
    named = {"namespace": "team-a", "name": "greeter", "tag": "latest"} | metadata
    return {"kind": "Agent", "metadata": named, "spec": {} if spec is None else spec, "status": {}}


def legacy(**agent: Any) -> dict[str, Any]:
    return {"agent": {"name": "greeter", "version": "1.0.0", "image": ""} | agent, "_meta": {}}


def read(item: Any, dialect: Dialect = "v0.4") -> RegistryEntry:
    found = version_of("acme", item, dialect, COMPANIONS)
    assert found is not None
    return found.entry


def test_the_dialect_is_told_from_the_answer() -> None:
    kagent: list[dict[str, Any]] = [legacy(agentType="BYO"), legacy() | {"_meta": {"deployment": {}}}]

    assert dialect_of({"items": []}) == "v0.4"
    assert dialect_of({"agents": []}) == "v0.3"
    assert dialect_of({"agents": [legacy(), None]}) == "v0.3"
    for item in kagent:
        assert dialect_of({"agents": [legacy(), item]}) == "inventory"


@pytest.mark.parametrize("page", [None, [], "items", {}, {"items": {}}, {"agents": None}, {"servers": []}])
def test_what_lists_no_agents_is_no_dialect(page: Any) -> None:
    with pytest.raises(ReadingFailed) as failed:
        dialect_of(page)

    assert failed.value.code == "registry.dialect"


@pytest.mark.parametrize("page", [[], {"agents": []}, {"items": "none"}])
def test_a_later_page_of_another_dialect_is_refused(page: Any) -> None:
    with pytest.raises(ReadingFailed) as failed:
        items_of(page, "v0.4")

    assert failed.value.code == "registry.dialect"


def test_a_recorded_entry_is_read_as_what_it_is() -> None:
    entry = read(sample("list-all-page1")["body"]["items"][2])

    assert str(entry.handle).startswith("acme/default/log-analyst@latest#sha256:")
    assert (entry.title, entry.description) == ("Log Analyst", "Reads Loki logs and explains error spikes")
    assert entry.labels == {"capability": "logs", "team": "sre"}
    assert (entry.form, entry.image, entry.protocol) == ("image", "registry.example/log-analyst:1.0", "A2A")


def test_an_entry_of_instructions_holds_its_prompt() -> None:
    for reference, said in (
        (REFERENCE, "Greet people."),
        (REFERENCE | {"namespace": "shared", "tag": "v2"}, "Greet all."),
    ):
        entry = read(envelope({"instructions": reference}))

        assert (entry.form, entry.instructions, entry.missing_prompt) == ("declarative", said, False)


def test_an_entry_without_its_prompt_says_so() -> None:
    entry = read(envelope({"instructions": REFERENCE | {"tag": "v9"}}))

    assert (entry.form, entry.instructions, entry.missing_prompt) == ("declarative", "", True)


def test_an_image_is_the_form_whatever_else_there_is() -> None:
    source = {"image": "registry.example/greeter:1", "protocol": "HTTP"}
    entry = read(envelope({"source": source, "instructions": REFERENCE}))

    assert (entry.form, entry.protocol) == ("image", "HTTP")


def test_source_code_alone_is_no_form() -> None:
    assert read(envelope({"source": {"repository": {"url": "https://git.example/greeter"}}})).form == "other"


def test_what_it_uses_is_named_and_told() -> None:
    servers = [{"kind": "MCPServer", "name": "fetch", "tag": "stable"}, {"kind": "MCPServer", "name": "unknown"}]
    entry = read(envelope({"mcpServers": servers, "skills": [{"name": "review"}, {"name": "other"}]}))

    assert entry.tool_servers == ("fetch", "unknown")
    assert entry.skills == ("Review: Reads changes.", "other", "Fetch: Gets pages.")


def test_headers_of_an_mcp_server_are_not_kept() -> None:
    spec = {"description": "Gets pages.", "remote": {"headers": [{"name": "Authorization", "value": "secret"}]}}

    assert one_line(envelope(spec)) == "greeter: Gets pages."


def test_an_entry_that_is_about_to_go_is_left_out() -> None:
    assert version_of("acme", envelope(deletionTimestamp="2026-11-21T05:00:00Z"), "v0.4", COMPANIONS) is None


def test_no_namespace_is_the_default_one() -> None:
    item = envelope()
    del item["metadata"]["namespace"]

    assert read(item).namespace == "default"


CHANGES: dict[str, dict[str, Any]] = {
    "its description": envelope({"description": "b", "instructions": REFERENCE}),
    "a key that nobody knows": envelope({"description": "a", "instructions": REFERENCE, "new": 1}),
    "a label": envelope({"description": "a", "instructions": REFERENCE}, labels={"team": "b"}),
    "its prompt": envelope({"description": "a", "instructions": REFERENCE | {"tag": "v9"}}),
}


@pytest.mark.parametrize("item", CHANGES.values(), ids=CHANGES)
def test_whatever_matters_changes_the_hash(item: dict[str, Any]) -> None:
    before = envelope({"description": "a", "instructions": REFERENCE})

    assert read(item).hash != read(before).hash


def test_the_content_of_a_prompt_changes_the_hash() -> None:
    item = envelope({"instructions": REFERENCE})
    changed = version_of("acme", item, "v0.4", Companions({PROMPT: "Greet nobody."}))

    assert changed is not None
    assert changed.entry.hash != read(item).hash


def test_when_it_was_written_changes_no_hash() -> None:
    moved = envelope(updatedAt="2026-11-21T05:00:00Z", uid="another", labels=None) | {"status": {"seen": 1}}

    assert read(moved).hash == read(envelope()).hash


def test_an_agent_of_old_is_an_image() -> None:
    item = legacy(
        name="io.example/greeter",
        image="registry.example/greeter:1",
        mcpServers=[{"type": "remote", "name": "fetch", "headers": ["Authorization: secret"]}],
        skills=[{"name": "review", "description": "Reads changes."}],
    )
    entry = read(item, "v0.3")

    assert str(entry.handle).startswith("acme/default/io.example/greeter@1.0.0#sha256:")
    assert (entry.form, entry.image) == ("image", "registry.example/greeter:1")
    assert (entry.tool_servers, entry.skills) == (("fetch",), ("review: Reads changes.",))


@pytest.mark.parametrize(("latest", "tag"), [(True, "1.0.0"), (False, "latest")])
def test_the_latest_of_old_is_what_the_registry_says(latest: bool, tag: str) -> None:
    item = legacy(version=tag) | {"_meta": {"io.modelcontextprotocol.registry/official": {"isLatest": latest}}}
    found = version_of("acme", item, "v0.3", COMPANIONS)

    assert found is not None
    assert found.latest


def test_a_deleted_agent_of_old_is_left_out() -> None:
    item = legacy() | {"_meta": {"io.modelcontextprotocol.registry/official": {"status": "deleted"}}}

    assert version_of("acme", item, "v0.3", COMPANIONS) is None


KAGENT = {
    "agentType": "Declarative",
    "systemMessage": "Greet people.",
    "tools": [{"type": "McpServer", "name": "fetch"}, {"type": "Agent", "name": "other"}],
    "skills": ["registry.example/skills/review:1"],
}


def test_the_inventory_holds_the_instructions_itself() -> None:
    entry = read(legacy(**KAGENT), "inventory")

    assert (entry.form, entry.instructions, entry.tool_servers) == ("declarative", "Greet people.", ("fetch",))
    assert entry.skills == ("registry.example/skills/review:1",)


@pytest.mark.parametrize(
    ("agent", "form"),
    [
        ({"agentType": "BYO", "image": "a:1"}, "image"),
        ({"agentType": "BYO", "image": "a:1", "systemMessage": "Greet."}, "image"),
        ({"agentType": "Declarative", "image": "a:1", "systemMessage": "Greet."}, "declarative"),
        ({"systemMessage": "Greet."}, "declarative"),
        ({"agentType": "Declarative"}, "other"),
    ],
)
def test_the_inventory_says_what_an_agent_is(agent: dict[str, Any], form: str) -> None:
    assert read(legacy(**agent), "inventory").form == form


@pytest.mark.parametrize(
    ("deployment", "running"),
    [
        ({"namespace": "kagent", "serviceName": "greeter-1", "ready": True}, "kagent/greeter-1"),
        ({"namespace": "kagent", "ready": True}, "kagent/greeter"),
        ({"namespace": "kagent", "ready": False}, ""),
        ({"namespace": "kagent", "ready": "true"}, ""),
        ({"ready": True}, ""),
        (None, ""),
    ],
)
def test_what_runs_and_is_ready_is_known(deployment: Any, running: str) -> None:
    item = legacy() | {"_meta": {"deployment": deployment}}

    assert read(item, "inventory").running == running
    assert read(item, "inventory").hash == read(legacy(), "inventory").hash


def deep(levels: int) -> Any:
    return [deep(levels - 1)] if levels else []


UNREADABLE: dict[str, Any] = {
    "no object": "greeter",
    "nothing": None,
    "a namespace that is none": envelope(namespace={}),
    "a tag that is none": envelope(tag=0),
    "no name": {"metadata": {}, "spec": {}},
    "no spec": {"metadata": {"name": "greeter"}},
    "a spec that is none": envelope([]),
    "labels that are none": envelope(labels=["team"]),
    "a label that is none": envelope(labels={"team": 7}),
    "a name that leads elsewhere": envelope(name="../../admin"),
    "a name of two lines": envelope(name="greeter\n"),
    "a tag of two words": envelope(tag="la test"),
    "a namespace in capitals": envelope(namespace="TEAM"),
    "a title that is none": envelope({"title": 7}),
    "a prompt that is none": envelope({"instructions": "Greet."}),
    "a prompt without a name": envelope({"instructions": {"kind": "Prompt"}}),
    "servers that are none": envelope({"mcpServers": {}}),
    "a server of two words": envelope({"mcpServers": [{"name": "a b"}]}),
    "too many servers": envelope({"mcpServers": [{"name": f"s{n}"} for n in range(MOST_TOOL_SERVERS + 1)]}),
    "an image of two lines": envelope({"source": {"image": "a\nb"}}),
    "an image without an end": envelope({"source": {"image": "a" * 600}}),
    "half a character": envelope({"description": "\ud800"}),
    "a number without an end": envelope({"size": 2**60}),
    "no number": envelope({"size": float("inf")}),
    "lists in lists": envelope({"deep": deep(MOST_DEPTH)}),
}


@pytest.mark.parametrize("item", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_not_as_it_should_be_is_unreadable(item: Any) -> None:
    with pytest.raises(Unreadable):
        read(item)


@pytest.mark.parametrize("content", [7, "x" * (MOST_INSTRUCTIONS_CHARACTERS + 1)], ids=["number", "long"])
def test_a_prompt_that_can_not_be_taken_as_it_is_makes_its_entry_unreadable(content: Any) -> None:
    with pytest.raises(Unreadable):
        version_of("acme", envelope({"instructions": REFERENCE}), "v0.4", Companions({PROMPT: content}))


@pytest.mark.parametrize(
    "item", [None, {"agent": None}, legacy(name=7), legacy(version="a b"), legacy(version=0), legacy(skills={})]
)
def test_an_agent_of_old_may_be_unreadable_too(item: Any) -> None:
    with pytest.raises(Unreadable):
        read(item, "v0.3")


@pytest.mark.parametrize(
    "item",
    [legacy(systemMessage=["a"]), legacy(tools=["fetch"]), legacy() | {"_meta": {"deployment": "kagent"}}],
)
def test_an_agent_of_the_inventory_may_be_unreadable_too(item: Any) -> None:
    with pytest.raises(Unreadable):
        read(item, "inventory")


def test_what_nobody_can_see_is_written_out() -> None:
    spec = {"title": "a\u202eb", "description": "one\n\ttwo\u200b\x1b[31m", "skills": [{"name": "review"}]}
    entry = read(envelope(spec, labels={"te\u200bam": "a\nb"}))

    assert entry.title == r"a\u{202e}b"
    assert entry.description == r"one two\u{200b}\u{1b}[31m"
    assert entry.labels == {r"te\u{200b}am": r"a\u{a}b"}


def test_instructions_are_never_altered() -> None:
    said = " Greet\u202e people.\n\n\x00 "
    found = version_of("acme", envelope({"instructions": REFERENCE}), "v0.4", Companions({PROMPT: said}))

    assert found is not None
    assert found.entry.instructions == said


def test_everything_is_bounded() -> None:
    labels = {f"label-{number:03}": "x" for number in range(100)} | {"a": "x" * (MOST_LABEL_CHARACTERS + 1)}
    skills = [{"name": f"skill-{number}"} for number in range(100)]
    spec = {
        "title": "t" * 10_000,
        "description": "d\u202e" * 10_000,
        "skills": skills,
        "source": {"protocol": "p" * 99},
    }
    entry = read(envelope(spec, labels=labels))

    assert (len(entry.title), entry.title[-1]) == (MOST_TITLE_CHARACTERS, "…")
    assert len(entry.description) == MOST_DESCRIPTION_CHARACTERS
    assert (len(entry.labels), "a" in entry.labels) == (MOST_LABELS, False)
    assert len(entry.skills) == MOST_SKILLS
    assert len(entry.protocol) < len("p" * 99)


def test_an_entry_is_read_without_being_changed() -> None:
    item = envelope({"instructions": REFERENCE, "mcpServers": [{"name": "fetch"}]}, labels={"team": "a"})
    before = copy.deepcopy(item)
    read(item)

    assert item == before
