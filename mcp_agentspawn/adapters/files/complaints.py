"""What pydantic says about a document, in plain words and with lines. Values are never repeated."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from mcp_agentspawn.adapters.files.problems import Path, Problem
from mcp_agentspawn.adapters.files.strict_yaml import Document
from mcp_agentspawn.core.parameters import Keys

WORDS = {
    "missing": "is missing",
    "string_type": "must be text (put it in quotes)",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be keys and values",
    "model_type": "must be keys and values",
    "model_attributes_type": "must be keys and values",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "greater_than": "must be more than {gt}",
    "less_than": "must be less than {lt}",
    "too_short": "must have {min_length} entries or more",
    "too_long": "must have {max_length} entries or fewer",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have {max_length} characters or fewer",
    "string_pattern_mismatch": "must match {pattern}",
    "value_error": "{error}",
}


def complaints(file: str, document: Document, model: type[BaseModel], error: ValidationError) -> Iterator[Problem]:
    """One problem for each error, but none about a value that strict YAML has refused already."""
    for detail in error.errors(include_url=False, include_input=False):
        path = tuple(part for part in detail["loc"] if part != "[key]")
        if not any(path[: len(refused)] == refused for refused in document.refused):
            line = _line(document, path, detail.get("ctx", {}))
            yield Problem(file, line, document.key_of(path), _message(model, document, path, detail))


def _line(document: Document, path: Path, context: dict[str, Any]) -> int:
    """The very line inside a block of text where the error says which."""
    if path in document.texts and "line" in context:
        return document.texts[path] + int(context["line"])
    return document.line_of(path)


def _message(model: type[BaseModel], document: Document, path: Path, detail: Any) -> str:
    if detail["type"] == "extra_forbidden":
        known = known_keys(model, path[:-1])
        if path[-1] in known:
            return f"is not for type {document.at((*path[:-1], 'type'))}"
        near = get_close_matches(str(path[-1]), known, n=1)
        return f"unknown key; did you mean {near[0]}?" if near else "unknown key"
    words = WORDS.get(detail["type"])
    return words.format(**detail.get("ctx", {})) if words else detail["msg"]


def known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that may stand at a path, as far as the models tell."""
    models = [model]
    for part in path:
        fields = [field for known in models for key, field in _fields(known) if key == part]
        if fields:
            models = [inner for field in fields for inner in _models_in(field.annotation, *field.metadata)]
    return sorted({key for known in models for key, _ in _fields(known)})


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        yield field.alias or name, field


def _models_in(*annotations: Any) -> Iterator[type[BaseModel]]:
    for annotation in annotations:
        if isinstance(annotation, Keys):
            yield from annotation.models
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        else:
            yield from _models_in(*get_args(annotation))
