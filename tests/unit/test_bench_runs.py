from __future__ import annotations

import getpass
import json
import socket
from pathlib import Path

import pytest

from bench import runs
from engines.errors import EnvironmentNotReady


def test_a_run_is_partial_until_closed(tmp_path: Path) -> None:
    run = runs.create(tmp_path / "deep" / "runs", {"rate": 1}, seed=7)
    kept = json.loads((run.path / "run.json").read_text())
    assert (kept["schema"], kept["status"], kept["seed"], kept["arguments"]) == (1, "partial", 7, {"rate": 1})
    run.close()
    assert json.loads((run.path / "run.json").read_text()) == kept | {"status": "complete", "sealed": {}}


def test_what_is_altered_after_a_run_breaks_its_seal(tmp_path: Path) -> None:
    run = runs.create(tmp_path, {}, seed=1)
    run.append("verdicts", {"engine": "a"})
    run.append("bench", {"engine": "a"})
    run.close()
    manifest = json.loads((run.path / "run.json").read_text())
    assert runs.unsealed(run.path, manifest) == []
    run.append("verdicts", {"engine": "b"})
    (run.path / "bench.jsonl").unlink()
    gone, grown = runs.unsealed(run.path, manifest)
    assert "bench.jsonl was altered after the run had ended: no lines, 1 when" in gone
    assert "verdicts.jsonl was altered after the run had ended: 2 lines, 1 when" in grown


def test_records_are_lines_that_only_append(tmp_path: Path) -> None:
    run = runs.create(tmp_path, {}, seed=1)
    run.append("bench", {"engine": "a"})
    run.append("bench", {"engine": "b\n"})
    lines = (run.path / "bench.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"schema": 1, "engine": "a"}, {"schema": 1, "engine": "b\n"}]


def test_two_runs_of_one_second_have_two_folders(tmp_path: Path) -> None:
    assert len({runs.create(tmp_path, {}, seed=1).path for _ in range(3)}) == 3


def test_the_record_names_neither_user_nor_machine(tmp_path: Path) -> None:
    written = json.dumps(runs.create(tmp_path, {}, seed=1).manifest["host"])
    assert socket.gethostname() not in written
    assert getpass.getuser() not in written


def test_a_folder_that_cannot_be_written_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    with pytest.raises(EnvironmentNotReady, match=r"Cannot write to .*file.*Choose another folder with --output"):
        runs.create(occupied, {}, seed=1)
