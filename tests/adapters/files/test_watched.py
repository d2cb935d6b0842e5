from pathlib import Path

import pytest

from mcp_agentspawn.adapters.files import Watched
from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.guards import Policy
from tests.builders import loaded

News = str


class Files:
    """A folder with one policy and what a server sees of it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "default.yaml"
        self.write(1)
        self.watched = Watched([folder], lambda: loaded(folder, Policy))

    def write(self, live: object) -> None:
        self.file.write_text(f"quota: {{live_per_root: {live}}}\n")

    def looks(self, times: int) -> list[News]:
        return [self.watched.refresh() for _ in range(times)]

    @property
    def live(self) -> int:
        return self.watched.current()["default"].quota.live_per_root


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_files_that_stay_as_they_are_are_not_read_again(files: Files) -> None:
    first = files.watched.current()

    assert files.looks(3) == ["unchanged", "unchanged", "unchanged"]
    assert files.watched.current() is first


def test_touching_a_file_changes_nothing(files: Files) -> None:
    files.write(1)

    assert files.looks(3) == ["unchanged", "unchanged", "unchanged"]


def test_a_change_is_taken_once_it_was_seen_twice(files: Files) -> None:
    files.write(2)

    assert files.looks(1) == ["unchanged"]
    assert files.live == 1
    assert files.looks(2) == ["reloaded", "unchanged"]
    assert files.live == 2


def test_a_file_that_is_still_being_written_is_not_taken(files: Files) -> None:
    for live in (2, 3, 4):
        files.write(live)
        assert files.looks(1) == ["unchanged"]
    assert files.live == 1
    assert files.looks(1) == ["reloaded"]
    assert files.live == 4


def test_a_bad_version_is_reported_once_and_the_good_one_kept(files: Files) -> None:
    files.write("many")

    assert files.looks(4) == ["unchanged", "kept", "unchanged", "unchanged"]
    assert files.live == 1
    assert files.watched.problems == (f"{files.file}:1: quota.live_per_root: must be a whole number",)


@pytest.mark.parametrize("live", [1, 5])
def test_after_a_bad_version_a_good_one_is_taken(files: Files, live: int) -> None:
    files.write("many")
    files.looks(2)
    files.write(live)

    assert files.looks(2) == ["unchanged", "reloaded"]
    assert (files.live, files.watched.problems) == (live, ())


def test_files_that_vanish_are_a_bad_version(files: Files) -> None:
    files.file.unlink()

    assert files.looks(2) == ["unchanged", "kept"]
    assert files.live == 1


def test_a_folder_that_vanishes_is_a_bad_version(files: Files) -> None:
    files.file.unlink()
    files.file.parent.rmdir()

    assert files.looks(2) == ["unchanged", "kept"]
    files.file.parent.mkdir()
    files.write(3)
    assert files.looks(2) == ["unchanged", "reloaded"]
    assert files.live == 3


def test_a_link_that_leads_nowhere_is_a_bad_version(files: Files) -> None:
    files.file.unlink()
    files.file.symlink_to("nowhere")

    assert files.looks(2) == ["unchanged", "kept"]


def test_a_file_that_is_moved_to_another_name_is_a_change(files: Files) -> None:
    files.file.rename(files.file.with_name("other.yaml"))

    assert files.looks(2) == ["unchanged", "reloaded"]
    assert list(files.watched.current()) == ["other"]


def test_what_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("1")
    during = iter(["3", "3"])

    def load() -> str:
        read = file.read_text()
        if read == "2":
            file.write_text(next(during))
        return read

    watched = Watched([tmp_path], load)
    file.write_text("2")

    assert [watched.refresh(), watched.refresh()] == ["unchanged", "unchanged"]
    assert watched.current() == "1"
    assert [watched.refresh(), watched.refresh()] == ["unchanged", "reloaded"]
    assert watched.current() == "3"


def test_there_is_no_first_version_but_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "default.yaml").write_text("quota: [\n")

    with pytest.raises(ConfigError):
        Watched([tmp_path], lambda: loaded(tmp_path, Policy))
