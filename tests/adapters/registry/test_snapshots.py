from dataclasses import fields, replace
from pathlib import Path

from mcp_agentspawn.adapters.registry.snapshots import known_suspicions, read_snapshot, served, write_snapshot
from mcp_agentspawn.core.registry import RegistryEntry

FULL = RegistryEntry(
    registry="acme",
    namespace="team",
    name="log-reader",
    tag="v1",
    hash=f"sha256:{'a' * 64}",
    title="Zażółć \u2028 gęślą",
    description="Lines\nand “quotes” 🔎",
    labels={"team": "sre", "a": ""},
    skills=("Reading", "Writing"),
    tool_servers=("fetch",),
    form="declarative",
    image="registry.example/x",
    protocol="HTTP",
    instructions="You read \ud800 logs.\r\n\0",
    missing_prompt=True,
    running="ns/name",
    suspected_by=("secret", "unanswered"),
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    bare = RegistryEntry("acme", "default", "bare", "latest", f"sha256:{'b' * 64}")

    file = write_snapshot(tmp_path, "acme", [FULL, bare])

    assert list(read_snapshot(file)) == [FULL, bare]
    assert all(getattr(FULL, field.name) != getattr(bare, field.name) for field in fields(FULL)[1:])


def test_the_same_content_is_the_same_file_and_other_content_another(tmp_path: Path) -> None:
    first = write_snapshot(tmp_path, "acme", [FULL])

    assert write_snapshot(tmp_path, "acme", [FULL]) == first
    assert write_snapshot(tmp_path, "acme", [replace(FULL, suspected_by=())]) != first
    assert write_snapshot(tmp_path, "lab", [FULL]) != first
    assert len(list(tmp_path.iterdir())) == 3


def test_what_the_guard_found_is_known_by_what_was_served(tmp_path: Path) -> None:
    known = known_suspicions(write_snapshot(tmp_path, "acme", [FULL]))

    assert known[served(replace(FULL, suspected_by=()))] == FULL.suspected_by


def test_whatever_else_changes_is_looked_through_again() -> None:
    """Also what the hash of the entry does not speak of: the guard looks at it all the same."""
    for field in fields(FULL):
        if field.name != "suspected_by":
            assert served(replace(FULL, **{field.name: ()})) != served(FULL)  # type: ignore[arg-type]  # any other value


def test_before_the_first_reading_nothing_is_known() -> None:
    assert known_suspicions(None) == {}
