from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from mcp_agentspawn.core.template import Template, duration
from tests.builders import RESEARCHER, image_template, template, worker


def changed(path: str, value: Any) -> dict[str, Any]:
    document = deepcopy(RESEARCHER)
    *parents, last = path.split(".")
    place: Any = document
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = value
    return document


def refusals(document: Any) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        Template.named("researcher", document)
    return [".".join(map(str, error["loc"])) for error in refused.value.errors()]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("4h", 14400), ("1d", 86400), ("007m", 420), ("999999s", 999999)]
)
def test_a_duration_is_a_whole_number_and_a_unit(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "30", "m", "0m", "-1m", "1.5h", "1h30m", " 1h", "1h\n", "1w", "1H", "٣m", "9999999s", 30, None, True]
)
def test_anything_else_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="90s, 30m, 4h or 1d"):
        duration(text)


def test_a_template_bears_the_name_of_its_file() -> None:
    assert template("log-analyst").name == "log-analyst"
    assert Template.model_validate(RESEARCHER).name == ""


def test_the_hash_follows_the_document_and_nothing_else() -> None:
    reordered = dict(reversed(RESEARCHER.items()))

    assert Template.named("other", reordered).hash == template().hash
    assert template(description="Another sentence.").hash != template().hash
    assert template().hash.startswith("sha256:")


def test_a_template_that_was_validated_once_stays_itself() -> None:
    one = template()

    assert Template.model_validate(one) is one


def test_what_is_not_named_is_not_given() -> None:
    small = {key: RESEARCHER[key] for key in ("description", "risk", "lifetime", "models")}
    bare = Template.named("bare", small | {"agent": {"description": "Does it", "instructions": "Do it."}})

    assert (dict(bare.tools), bare.parameters["properties"], bare.agent.skills, bare.agent.compaction) == (
        {},
        {},
        (),
        None,
    )


def test_nothing_of_it_can_be_set() -> None:
    with pytest.raises(ValidationError):
        template().risk = "high"  # type: ignore[misc]  # what is shown here


@pytest.mark.parametrize("key", ["description", "risk", "lifetime", "models", "agent"])
def test_what_makes_a_template_must_be_there(key: str) -> None:
    assert refusals({name: value for name, value in RESEARCHER.items() if name != key}) == [key]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "x"),
        ("hash", "x"),
        ("description", ""),
        ("description", "For ${language}"),
        ("description", "x" * 501),
        ("keywords", ["a", "a"]),
        ("keywords", ["${language}"]),
        ("keywords", [""]),
        ("keywords", "research"),
        ("risk", "none"),
        ("lifetime.default", "5h"),
        ("lifetime.most", "25h"),
        ("lifetime.most", "2d"),
        ("lifetime.most", "0m"),
        ("lifetime.least", "1m"),
        ("models", []),
        ("models", None),
        ("models", ["*"]),
        ("models", ["a", "a"]),
        ("models", ["a\n"]),
        ("tools.web-search.allow", []),
        ("tools.web-search.allow", None),
        ("tools.web-search.allow", ["*"]),
        ("tools.web-search.allow", ["search", "fetch", "fetch"]),
        ("tools.web-search.default", ["delete"]),
        ("tools.web-search.ask_first", ["delete"]),
        ("tools.web-search.deny", []),
        ("tools.a/b", {"allow": ["x"]}),
        ("agent.instructions", " \n"),
        ("agent.instructions", "x" * 65537),
        ("agent.image", "x"),
        ("agent.skills.0.id", "${language}"),
        ("agent.skills.0.tags", ["${language}"]),
        ("agent.compaction.after_tokens", 0),
        ("agent.compaction.after_tokens", "12000"),
        ("agent.compaction.keep_events", -1),
    ],
)
def test_a_wrong_value_is_refused_where_it_stands(path: str, value: Any) -> None:
    named = {"lifetime.default": "lifetime.most", "tools.a/b": "tools.a/b.[key]"}.get(path, path)
    places = refusals(changed(path, value))

    assert places
    assert all(place == named or place.startswith(f"{named}.") for place in places)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("agent.instructions", "About ${topic}."),
        ("agent.instructions", "${topic} ${topic}"),
        ("agent.instructions", "${topic}${language}"),
        ("agent.instructions", "Fine\n- ${topic}\n"),
        ("agent.instructions", "${missing}"),
        ("agent.instructions", "${ topic }"),
        ("agent.instructions", "${top\nic}"),
        ("agent.description", "${topic}"),
        ("agent.description", "${missing}"),
        ("agent.skills.0.name", "${topic}"),
        ("agent.skills.0.description", "${notes}"),
    ],
)
def test_a_placeholder_that_may_not_stand_there_is_refused(path: str, text: str) -> None:
    assert set(refusals(changed(path, text))) == {path}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("agent.instructions", "  ${topic}\t\n${topic}"),
        ("agent.instructions", "In ${language}, ${depth}, ${share}, ${strict}; $${topic} as it is."),
        ("agent.description", "In ${language}"),
        ("agent.skills.0.name", "Research in ${language}"),
    ],
)
def test_free_text_stands_alone_and_the_rest_inline(path: str, text: str) -> None:
    assert Template.named("researcher", changed(path, text)).hash


def test_every_misplaced_placeholder_is_named_with_its_line() -> None:
    with pytest.raises(ValidationError) as refused:
        template(agent={"description": "Does it", "instructions": "${a}\nfine\n x ${topic} ${b}\n"})

    assert [error["ctx"]["line"] for error in refused.value.errors()] == [0, 2, 2]


def test_placeholders_are_judged_although_something_else_is_wrong() -> None:
    document = changed("agent.description", "${missing}") | {"risk": "none"}

    assert set(refusals(document)) == {"risk", "agent.description"}


def test_with_broken_parameters_placeholders_are_not_guessed_at() -> None:
    assert set(refusals(changed("parameters.properties.topic", {"type": "list"}))) == {"parameters.properties.topic"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**60])
def test_a_document_without_canonical_json_is_refused(value: float) -> None:
    assert refusals(changed("parameters.properties.share", {"type": "number", "examples": [value]})) == [""]


def test_the_servers_own_tools_are_given_by_depth_and_not_by_name() -> None:
    spawning = {"agentspawn": {"allow": ["propose_subagent"]}}

    assert set(refusals(RESEARCHER | {"tools": spawning})) == {"tools"}


def test_depth_is_a_whole_number_within_the_hard_limit() -> None:
    assert [template(depth=depth).depth for depth in (0, 1, 2)] == [0, 1, 2]
    for beyond in (3, -1, None, "1", 1.0, True):
        assert refusals(RESEARCHER | {"depth": beyond}) == ["depth"]


def test_a_sensitive_tool_is_one_that_is_allowed() -> None:
    odd = {"web-search": {"allow": ["search"], "sensitive": ["fetch"]}}

    assert set(refusals(RESEARCHER | {"tools": odd})) == {"tools.web-search.sensitive"}


def test_a_duration_that_was_read_already_stays() -> None:
    assert duration(timedelta(minutes=5)) == timedelta(minutes=5)


def test_a_template_takes_the_entries_whose_part_fills_it() -> None:
    assert (template().takes, dict(template().filled)) == (None, {})
    assert (worker().takes, dict(worker().filled)) == ("declarative", {"role": "instructions"})
    assert (image_template().takes, dict(image_template().filled)) == ("image", {"image": "image"})
    assert (image_template().default_model, worker().default_model) == ("", "default-model-config")


FILLED = {"type": "string", "maxLength": 512, "from_registry": "image"}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"depth": 1}, "agent"),
        ({"models": ["default-model-config"]}, "models"),
        ({"tools": {"web-search": {"allow": ["search"]}}}, "tools"),
        ({"agent": {"description": "x", "image": "${image}", "instructions": "x"}}, "agent.image"),
        ({"agent": {"description": "x"}}, "agent.image"),
        ({"agent": {"description": "x", "image": "registry.example/a@sha256:0"}}, "agent.image"),
        ({"agent": {"description": "x", "image": "${image}", "skills": RESEARCHER["agent"]["skills"]}}, "agent.skills"),
        (
            {
                "agent": {
                    "description": "x",
                    "image": "${image}",
                    "compaction": {"after_tokens": 9999, "keep_events": 1},
                }
            },
            "agent.compaction",
        ),
        ({"parameters": {"type": "object", "properties": {"image": FILLED, "other": FILLED}}}, "agent.image"),
        (
            {"parameters": {"type": "object", "properties": {"image": {"type": "string", "maxLength": 9}}}},
            "agent.image",
        ),
    ],
)
def test_an_image_is_filled_by_an_entry_and_is_nothing_else(change: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as refused:
        image_template(**change)

    assert [".".join(map(str, error["loc"])) for error in refused.value.errors()] == [place]


ROLE = {"type": "string", "maxLength": 99, "from_registry": "instructions"}


@pytest.mark.parametrize(
    ("properties", "instructions"),
    [
        ({"role": ROLE}, "Do it."),
        ({"role": ROLE}, "Do it, $${role}.\n"),
        ({"role": ROLE, "other": ROLE}, "Do it.\n${role}\n${other}"),
        ({"image": FILLED, "role": ROLE}, ""),
    ],
)
def test_what_an_entry_says_arrives_and_once(properties: dict[str, Any], instructions: str) -> None:
    known = {"type": "object", "properties": properties}
    agent = (
        {"description": "x", "instructions": instructions}
        if instructions
        else {"description": "x", "image": "${image}"}
    )
    make = worker if instructions else image_template
    with pytest.raises(ValidationError) as refused:
        make(parameters=known, agent=agent)

    assert {".".join(map(str, error["loc"])) for error in refused.value.errors()} == {"agent.instructions"}


def test_a_template_of_instructions_has_no_image_in_them() -> None:
    with pytest.raises(ValidationError):
        template(parameters={"type": "object", "properties": {"image": FILLED}})
