"""The README's results come from records, by a script."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.readme import BEGIN, END, insert, results
from bench.runs import create
from bench.story import RECONSTRUCTED
from engines.errors import CorruptRun
from engines.journal import Journal
from semantics.history import Struck

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_has_a_place_for_results() -> None:
    assert insert((ROOT / "README.md").read_text(), "X").count("X\n" + END) == 1


def test_the_readme_shows_results_of_a_real_run() -> None:
    _, _, section = (ROOT / "README.md").read_text().partition(BEGIN)
    section, _, _ = section.partition(END)
    assert section.strip().startswith("From runs of ")
    assert "| WM-01 |" in section
    assert "CPU s / 1M events" in section


def test_only_what_is_between_the_marks_is_replaced() -> None:
    assert insert(f"a\n{BEGIN}\nold\n{END}\nb\n", "new") == f"a\n{BEGIN}\nnew\n{END}\nb\n"


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_a_page_without_marks_is_left_alone(page: str) -> None:
    with pytest.raises(CorruptRun, match="no place"):
        insert(page, "new")


def test_verdicts_are_read_back_from_the_record(tmp_path: Path) -> None:
    run = create(tmp_path, {"rate": 10}, seed=1)
    cell: dict[str, object] = {"expectation": "SW-02", "rules": [], "step": None}
    run.append("verdicts", {**cell, "engine": "faust", "verdict": "holds", "reason": "it does"})
    run.append("verdicts", {**cell, "engine": "spark", "verdict": "deviates", "reason": "sink = X"})
    section, page = results([run.path])
    assert "| SW-02 | events exactly one gap apart belong to one session | ✓ | ≠ |" in section
    assert "- spark: 1 deviate" in section
    assert "- spark deviates: sink = X: SW-02" in page


def test_a_variant_is_told_by_what_is_unlike_its_engine(tmp_path: Path) -> None:
    run = create(tmp_path, {"rate": 10}, seed=1)
    cell: dict[str, object] = {"rules": [], "step": None}
    for id, own, other in (("SW-01", "holds", "holds"), ("SW-02", "holds", "deviates"), ("SW-03", "deviates", "holds")):
        run.append("verdicts", {**cell, "expectation": id, "engine": "spark", "verdict": own, "reason": "a"})
        run.append("verdicts", {**cell, "expectation": id, "engine": "spark:shipped", "verdict": other, "reason": "b"})
    run.append("verdicts", {**cell, "expectation": "SW-04", "engine": "spark", "verdict": "holds", "reason": "a"})
    section, page = results([run.path])
    assert "shipped" not in section
    assert "| ≠ | ≠ |" not in page
    assert page.endswith(
        "- spark:shipped: 3 of 4 played (2 hold, 1 deviate), 2 unlike spark\n"
        "- spark:shipped deviates: b: SW-02\n"
        "- spark:shipped holds: SW-03\n"
    )


def test_the_commits_of_a_column_are_told_if_they_are_several(tmp_path: Path) -> None:
    cell: dict[str, object] = {"rules": [], "step": None, "verdict": "holds", "reason": "x"}
    played = (
        ("a", "2026-01-01", "faust", ("SW-01", "SW-02")),
        ("b", "2026-01-03", "spark", ("SW-01",)),
        ("b", "2026-01-02", "faust", ("SW-02",)),
        ("c", "2026-01-03", "spark:shipped", ("SW-01",)),
    )
    folders = []
    for number, (commit, day, engine, ids) in enumerate(played):
        run = create(tmp_path / str(number), {}, seed=1)
        run.manifest["versions"]["weir"], run.manifest["started"] = commit, f"{day}T00:00:00"
        for id in ids:
            run.append("verdicts", {**cell, "expectation": id, "engine": engine})
        run.close()
        folders.append(run.path)
    section, page = results(folders)
    assert section.startswith("From runs of 2026-01-01 to 2026-01-03 on ")
    assert (
        "**The verdicts are of several commits**, a later run's in place of an earlier one's: faust a, b; spark b."
        in page
    )
    assert "All verdicts are of commit c." in page
    assert "All verdicts are of commit b." in results(folders[1:3])[0]


def test_reconstructed_kills_are_told(tmp_path: Path) -> None:
    run = create(tmp_path, {}, seed=1)
    cell: dict[str, object] = {"rules": [], "step": None, "verdict": "deviates", "reason": "sink = X"}
    journal = Journal(run.path / "history.jsonl")
    for id, rebuilt in (("EO-01", True), ("EO-03", False)):
        run.append("verdicts", {**cell, "expectation": id, "engine": "spark"})
        struck = Struck(step=2, point="after-sink", evidence="x", killed=(1,), reconstructed=rebuilt)
        journal.write("spark", id, [struck])
    journal.close()
    _, page = results([run.path])
    assert f"- spark killed{RECONSTRUCTED}: EO-01\n" in page


@pytest.mark.parametrize("line", [b"{", msgspec.json.encode({"engine": "x"})])
def test_a_damaged_record_is_refused_with_its_line(tmp_path: Path, line: bytes) -> None:
    run = create(tmp_path, {}, seed=1)
    (run.path / "verdicts.jsonl").write_bytes(line + b"\n")
    with pytest.raises(CorruptRun, match="line 1"):
        results([run.path])


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptRun, match="no run folder"):
        results([tmp_path])


def test_runs_under_one_load_are_one_row_and_another_load_is_another_table(tmp_path: Path) -> None:
    folders = []
    for rate, p50 in ((2000, 10), (2000, 30), (20_000, 50)):
        run = create(tmp_path, {"rate": rate, "duration_s": 60}, seed=1)
        latency = {"p50": p50 * 1_000_000, "p90": None, "p99": None, "max": None}
        state = {"rows": 7, "live_bytes": None, "disk_bytes": None, "restore_bytes": None}
        figures = {"latency_ns": latency, "cpu_s_per_million": None, "state": state}
        run.append("bench", {"engine": "faust", "title": "Faust", "outcome": "right", "reason": "", "figures": figures})
        folders.append(run.path)
    section, _ = results(folders)
    assert section.count("| engine | answers | guarantee | rows written |") == 2
    assert "2000 events/s, 60 s measured after the warm-up." in section
    assert "Median and range of several runs." in section
    assert "| Faust | right | not told |" in section
    assert "| 20.0 (10.0 to 30.0) |" in section
    assert "| 50.0 |" in section
