from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import pytest_asyncio

from mcp_agentspawn.adapters.index import build, templates
from mcp_agentspawn.adapters.registry.indexes import Indexes
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.registry import Blueprint, Query, RegistryEntry
from tests.adapters.registry.living import VIEW

ENTRY = RegistryEntry("acme", "default", "logreader", "latest", f"sha256:{'a' * 64}")


@pytest_asyncio.fixture
async def indexes() -> AsyncIterator[Indexes]:
    made = Indexes()
    yield made
    await made.close()


async def found(indexes: Indexes) -> list[str]:
    page = await indexes.find(VIEW, Query("", 10))
    return [finding.entry.name for finding in page.findings if finding.entry]


def file_of(folder: Path, *entries: RegistryEntry) -> Path:
    file = folder / "view.index"
    build.build(file, VIEW, entries)
    return file


async def test_an_index_is_a_file_no_more_once_it_is_searched(indexes: Indexes, tmp_path: Path) -> None:
    file = file_of(tmp_path, ENTRY)

    await indexes.put(VIEW.scopes, file)

    assert not file.exists()
    assert await found(indexes) == ["logreader"]


async def test_a_newer_index_takes_the_place_of_the_older_one(indexes: Indexes, tmp_path: Path) -> None:
    await indexes.put(VIEW.scopes, file_of(tmp_path, ENTRY))
    await indexes.put(VIEW.scopes, file_of(tmp_path, replace(ENTRY, name="translator")))

    assert await found(indexes) == ["translator"]


async def test_what_is_not_kept_is_gone(indexes: Indexes, tmp_path: Path) -> None:
    await indexes.put(VIEW.scopes, file_of(tmp_path, ENTRY))

    await indexes.keep([VIEW.scopes])
    assert await found(indexes) == ["logreader"]
    await indexes.keep([])

    assert await found(indexes) == []


async def test_an_index_that_can_not_be_read_is_unavailable(indexes: Indexes, tmp_path: Path) -> None:
    await indexes.put(VIEW.scopes, file_of(tmp_path, ENTRY))
    indexes._shelf[VIEW.scopes]._entries.close()

    with pytest.raises(Unavailable):
        await found(indexes)


async def test_policies_that_show_the_same_write_their_templates_once(
    indexes: Indexes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when their callers search by turns, and when an entry changes meanwhile."""
    cook = Blueprint("cook", "Cooks soups")
    written = Mock(side_effect=build.write_blueprints)
    monkeypatch.setattr(templates, "write_blueprints", written)
    both, seen = (VIEW, replace(VIEW, blueprints=(cook,))), []
    for view in (*both, *both):
        await indexes.put(VIEW.scopes, file_of(tmp_path, ENTRY))
        page = await indexes.find(view, Query("research soups", 10, frozenset({"researcher", "cook"})))
        seen.append([found.blueprint.name for found in page.findings if found.blueprint])

    assert seen == [["researcher"], ["cook"]] * 2
    assert written.call_count == len(both)
