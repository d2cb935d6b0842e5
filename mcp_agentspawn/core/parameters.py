"""What a template's `parameters` may be: a JSON Schema 2020-12 for an object of scalars, and nothing that nests.

Keywords are an allow-list: JSON Schema ignores those it does not know, and a misspelt bound would bound nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, field_validator, model_validator
from pydantic_core import PydanticCustomError, SchemaValidator, core_schema
from pydantic_core import SchemaError as PatternError
from pydantic_core import ValidationError as Unmatched

from mcp_agentspawn.core.placeholders import NAME
from mcp_agentspawn.core.strict import Strict

Number = int | float
Count = Annotated[int, Field(ge=0)]


@lru_cache(1024)
def _compiled(pattern: str) -> SchemaValidator:
    """Searches in linear time (Rust's regex): with Python's `re` a few words of a caller can stop the server."""
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))


def _matched(_: Any, pattern: str, value: object, __: Any) -> Iterator[ValidationError]:
    try:
        _compiled(pattern).validate_python(value)
    except Unmatched:
        yield ValidationError("does not match the pattern")


ParameterValidator: type[Validator] = extend(Draft202012Validator, {"pattern": _matched})  # type: ignore[no-untyped-call] # the library is untyped here
"""JSON Schema 2020-12, but a `pattern` is matched in linear time, and so knows no look-around or back-reference."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Says which models know the keys of a field that stays a plain mapping."""

    models: tuple[type[BaseModel], ...]


class Parameter(Strict):
    """What every parameter may say.

    One that `narrows` can only become smaller down a tree: a child's number is at most its parent's, its yes needs
    its parent's yes, and its text is its parent's.
    """

    title: str = ""
    description: str = ""
    narrows: bool = False

    @field_validator("pattern", check_fields=False)
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            _compiled(value)
        except PatternError as error:
            raise ValueError("this is no regular expression, or has look-around or back-references") from error
        return value


class StringParameter(Parameter):
    """Text. Without `enum` it is free text, and free text has a longest length.

    One with `from_registry` is never given by a caller: it is filled with that part of a registry entry.
    """

    type: Literal["string"]
    min_length: Count = Field(default=0, alias="minLength")
    max_length: Count | None = Field(default=None, alias="maxLength")
    pattern: str = ""
    enum: list[str] | None = Field(default=None, min_length=1)
    default: str = ""
    examples: list[str] = Field(default_factory=list)
    from_registry: Literal["instructions", "image"] | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.enum is None and self.max_length is None:
            raise PydanticCustomError("unbounded", "free text needs maxLength (or enum)")
        if self.from_registry and (self.enum is not None or "default" in self.model_fields_set or self.narrows):
            raise PydanticCustomError("filled", "what a registry entry fills has no enum, default or narrows")
        return self


class NumberParameter(Parameter):
    """A number; `integer` has only whole ones."""

    type: Literal["integer", "number"]
    minimum: Number | None = None
    maximum: Number | None = None
    exclusive_minimum: Number | None = Field(default=None, alias="exclusiveMinimum")
    exclusive_maximum: Number | None = Field(default=None, alias="exclusiveMaximum")
    multiple_of: Number | None = Field(default=None, alias="multipleOf")
    enum: list[Number] | None = Field(default=None, min_length=1)
    default: Number = 0
    examples: list[Number] = Field(default_factory=list)


class BooleanParameter(Parameter):
    """Yes or no."""

    type: Literal["boolean"]
    default: bool = False
    examples: list[bool] = Field(default_factory=list)


KINDS: Mapping[object, type[Parameter]] = {
    "string": StringParameter,
    "integer": NumberParameter,
    "number": NumberParameter,
    "boolean": BooleanParameter,
}


def _parameter(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"type must be one of {', '.join(map(str, KINDS))}: parameters are scalars")
    KINDS[kind].model_validate(schema)
    _check_schema(schema)
    validator = ParameterValidator(schema)
    for word, values in (("default", [schema.get("default")]), ("examples", schema.get("examples", []))):
        if word in schema and not all(map(validator.is_valid, values)):
            raise ValueError(f"{word} does not fit the parameter's own schema")
    return schema


def _check_schema(schema: Mapping[str, Any]) -> None:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = ".".join(map(str, error.absolute_path))
        raise ValueError(f"not valid in JSON Schema 2020-12, see {where}") from error


ParameterName = Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
ParameterSchema = Annotated[dict[str, Any], Keys(tuple(KINDS.values())), AfterValidator(_parameter)]


class ParametersSchema(Strict):
    """The schema of all parameters together; what is not listed is refused."""

    type: Literal["object"]
    properties: dict[ParameterName, ParameterSchema] = Field(default_factory=dict)
    required: list[str] = Field(default_factory=list)
    additional_properties: Literal[False] = Field(default=False, alias="additionalProperties")

    @field_validator("required")
    @classmethod
    def _are_there(cls, required: list[str], info: Any) -> list[str]:
        unknown = sorted(set(required) - set(info.data.get("properties", required)))
        if unknown or len(set(required)) != len(required):
            raise ValueError("each name must be one of properties, once")
        return required


def _parameters(schema: dict[str, Any]) -> dict[str, Any]:
    ParametersSchema.model_validate(schema)
    return schema


Parameters = Annotated[dict[str, Any], Keys((ParametersSchema,)), AfterValidator(_parameters)]


def is_free_text(schema: Mapping[str, Any]) -> bool:
    """Whether a parameter is text that anybody may have written: it arrives in a fence, on lines of its own.

    An image is none: the guard `registry` lets nothing but a repository and a digest through.
    """
    return schema["type"] == "string" and "enum" not in schema and schema.get("from_registry") != "image"


def example(schema: Mapping[str, Any]) -> str | float | bool:
    """A value to try a template with; it fits the schema unless only a `pattern` says what fits."""
    candidates = [*schema.get("examples", []), *_defaults(schema), *schema.get("enum", []), *_plain(schema)]
    validator = ParameterValidator(schema)
    fitting: list[str | float | bool] = [value for value in candidates if validator.is_valid(value)]
    return fitting[0] if fitting else candidates[-1]


def _defaults(schema: Mapping[str, Any]) -> list[Any]:
    return [schema["default"]] if "default" in schema else []


def _plain(schema: Mapping[str, Any]) -> list[Any]:
    if schema["type"] == "string":
        most = schema.get("maxLength", len("example"))
        return ["example"[:most].ljust(schema.get("minLength", 0), ".")]
    if schema["type"] == "boolean":
        return [False]
    low, step = schema.get("exclusiveMinimum", 0), schema.get("multipleOf", 1)
    return [schema.get("minimum", 0), schema.get("maximum", 0), low + step, step, 0]
