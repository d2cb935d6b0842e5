"""Agent cards: what is read of one, and the wire that it says its agent speaks. Its addresses are not read."""

from typing import Any

from mcp_agentspawn.adapters.a2a.patience import Wire
from mcp_agentspawn.adapters.a2a.sound import Unreadable, sound
from mcp_agentspawn.core.delegation import Card

MOST_SKILLS = 256
MOST_NAME_CHARACTERS = 256
OLDER = "0."


def card_of(body: bytes) -> tuple[Card, Wire]:
    """What a card says. Raises `ValueError` when it can not be read, and `Failed` when it is too large."""
    card = sound(body)
    if not isinstance(card, dict):
        raise Unreadable("no card")
    skills = card.get("skills", [])
    if not isinstance(skills, list) or len(skills) > MOST_SKILLS:
        raise Unreadable("no list of skills")
    return Card(_name(card, "name"), tuple(_name(skill, "id") for skill in skills)), _wire(card)


def _name(said: Any, key: str) -> str:
    name = said.get(key) if isinstance(said, dict) else None
    if not isinstance(name, str) or len(name) > MOST_NAME_CHARACTERS:
        raise Unreadable("no name")
    return name


def _wire(card: dict[str, Any]) -> Wire:
    """0.3 when it is spoken at all, for every kagent that has Agents speaks it; 1.0 otherwise."""
    interfaces = card.get("supportedInterfaces")
    said = [card, *(interfaces if isinstance(interfaces, list) else [])]
    versions = [str(each.get("protocolVersion", "")) for each in said if isinstance(each, dict) and _json_rpc(each)]
    older = not isinstance(interfaces, list) or any(version.startswith(OLDER) for version in versions)
    return "0.3" if older else "1.0"


def _json_rpc(interface: dict[str, Any]) -> bool:
    return bool(interface.get("protocolBinding", "JSONRPC") == "JSONRPC")
