"""What a reading holds until it is written down."""

from dataclasses import replace
from datetime import UTC, datetime

from mcp_agentspawn.adapters.registry.items import Entries, Version
from tests.builders import registry_entry

MORNING, NOON = datetime(2026, 11, 21, 8, tzinfo=UTC), datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_what_was_added_is_given_back_as_it_was() -> None:
    odd = registry_entry(title="Zażółć \u2028", instructions="Read \ud800 logs.\r\n\0", labels={"b": "", "a": "1"})
    entries = Entries()
    entries.add(Version(odd, NOON, latest=True))

    assert list(entries) == [odd]
    assert list(next(iter(entries)).labels) == ["b", "a"]
    assert odd in entries
    assert replace(odd, title="") not in entries


def test_of_one_name_the_version_that_a_spawn_would_take_is_the_first() -> None:
    entries, others = Entries(), registry_entry(name="another")
    first, second, third = (registry_entry(tag=tag) for tag in ("v1", "v2", "v0"))
    entries.add(Version(first, MORNING, latest=False))
    entries.add(Version(second, NOON, latest=False))
    entries.add(Version(replace(second, title="older"), MORNING, latest=False))
    entries.add(Version(third, MORNING, latest=True))
    entries.add(Version(others, NOON, latest=False))

    assert list(entries) == [others, third, second, first]
    assert (len(entries), entries.names) == (4, 2)
