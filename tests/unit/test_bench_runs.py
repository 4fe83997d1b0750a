from __future__ import annotations

import getpass
import json
import socket
from pathlib import Path

import pytest

from bench import runs
from engines.errors import DiskFull, EnvironmentNotReady


def test_a_run_is_partial_until_closed(tmp_path: Path) -> None:
    run = runs.create(tmp_path / "deep" / "runs", {"rate": 1}, seed=7)
    kept = json.loads((run.path / "run.json").read_text())
    assert (kept["schema"], kept["status"], kept["seed"], kept["arguments"]) == (1, "partial", 7, {"rate": 1})
    run.close()
    ended = json.loads((run.path / "run.json").read_text())
    assert list(ended.pop("sealed")) == ["run.json"]
    assert ended == kept | {"status": "complete"}


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


def test_the_seal_covers_the_manifest_and_knows_what_was_added(tmp_path: Path) -> None:
    run = runs.create(tmp_path, {"engines": ("a", "b"), "rate": 1e22, "none": float("nan")}, seed=1)
    run.append("bench", {"engine": "a"})
    run.close()
    manifest = runs.manifest(run.path)
    assert (runs.unsealed(run.path, manifest), runs.seal_lacks(manifest)) == ([], "")
    (run.path / "run.json").write_text(json.dumps(manifest, indent=7))
    assert runs.unsealed(run.path, runs.manifest(run.path)) == []
    run.append("controls", {"engine": "a"})
    (run.path / "run.json").write_text(json.dumps(manifest | {"seed": 2}))
    assert runs.unsealed(run.path, runs.manifest(run.path)) == [
        "controls.jsonl was added after the run had ended",
        "run.json was altered after the run had ended",
    ]


def test_a_seal_of_an_older_version_says_what_it_lacks(tmp_path: Path) -> None:
    run = runs.create(tmp_path, {}, seed=1)
    run.append("bench", {"engine": "a"})
    assert runs.seal_lacks(runs.manifest(run.path)) == ""
    run.close()
    manifest = runs.manifest(run.path)
    del manifest["sealed"]["run.json"]
    assert (runs.unsealed(run.path, manifest), runs.seal_lacks(manifest)) == ([], "sealed without run.json")
    del manifest["sealed"]
    assert (runs.unsealed(run.path, manifest), runs.seal_lacks(manifest)) == ([], "not sealed")


def test_a_full_disk_is_an_error_of_its_own(tmp_path: Path) -> None:
    run = runs.create(tmp_path, {}, seed=1)
    (run.path / "bench.jsonl").symlink_to("/dev/full")
    with pytest.raises(DiskFull, match=r"bench\.jsonl: No space left on device\. Make room"):
        run.append("bench", {"engine": "a"})


def test_a_run_in_which_nothing_ran_is_discarded(tmp_path: Path) -> None:
    run = runs.create(tmp_path, {}, seed=1)
    (run.logs / "broker.log").touch()
    run.discard()
    assert not run.path.exists()
    run = runs.create(tmp_path, {}, seed=1)
    (run.logs / "broker.log").write_text("why it did not start")
    run.discard()
    assert (run.logs / "broker.log").exists()
    run.append("bench", {"engine": "a"})
    run.discard(logs=True)
    assert (run.logs / "broker.log").exists()
    (run.path / "bench.jsonl").unlink()
    run.discard(logs=True)
    assert not run.path.exists()
