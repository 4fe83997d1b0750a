from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench import runs
from bench.busy import Others
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
    events=40_000,
    rows=39_000,
    latency_ns={"p50": 12_340_000, "p90": 20_000_000, "p99": 45_670_000, "p99.9": None, "max": 99_000_000},
    quarters_p50_ns=[12_000_000] * 4,
    slip_ns={"p50": 500_000, "p90": 900_000, "p99": 1_100_000, "p99.9": None, "max": 2_000_000},
    preferred=True,
    cpu_s_per_million=None,
    broker_cpu_s_per_million=15.25,
    others=Others(cpu=0.01, stolen=0),
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
    guarantee="at-least-once",
    run=1,
    others_before=Others(cpu=0.002, stolen=0),
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
    latencies = ["12.3", "20.0", "45.7", "too few", "99.0"]
    assert rows == [
        ["an-engine", "right", "at least once", "39,000 for 40,000 events", "31,337", *latencies, "0.2"],
        ["an-engine", "not measured", "15.2", "77 of 78", "500 B", "4 KiB", "not told", "1.1"],
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


def test_runs_of_one_engine_give_median_and_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    p50 = (12_300_000, 44_000_000, 20_000_000)
    several = [
        replace(RIGHT, run=number, figures=replace(FIGURES, latency_ns={**FIGURES.latency_ns, "p50": median}))
        for number, median in enumerate(p50, 1)
    ]
    done = benchmark(tmp_path, *several)
    show(replace(done, plan=replace(done.plan, runs=3)))
    told = capsys.readouterr().out
    assert "median (range) of 3 runs" in " ".join(told.split())
    assert len([line for line in told.splitlines() if "│ an-engine" in line]) == 2
    # A narrow column breaks the line somewhere between.
    assert all(part in told for part in ("20.0", "(12.3", "44.0)"))
    assert "an-engine, run 3: memory" in told


def test_a_busy_machine_and_an_unsteady_course_stand_beside_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loud = replace(FIGURES, quarters_p50_ns=[20, 10, 10, 10], others=Others(cpu=0.5, stolen=0.02))
    told = " ".join(shown(tmp_path, capsys, replace(RIGHT, figures=loud)).split())
    assert "not steady" in told
    assert "machine busy" in told
    assert (
        "the machine was busy while it was measured: other processes used 50% of it and the hypervisor took 2% of it"
        in told
    )
    assert "Other processes used up to 50.0% of the machine's cores, the hypervisor up to 2.0%." in told
