"""Figures of recorded benchmarks come onto pages by a program."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.figures import BEGIN, END, main
from bench.result import Figures, Result
from bench.runs import create
from engines.contract import StateSize
from engines.spark import costs
from engines.spark.kills import PAGE, TITLES
from semantics.checkers.delivery import Outcome


def folder(tmp_path: Path) -> Path:
    run = create(tmp_path, {"rate": 50, "duration_s": 60}, seed=1)
    figures = Figures(
        samples=1,
        latency_ns={"p50": 1_500_000, "p90": 2_000_000, "p99": None, "max": 123_000_000},
        quarters_p50_ns=[],
        slip_ns={},
        cpu_s_per_million=42.0,
        drain_s=0.0,
        state=StateSize(rows=3, live_bytes=1024, disk_bytes=None, restore_bytes=0),
        keys=3,
        repeats=0,
    )
    for title, outcome, measured in (("X", Outcome.RIGHT, figures), ("Y", Outcome.WRONG, None)):
        result = Result(
            engine=title,
            scenario="running-count",
            title=title,
            versions={},
            warmup_s=0,
            warmup_because="",
            outcome=outcome,
            figures=measured,
        )
        run.append("bench", msgspec.to_builtins(result))
    return run.path


def test_a_page_shows_what_was_measured_and_no_figure_of_wrong_answers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main([str(page), str(folder(tmp_path))]) == 0
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\nFrom runs of ")
    assert "50 events/s, 60 s measured" in text
    assert "| X | right | 1.5 | 2 | not told | 123 | 42 | 3 | 1 KiB | not told | 0 KiB |" in text
    assert "| Y | wrong: no figures |" in text
    assert text.endswith(f"{END}\nafter\n")
    assert "\nold\n" not in text


@pytest.mark.parametrize("text", ["no marks", BEGIN])
def test_a_page_without_marks_stays(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    assert main([str(page), str(folder(tmp_path))]) == 1
    assert page.read_text() == text


def test_the_page_of_sparks_sinks_shows_what_each_costs() -> None:
    _, _, section = PAGE.read_text().partition(BEGIN)
    section, _, rest = section.partition(END)
    assert section.count("| Spark Structured Streaming") == 3
    _, _, batches = rest.partition(costs.BEGIN)
    batches, _, _ = batches.partition(costs.END)
    assert all(f"| {title} |" in batches for title in TITLES.values())
