"""One table for terminal, README and report, from records of this version and of earlier ones."""

from __future__ import annotations

from typing import Any

from bench import figures

OLD: dict[str, Any] = {
    "engine": "spark",
    "title": "Spark",
    "scenario": "running-count",
    "outcome": "right",
    "reason": "",
    "figures": {
        "samples": 40_000,
        "latency_ns": {"p50": 10_000_000, "p90": 20_000_000, "p99": None, "p99.9": None, "max": 199_000_000},
        "cpu_s_per_million": 12.5,
        "state": {"rows": 7, "live_bytes": 2048, "disk_bytes": None, "restore_bytes": 4096},
    },
}


def new(run: int, p50: int, **changed: Any) -> dict[str, Any]:
    own = OLD["figures"] | {
        "latency_ns": OLD["figures"]["latency_ns"] | {"p50": p50},
        "quarters_p50_ns": [p50] * 4,
        "events": 70_000,
        "rows": 66_859 + run,
        "broker_cpu_s_per_million": 15.0 + run,
        "others": {"cpu": 0.01 * run, "stolen": 0.0},
    }
    return OLD | {"run": run, "guarantee": "at-least-once", "figures": own} | changed


def cells(*runs: dict[str, Any]) -> dict[str, str]:
    return dict(zip(figures.HEADINGS, figures.row(runs), strict=True))


def test_a_record_of_an_earlier_version_is_read() -> None:
    told = cells(OLD)
    assert (told["answers"], told["guarantee"], told["rows written"]) == (
        "right",
        "not told",
        "not told for not told events",
    )
    assert (told["p50 ms"], told["p99 ms"], told["max ms"]) == ("10.0", "too few", "199")
    assert (told["CPU s / 1M events"], told["broker CPU s / 1M events"]) == ("12.5", "not measured")
    assert (told["on disk"], told["to restore"]) == ("not told", "4 KiB")
    assert figures.machine([OLD]) == "Load of the machine: not recorded."


def test_one_run_has_no_range() -> None:
    told = cells(new(1, 10_000_000))
    assert told["rows written"] == "66,860 for 70,000 events"
    assert told["guarantee"] == "at least once"
    assert told["broker CPU s / 1M events"] == "16.0"


def test_several_runs_give_median_and_range() -> None:
    told = cells(new(1, 30_000_000), new(2, 10_000_000), new(3, 20_000_000))
    assert told["answers"] == "right"
    assert told["p50 ms"] == "20.0 (10.0 to 30.0)"
    assert told["rows written"] == "66,861 (66,860 to 66,862) for 70,000 events"
    assert told["broker CPU s / 1M events"] == "17.0 (16.0 to 18.0)"
    assert figures.machine([new(1, 1), new(3, 1)]).startswith("Other processes used up to 3.0%")


def test_marks_say_in_how_many_runs() -> None:
    unsteady = new(1, 1)
    unsteady["figures"]["quarters_p50_ns"] = [20, 10, 10, 10]
    loud = new(2, 1, others_before={"cpu": 0.5, "stolen": 0.0})
    assert cells(unsteady)["answers"] == "right; not steady"
    assert cells(unsteady, loud)["answers"] == "right; not steady (1 of 2); machine busy (1 of 2)"


def test_a_wrong_run_voids_the_figures_of_all() -> None:
    wrong = new(2, 1, outcome="wrong", figures=None)
    assert cells(new(1, 1), wrong)["answers"] == "1 right, 1 WRONG: no figures"
    assert set(list(cells(new(1, 1), wrong).values())[2:]) == {""}


def test_runs_are_grouped_by_engine_and_scenario() -> None:
    other = OLD | {"scenario": "tumbling-count"}
    assert figures.grouped([OLD, other, OLD]) == [[OLD, OLD], [other]]
