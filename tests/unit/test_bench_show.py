from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench import runs
from bench.measure import Benchmark
from bench.memory import Memory
from bench.plan import Plan
from bench.result import Figures, Result
from bench.show import show
from engines.contract import StateSize
from scenarios.running_count import SCENARIO
from semantics.checkers.delivery import Outcome

FIGURES = Figures(
    samples=31_337,
    latency_ns={"p50": 12_340_000, "p90": 20_000_000, "p99": 45_670_000, "p99.9": None, "max": 99_000_000},
    quarters_p50_ns=[12_000_000] * 4,
    slip_ns={"p50": 500_000, "p90": 900_000, "p99": 1_100_000, "p99.9": None, "max": 2_000_000},
    cpu_s_per_million=None,
    drain_s=0.25,
    memory=Memory(start_bytes=90_000_000, end_bytes=93_400_000, highest_bytes=95_000_000, slope_bytes_h=2.04e8),
    state=StateSize(rows=77, live_bytes=500, disk_bytes=4096, restore_bytes=None),
    keys=78,
    repeats=0,
)
RIGHT = Result(
    engine="an-engine",
    scenario="running-count",
    title="",
    versions={},
    warmup_s=5,
    warmup_because="",
    outcome=Outcome.RIGHT,
    figures=FIGURES,
)
WRONG = replace(RIGHT, outcome=Outcome.WRONG, reason="a count fell back", figures=None)
UNDECIDED = replace(RIGHT, outcome=Outcome.UNDECIDED, reason="it died", figures=None)


def benchmark(folder: Path, *results: Result) -> Benchmark:
    plan = Plan(
        engines=("reference",),
        scenario=SCENARIO,
        rate=2000,
        duration_s=20,
        warmup_s=None,
        partitions=2,
        broker=None,
        output=folder,
        seed=1,
    )
    run = runs.create(folder, {}, seed=1)
    run.manifest["versions"]["kafka"] = "4"
    return Benchmark(plan=plan, run=run, results=results)


def shown(folder: Path, capsys: pytest.CaptureFixture[str], *results: Result) -> str:
    show(benchmark(folder, *results))
    return capsys.readouterr().out


def test_figures_and_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = shown(tmp_path, capsys, RIGHT)
    rows = [re.findall(r"[^│\s][^│]*[^│\s]", line) for line in told.splitlines() if "│ an-engine" in line]
    assert rows == [
        ["an-engine", "right", "31337", "12.3", "20.0", "45.7", "too few", "99.0", "0.2"],
        ["an-engine", "not measured", "77 of 78", "500 B", "4 KiB", "not told", "1.1"],
    ]
    assert "smoke, not for decisions" in told
    assert "an-engine: memory: 90 MB at start, 93 MB at end, 95 MB at most, slope +204 MB/h" in told


@pytest.mark.parametrize("result", [WRONG, UNDECIDED])
def test_without_right_answers_there_is_no_figure(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for line in shown(tmp_path, capsys, result).splitlines() if "an-engine" in line]
    assert len(lines) == 2
    assert "no figures" in lines[0]
    assert result.reason in lines[1]
    assert not any(re.search(r"\d", line) for line in lines)


@pytest.mark.parametrize(
    ("results", "code"),
    [([RIGHT], 0), ([RIGHT, UNDECIDED], 3), ([UNDECIDED, WRONG, RIGHT], 1), ([RIGHT, WRONG], 1)],
)
def test_the_worst_outcome_is_the_exit_code(results: list[Result], code: int, tmp_path: Path) -> None:
    assert benchmark(tmp_path, *results).exit_code == code
