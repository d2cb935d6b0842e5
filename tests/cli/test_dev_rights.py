"""What the orchestrator of `agentspawn dev` may do."""

import shutil
from pathlib import Path

import pytest

from mcp_agentspawn.cli.dev import checkout
from mcp_agentspawn.cli.dev.cluster import rights


def test_it_may_use_every_template_that_is_there_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("researcher", "mine"):
        shutil.copy(checkout.TEMPLATES / "researcher.yaml", tmp_path / f"{name}.yaml")
    monkeypatch.setattr(checkout, "TEMPLATES", tmp_path)
    rules = [rule for manifest in rights() if manifest["kind"] == "Role" for rule in manifest["rules"]]

    assert [rule["resourceNames"] for rule in rules if rule["verbs"] == ["use"]] == [["mine", "researcher"]]
