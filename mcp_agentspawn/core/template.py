"""A template: an operator's blueprint of one kind of subagent, strict, frozen and hashed."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Self

from jsonschema.protocols import Validator
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from mcp_agentspawn.core.digest import digest_of
from mcp_agentspawn.core.model import Risk
from mcp_agentspawn.core.names import MOST_DEPTH, SPAWN_SERVER
from mcp_agentspawn.core.parameters import Parameters, ParameterValidator, is_free_text
from mcp_agentspawn.core.placeholders import placeholders
from mcp_agentspawn.core.registry import Form
from mcp_agentspawn.core.strict import Strict

MOST_LIFETIME = timedelta(hours=24)
DURATION = re.compile(r"([0-9]{1,6})([smhd])\Z", re.ASCII)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: object) -> timedelta:
    """Read `90s`, `30m`, `4h` or `1d`; what was read already stays. Raises `ValueError` for all else, zero included."""
    if isinstance(text, timedelta):
        return text
    parts = DURATION.match(text) if isinstance(text, str) else None
    if parts is None or int(parts[1]) == 0:
        raise ValueError("a duration is a whole number above 0 and a unit, as in 90s, 30m, 4h or 1d")
    return timedelta(**{UNITS[parts[2]]: int(parts[1])})


def _fixed(text: str) -> str:
    if "${" in text:
        raise ValueError("no placeholder can stand here: they are filled in the agent's texts only")
    return text


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ValueError(f"named more than once: {', '.join(repeated)}")
    return names


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("there must be text here")
    return text


Duration = Annotated[timedelta, BeforeValidator(duration)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$", max_length=253)]
Names = Annotated[tuple[Name, ...], Field(strict=False), AfterValidator(_once)]
Sentence = Annotated[str, StringConstraints(max_length=500), AfterValidator(_not_blank)]
FixedSentence = Annotated[Sentence, AfterValidator(_fixed)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_fixed)]
Words = Annotated[tuple[Word, ...], Field(strict=False), AfterValidator(_once)]


class Lifetime(Strict):
    """How long a subagent lives when nobody says, and at most.

    With `one_task` it is also retired as soon as its first task has ended.
    """

    default: Duration
    most: Duration
    one_task: bool = False

    @field_validator("most")
    @classmethod
    def _in_order(cls, most: timedelta, info: ValidationInfo) -> timedelta:
        if most > MOST_LIFETIME:
            raise ValueError("a subagent lives at most 24h")
        if info.data.get("default", most) > most:
            raise ValueError("most must not be shorter than default")
        return most


class ToolRule(Strict):
    """Tools of one RemoteMCPServer: what may be held, what is held when nobody says, what needs tool approval.

    Whoever asks for a `sensitive` one raises the risk of the whole proposal.
    """

    allow: Annotated[Names, Field(min_length=1)]
    default: Names = ()
    ask_first: Names = ()
    sensitive: Names = ()

    @field_validator("default", "ask_first", "sensitive")
    @classmethod
    def _allowed(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if unknown := [name for name in names if name not in info.data.get("allow", names)]:
            raise ValueError(f"not in allow: {', '.join(unknown)}")
        return names


class SkillText(Strict):
    """What the agent tells others that it can do (an A2A skill)."""

    id: Name
    name: Sentence
    description: Sentence
    tags: Words = ()


class CompactionRule(Strict):
    """When the agent's context is summarised: after so many tokens, keeping so many events."""

    after_tokens: int = Field(ge=1000, le=10_000_000)
    keep_events: int = Field(ge=0, le=10_000)


class AgentText(Strict):
    """The agent itself; the only place where placeholders stand.

    It has instructions, or it is an `image`: then the placeholder of a parameter that a registry entry fills.
    """

    description: Sentence
    instructions: Annotated[str, StringConstraints(max_length=65536), AfterValidator(_not_blank)] = ""
    image: Annotated[str, Field(validate_default=True)] = ""
    skills: Annotated[tuple[SkillText, ...], Field(strict=False, max_length=20)] = ()
    compaction: CompactionRule | None = None

    @field_validator("image")
    @classmethod
    def _one_kind(cls, image: str, info: ValidationInfo) -> str:
        if bool(image) == bool(info.data.get("instructions", not image)):
            raise ValueError("an agent has instructions or an image, and one of them")
        return image

    @field_validator("skills", "compaction")
    @classmethod
    def _instructed(cls, value: Any, info: ValidationInfo) -> Any:
        if value and info.data.get("image"):
            raise ValueError("this is an image's own business")
        return value


class Template(Strict):
    """One template file. What is not named is not given: no tools, no parameters, no depth.

    `depth` is how many generations an agent of this template may spawn itself.
    """

    description: FixedSentence
    keywords: Words = ()
    risk: Risk
    lifetime: Lifetime
    depth: int = Field(default=0, ge=0, le=MOST_DEPTH)
    parameters: Parameters = Field(default_factory=lambda: {"type": "object", "properties": {}})
    agent: AgentText
    models: Annotated[Names, Field(validate_default=True)] = ()
    tools: dict[Name, ToolRule] = Field(default_factory=dict)

    _name: str = PrivateAttr(default="")
    _hash: str = PrivateAttr(default="")

    @property
    def name(self) -> str:
        """The name of its file, without the ending."""
        return self._name

    @property
    def hash(self) -> str:
        """`sha256:` over the canonical JSON of the document as it was parsed."""
        return self._hash

    @cached_property
    def validator(self) -> Validator:
        """Says where a request's values do not fit the parameters; a name that is not there does not either."""
        return ParameterValidator({**self.parameters, "additionalProperties": False})

    @property
    def default_model(self) -> str:
        """The model when nobody says; `""` for an image, which has none here."""
        return self.models[0] if self.models else ""

    @property
    def takes(self) -> Form | None:
        """The form of the registry entries that it is filled with; `None` when it stands on its own."""
        if self.agent.image:
            return "image"
        return "declarative" if self.filled else None

    @cached_property
    def filled(self) -> Mapping[str, str]:
        """The parameters that a registry entry fills, and with which part of it."""
        properties = self.parameters.get("properties", {}).items()
        return {name: schema["from_registry"] for name, schema in properties if "from_registry" in schema}

    @classmethod
    def named(cls, name: str, document: Mapping[str, Any]) -> Self:
        """Validate a parsed document. Raises pydantic's `ValidationError`."""
        return cls.model_validate(document, context={"name": name})

    @field_validator("models")
    @classmethod
    def _has_models(cls, models: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        agent = info.data.get("agent")
        if agent is not None and bool(models) == bool(agent.image):
            raise ValueError("an image has no models here" if models else "name at least one")
        return models

    @field_validator("tools")
    @classmethod
    def _without_spawning(cls, tools: dict[str, ToolRule], info: ValidationInfo) -> dict[str, ToolRule]:
        if SPAWN_SERVER in tools:
            raise ValueError(f"{SPAWN_SERVER} is not named here: depth gives its tools")
        if tools and (agent := info.data.get("agent")) and agent.image:
            raise ValueError("an image has no tools here")
        return tools

    @field_validator("agent")
    @classmethod
    def _placeholders_fit(cls, agent: AgentText, info: ValidationInfo) -> AgentText:
        if agent.image and info.data.get("depth"):
            raise ValueError("an image has no depth: it could not be held to what it may spawn")
        if "parameters" in info.data:
            problems = list(_misplaced(agent, info.data["parameters"].get("properties", {})))
            if problems:
                raise ValidationError.from_exception_data("Template", problems)
        return agent

    @model_validator(mode="wrap")
    @classmethod
    def _stamped(cls, document: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        template = handler(document)
        if document is not template:
            template._name = (info.context or {}).get("name", "")  # noqa: SLF001 - its own, before anyone sees it
            template._hash = digest_of(document)  # noqa: SLF001 - the same
        return template


def _misplaced(agent: AgentText, properties: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    images = [name for name, schema in properties.items() if schema.get("from_registry") == "image"]
    if [agent.image] * bool(agent.image) != [f"${{{name}}}" for name in images]:
        yield _problem(("image",), "the placeholder of the one parameter with from_registry: image", None)
    yield from _dropped(
        agent, [name for name, schema in properties.items() if schema.get("from_registry") == "instructions"]
    )
    for number, line in enumerate(agent.instructions.split("\n")):
        yield from _objections(("instructions",), line, properties, number)
    yield from _objections(("description",), agent.description, properties)
    for index, skill in enumerate(agent.skills):
        yield from _objections(("skills", index, "name"), skill.name, properties)
        yield from _objections(("skills", index, "description"), skill.description, properties)


def _dropped(agent: AgentText, names: Sequence[str]) -> Iterator[InitErrorDetails]:
    """What an entry says must arrive, and once: people approve an agent that bears the entry's name."""
    if len(names) > 1:
        yield _problem(("instructions",), "only one parameter can have from_registry: instructions", None)
    for name in names:
        if f"${{{name}}}" not in map(str.strip, agent.instructions.split("\n")):
            yield _problem(
                ("instructions",), f"${{{name}}} is filled by a registry entry and stands nowhere here", None
            )


def _objections(
    where: tuple[str | int, ...], text: str, properties: Mapping[str, Any], line: int | None = None
) -> Iterator[InitErrorDetails]:
    try:
        names = placeholders(text)
    except ValueError as error:
        yield _problem(where, str(error), line)
        return
    for name in names:
        if name not in properties:
            yield _problem(where, f"${{{name}}} names no parameter", line)
        elif is_free_text(properties[name]) and (line is None or text.strip() != f"${{{name}}}"):
            place = "stands alone on a line of the instructions, nowhere else"
            yield _problem(where, f"${{{name}}} is free text: it {place}", line)


def _problem(where: tuple[str | int, ...], message: str, line: int | None) -> InitErrorDetails:
    """`line` counts from 0 inside the text; `None` where a text is one line."""
    error = PydanticCustomError("placeholder", "{message}", {"message": message, "line": line or 0})
    return InitErrorDetails(type=error, loc=where, input=None)
