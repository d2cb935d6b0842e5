"""What agentregistry 0.4.0 answered, and the same objects for the stand-in."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mcp_agentspawn.localplane.registry import Content, Published

REPOSITORY = Path(__file__).parent.parent.parent
SHARED = Path(os.environ.get("AGENTSPAWN_SHARED", REPOSITORY.parent / "shared"))
SAMPLES = SHARED / "samples" / "agentregistry-v0.4.0"
NAMES = [
    "bad-cursor",
    "get-latest-missing",
    "get-stable",
    "get-unknown",
    "health",
    "list-all-page1",
    "list-all-page2",
    "list-all-page3",
    "list-default",
    "list-labels",
    "list-search-ignored",
    "ping",
    "tags",
    "version",
]


def sample(name: str) -> Any:
    """One recorded answer; skips the test when the recordings are not there."""
    path = SAMPLES / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"the answers of agentregistry 0.4.0 are not at {SAMPLES}")
    return json.loads(path.read_text(encoding="utf-8"))


def sample_content() -> Content:
    """All that the recorded registry held."""
    pages = [sample(f"list-all-page{number}")["body"]["items"] for number in (1, 2, 3)]
    return Content(published(item) for page in pages for item in page)


def published(item: dict[str, Any]) -> Published:
    metadata, spec = item["metadata"], item["spec"]
    return Published(
        name=metadata["name"],
        namespace=metadata.get("namespace", "default"),
        tag=metadata["tag"],
        uid=metadata["uid"],
        labels=metadata.get("labels", {}),
        title=spec["title"],
        description=spec["description"],
        image=spec["source"]["image"],
        repository=spec["source"]["repository"]["url"],
        protocol=spec["source"]["protocol"],
        created_at=metadata["createdAt"],
        updated_at=metadata["updatedAt"],
    )
