"""YAML read as JSON with comments: no anchors, tags, merge keys or guesses, and every key remembers its line."""

import math
import re
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mcp_agentspawn.adapters.files.problems import Path, shown
from mcp_agentspawn.core.digest import MOST_INTEGER
from mcp_agentspawn.core.text import hidden_characters

MOST_DEPTH = 16
WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,15})\Z", re.ASCII)
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,15})\.[0-9]{1,30}([eE][-+]?[0-9]{1,3})?\Z", re.ASCII)

TAG = "tag:yaml.org,2002:"
ALIAS = "aliases are not allowed: write the value out"
ANCHOR = "anchors are not allowed: write the value out where it is used"
EXPLICIT_TAG = "tags are not allowed: write a plain value"


class NotYaml(Exception):
    """The text can not be read at all; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class Document:
    """A file's content as JSON values, and where each part of it stands.

    `flaws` are what strict YAML refuses: path, line, message. `refused` are the values among them, kept as text.
    """

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    texts: dict[Path, int] = field(default_factory=dict)
    """The first line of each block of literal text (`|`)."""
    flaws: list[tuple[Path, int, str]] = field(default_factory=list)
    refused: set[Path] = field(default_factory=set)

    def at(self, path: Path) -> Any:
        """What stands at a path; `None` when nothing does."""
        return reduce(_inside, path, self.value)

    def line_of(self, path: Path) -> int:
        """The line of a path, or of the nearest thing around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def key_of(self, path: Path) -> str:
        """A path for people: dotted, and entries of a list by their id or name where they have one."""
        text, value = "", self.value
        for part in path:
            value = _inside(value, part)
            label = _label(value) if isinstance(part, int) else shown(part)
            text += f".{label}" if label else f"[{part}]"
        return text.lstrip(".") or "document"


def _inside(value: Any, part: str | int) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return None


def _label(value: Any) -> str:
    names = [value.get("id"), value.get("name")] if isinstance(value, dict) else []
    return next((shown(name) for name in names if isinstance(name, str) and name), "")


def read_yaml(text: str) -> Document:
    """Read one document. Raises `NotYaml` when there is none, or more than one, or no YAML."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise NotYaml(_line(error.problem_mark or error.context_mark), f"not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise NotYaml(line, "not YAML: a character that may not stand in a file") from error
    if node is None:
        raise NotYaml(1, "the file is empty")
    document = Document()
    document.value = _Reader(document, loader.flaws).value(node, ())
    return document


def _line(mark: yaml.Mark | None) -> int:
    return mark.line + 1 if mark else 1


class _Loader(yaml.SafeLoader):
    """Composes nodes and remembers what was refused about each, by the node's identity."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.flaws: dict[int, str] = {}
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.check_event(yaml.AliasEvent):
            alias = self.get_event()  # type: ignore[no-untyped-call]  # types-PyYAML leaves it out
            return self._flawed(ScalarNode(f"{TAG}str", "", alias.start_mark, alias.end_mark), ALIAS)
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the same
        flaw = ANCHOR if event.anchor else EXPLICIT_TAG if event.tag else ""
        event.anchor = event.tag = None
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deep", problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return self._flawed(node, flaw) if node and flaw else node

    def _flawed(self, node: Node, flaw: str) -> Node:
        self.flaws[id(node)] = flaw
        return node


class _Reader:
    """Turns nodes into JSON values and notes where they stand and what is wrong with them."""

    def __init__(self, document: Document, flaws: dict[int, str]) -> None:
        self._document = document
        self._flaws = flaws

    def value(self, node: Node, path: Path) -> Any:
        flaw = self._flaws.get(id(node))
        if flaw:
            (self._refuse if flaw is ALIAS else self._note)(path, node, flaw)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return self._sequence(node, path)
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            here = (*path, key)
            if key in found:
                self._note(here, key_node, f"written twice: first on line {self._document.lines[here]}")
                continue
            self._document.lines[here] = _line(key_node.start_mark)
            found[key] = self.value(value_node, here)
        return found

    def _key(self, node: Node, path: Path) -> str | None:
        plain = isinstance(node, ScalarNode) and node.tag == f"{TAG}str" and id(node) not in self._flaws
        if plain and not hidden_characters(node.value):
            return str(node.value)
        if node.tag == f"{TAG}merge":
            self._note(path, node, "merge keys are not allowed: write the keys out")
        else:
            self._note(path, node, self._flaws.get(id(node), "a key must be plain text that can be seen: quote it"))
        return None

    def _sequence(self, node: SequenceNode, path: Path) -> list[Any]:
        found = []
        for index, item in enumerate(node.value):
            here = (*path, index)
            self._document.lines[here] = _line(item.start_mark)
            found.append(self.value(item, here))
        return found

    def _scalar(self, node: Node, path: Path) -> Any:
        if isinstance(node, ScalarNode) and node.style == "|":
            self._document.texts[path] = _line(node.start_mark) + 1
        read = SCALARS.get(node.tag.removeprefix(TAG))
        try:
            return read(node.value) if read else _other(node.value)
        except ValueError as error:
            self._refuse(path, node, str(error))
            return node.value

    def _refuse(self, path: Path, node: Node, message: str) -> None:
        self._document.refused.add(path)
        self._note(path, node, message)

    def _note(self, path: Path, node: Node, message: str) -> None:
        self._document.flaws.append((path, _line(node.start_mark), message))


def _text(value: str) -> str:
    if hidden := hidden_characters(value, lines=True):
        raise ValueError(f"characters that nobody can see are refused: {', '.join(hidden[:5])}")
    return value


def _truth(value: str) -> bool:
    if value in {"true", "false"}:
        return value == "true"
    raise ValueError("YAML reads this word as true or false: write true or false, or put it in quotes")


def _whole(value: str) -> int:
    if WHOLE_NUMBER.match(value) and abs(int(value)) <= MOST_INTEGER:
        return int(value)
    raise ValueError("write a whole number in plain digits, up to 16 of them, or put it in quotes")


def _number(value: str) -> float:
    if NUMBER.match(value) and math.isfinite(float(value)):
        return float(value)
    raise ValueError("write a number as in 1.5, or put it in quotes")


def _nothing(value: str) -> None:  # noqa: ARG001 - the shape of its siblings
    raise ValueError("nothing is written here: write a value, [] or {}")


def _other(value: str) -> None:  # noqa: ARG001 - the shape of its siblings
    raise ValueError("YAML reads this as something else than text: put it in quotes")


SCALARS = {"str": _text, "bool": _truth, "int": _whole, "float": _number, "null": _nothing}
