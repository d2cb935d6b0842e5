"""What the measurements keep of each other."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import figures
from bench.figures import BARE, Batch, rows, save
from bench.helpers import Reading
from bench.reconcile import AIMS
from bench.reconcile import shown as shown_of_watching
from bench.search_figures import Round, Samples, Taken, shown
from bench.search_figures import figures as figures_of_search


def test_figures_of_one_measurement_leave_those_of_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results.json")
    table = rows([[Batch(BARE, 1, [0.001], 0.0005)]])

    save(hot_root_ratio=3.0)
    save(table, idle_megabytes=100.0)
    save(hot_root_ratio=4.0)

    kept = json.loads(figures.RESULTS.read_text(encoding="utf-8"))
    assert kept == {"hot_root_ratio": 4.0, "rows": [asdict(row) for row in table], "idle_megabytes": 100.0}


def searched(milliseconds: float, *, during: float, seconds: float = 2.0, helper: float = 60.0) -> Taken:
    quiet, busy = Samples([milliseconds], [2.0]), Samples([during], [2.0])
    reading = Reading(0.0, seconds, helper)
    beside = {"alone": [2.0], "bare": [3.0], "search": [6.0]}
    return Taken(100.0, 120.0, [Round(quiet, busy)], Samples([50.0], [10.0]), beside, reading, [reading], reading)


def test_a_search_is_measured_against_a_quiet_one_and_a_bare_call() -> None:
    found = figures_of_search(searched(4.0, during=5.0))

    assert (found["slower_p50"], found["more_megabytes"], found["first_seconds"]) == (1.25, 80.0, 2.0)
    assert "!" not in shown(found, 10, 1)


@pytest.mark.parametrize(
    "taken",
    [
        searched(20.0, during=26.0),
        searched(4.0, during=7.0),
        searched(4.0, during=5.0, seconds=11.0),
        searched(4.0, during=5.0, helper=81.0),
    ],
    ids=["too slow", "slower while it is read", "read too slowly", "too much memory"],
)
def test_a_search_that_misses_an_aim_is_marked(taken: Taken) -> None:
    assert shown(figures_of_search(taken), 10, 1).count("!") == 1


@pytest.mark.parametrize("name", AIMS)
def test_a_figure_of_watching_that_misses_its_aim_is_marked(name: str) -> None:
    met = dict(AIMS)

    assert shown_of_watching(met, 10_000).count("!") == 0
    assert shown_of_watching(met | {name: AIMS[name] + 0.1}, 10_000).count("!") == 1
    assert len(shown_of_watching({name: 0.0}, 10_000).splitlines()) == 2
