"""Placeholders in a template's text: `${name}` stands for a parameter's value, `$${` for the two characters `${`."""

import re
from dataclasses import dataclass

NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
TOKEN = re.compile(rf"\$\$\{{|\$\{{(?P<name>{NAME})\}}|\$\{{")


@dataclass(frozen=True, slots=True)
class Text:
    """What stands there as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Where the value of the parameter `name` goes."""

    name: str


def parse(text: str) -> list[Text | Placeholder]:
    """The parts of a text, in order. Raises `ValueError` for a `${` that does not begin a `${name}`."""
    parts: list[Text | Placeholder] = []
    end = 0
    for token in TOKEN.finditer(text):
        parts += [Text(text[end : token.start()]), _part(token)]
        end = token.end()
    parts.append(Text(text[end:]))
    return [part for part in parts if part != Text("")]


def _part(token: re.Match[str]) -> Text | Placeholder:
    if token["name"]:
        return Placeholder(token["name"])
    if token[0] == "$${":
        return Text("${")
    raise ValueError("a placeholder reads ${name}; write $${ where ${ itself is meant")


def placeholders(text: str) -> list[str]:
    """The names of a text's placeholders, in order, repeated where they are."""
    return [part.name for part in parse(text) if isinstance(part, Placeholder)]
