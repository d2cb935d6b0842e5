"""What the measurements keep of each other."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import figures
from bench.figures import BARE, Batch, rows, save


def test_figures_of_one_measurement_leave_those_of_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results.json")
    table = rows([[Batch(BARE, 1, [0.001], 0.0005)]])

    save(hot_root_ratio=3.0)
    save(table, idle_megabytes=100.0)
    save(hot_root_ratio=4.0)

    kept = json.loads(figures.RESULTS.read_text(encoding="utf-8"))
    assert kept == {"hot_root_ratio": 4.0, "rows": [asdict(row) for row in table], "idle_megabytes": 100.0}
