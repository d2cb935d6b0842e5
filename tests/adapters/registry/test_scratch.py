import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mcp_agentspawn.adapters.registry.scratch import scratch_folder
from mcp_agentspawn.core.errors import ConfigError

OWNER = """
import sys
from mcp_agentspawn.adapters.registry.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "acme.jsonl").write_text("secret")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_for_its_owner_alone_and_gone_afterwards(temporary: Path) -> None:
    with scratch_folder() as folder:
        (folder / "acme.jsonl").write_text("secret")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert list(temporary.iterdir()) == [folder]

    assert list(temporary.iterdir()) == []


def test_two_owners_do_not_touch_each_other(temporary: Path) -> None:
    with scratch_folder() as one, scratch_folder() as other:
        assert one != other
        assert sorted(temporary.iterdir()) == sorted([one, other])


def test_what_a_killed_owner_left_is_cleared_by_the_next_one(temporary: Path) -> None:
    command = [sys.executable, "-c", OWNER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"TMPDIR": str(temporary)}
    ) as owner:
        assert owner.stdout is not None
        left = Path(owner.stdout.readline().strip())
        with scratch_folder():
            assert left.exists()
        owner.kill()
    assert left.exists()

    with scratch_folder() as folder:
        assert list(temporary.iterdir()) == [folder]


def test_without_a_place_for_it_the_configuration_is_wrong(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "missing"))

    with pytest.raises(ConfigError), scratch_folder():
        pass
