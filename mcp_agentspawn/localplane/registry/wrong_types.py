"""Values of the wrong type that a registry may answer with, by dialect and by what is wrong."""

from collections.abc import Mapping

from mcp_agentspawn.localplane.registry.cursors import Dialect
from mcp_agentspawn.localplane.registry.faults import WrongType

WRONG_TYPES: Mapping[Dialect, Mapping[str, WrongType]] = {
    "v0.4": {
        "the answer is a list": WrongType(value=[]),
        "the answer is a word": WrongType(value="items"),
        "items is an object": WrongType(at=("items",), value={}),
        "items is null": WrongType(at=("items",)),
        "an item is null": WrongType(at=("items", 0)),
        "metadata is a list": WrongType(at=("items", 0, "metadata"), value=[]),
        "a name is a number": WrongType(at=("items", 0, "metadata", "name"), value=7),
        "a name is empty": WrongType(at=("items", 0, "metadata", "name"), value=""),
        "a namespace is an object": WrongType(at=("items", 0, "metadata", "namespace"), value={}),
        "a tag is null": WrongType(at=("items", 0, "metadata", "tag")),
        "labels are a list": WrongType(at=("items", 0, "metadata", "labels"), value=["team"]),
        "a label is an object": WrongType(at=("items", 0, "metadata", "labels"), value={"team": {}}),
        "a time is a word": WrongType(at=("items", 0, "metadata", "updatedAt"), value="yesterday"),
        "spec is null": WrongType(at=("items", 0, "spec")),
        "a description is a list": WrongType(at=("items", 0, "spec", "description"), value=["a"]),
        "source is a word": WrongType(at=("items", 0, "spec", "source"), value="image"),
        "an image is an object": WrongType(at=("items", 0, "spec", "source"), value={"image": {}}),
        "servers are words": WrongType(at=("items", 0, "spec", "mcpServers"), value=["fetch"]),
        "instructions are text": WrongType(at=("items", 0, "spec", "instructions"), value="Do it."),
        "the cursor is a number": WrongType(at=("nextCursor",), value=7),
    },
    "v0.3": {
        "agents is an object": WrongType(at=("agents",), value={}),
        "an item is null": WrongType(at=("agents", 0)),
        "an agent is null": WrongType(at=("agents", 0, "agent")),
        "_meta is a list": WrongType(at=("agents", 0, "_meta"), value=[]),
        "a name is a number": WrongType(at=("agents", 0, "agent", "name"), value=7),
        "an image is an object": WrongType(at=("agents", 0, "agent", "image"), value={}),
        "metadata is null": WrongType(at=("metadata",)),
    },
    "inventory": {
        "deployment is a word": WrongType(at=("agents", 0, "_meta", "deployment"), value="kagent"),
        "ready is a word": WrongType(at=("agents", 0, "_meta", "deployment"), value={"ready": "true"}),
        "tools are words": WrongType(at=("agents", 0, "agent", "tools"), value=["fetch"]),
        "a system message is a list": WrongType(at=("agents", 0, "agent", "systemMessage"), value=["a"]),
        "a name is a number": WrongType(at=("agents", 0, "agent", "name"), value=7),
    },
}
