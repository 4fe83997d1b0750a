"""The command line's answers to bad input: one sentence, the right exit code, nothing on stdout, no traceback."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import runs
from bench.__main__ import main


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        ([], 2, "Name an engine"),
        (["--engine", "sparc"], 2, "Did you mean spark"),
        (["--engine", "reference:lost-updat"], 2, "Did you mean reference:lost-update"),
        (["--bug", "lost-updat"], 2, "Did you mean reference:lost-update"),
        (["--engine", "reference", "--scenario", "runing-count"], 2, "Did you mean running-count"),
        (["--engine", "reference", "--rate", "0"], 2, "--rate"),
        (["--engine", "reference", "--duration", "1"], 2, "--duration"),
        (["--engine", "reference", "--broker", "nowhere"], 2, "--broker is HOST:PORT"),
        (["compare", "--broker", "nowhere"], 2, "--broker is HOST:PORT"),
        (["compare", "--all", "--broker", "nowhere"], 2, "--broker is HOST:PORT"),
    ],
)
def test_usage(argv: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert says in told.err
    assert len(told.err.splitlines()) == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["--engine", "reference", "--broker", "me:canary@broker:9092"],
        ["compare", "--broker", "me:canary@broker:9092"],
        ["soak", "--engine", "faust", "--broker", "me:canary@broker:9092"],
        ["--broker", "canary@broker:9092", "soak", "--engine", "faust"],
        ["micro", "--broker", "me:canary@broker:9092"],
        ["--engine", "reference", "--rate", "me:canary@broker"],
    ],
)
def test_a_password_is_not_repeated(argv: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        sys.exit(main(["--output", str(tmp_path), *argv]))
    assert ended.value.code == 2
    told = capfd.readouterr()
    assert "canary" not in told.out + told.err
    assert list(tmp_path.iterdir()) == []


def test_argparse_keeps_the_same_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--rate", "fast"])
    assert ended.value.code == 2
    assert "fast" in capsys.readouterr().err


def test_an_output_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["--engine", "reference", "--output", str(tmp_path / "file")]) == 4
    assert "Choose another folder with --output" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--engine", "reference"], ["compare"], ["soak", "--engine", "faust"]])
def test_a_run_without_a_broker_leaves_no_folder(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv, "--broker", "127.0.0.1:1", "--output", str(tmp_path)]) == 4
    assert "No broker answers at 127.0.0.1:1" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_jars_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    assert main(["--engine", "reference", "--output", str(tmp_path / "runs")]) == 4
    assert "is missing" in capsys.readouterr().err
    assert list((tmp_path / "runs").iterdir()) == []


def bench(*argv: str, limit: int = resource.RLIM_INFINITY, **streams: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that may write no file longer than `limit` bytes."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *argv],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        **streams,
    )


def test_a_full_disk_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    folder = runs.create(tmp_path, {}, seed=1).path
    before = sorted(folder.iterdir())
    ran = bench("report", str(folder), limit=1000)
    [line] = ran.stderr.splitlines()
    assert ran.returncode == 5
    assert "report.html: File too large. Make room" in line
    assert sorted(folder.iterdir()) == before


def test_a_run_folder_that_finds_no_room_is_not_left(tmp_path: Path) -> None:
    ran = bench("--engine", "reference", "--output", str(tmp_path), limit=100)
    [line] = ran.stderr.splitlines()
    assert ran.returncode == 5
    assert "run.json: File too large. Make room" in line
    assert list(tmp_path.iterdir()) == []


def test_results_that_find_no_room_are_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        ran = bench("list", "--family", "SW", "--engine", "faust", stdout=full)
    assert ran.returncode == 5
    assert ran.stderr == (
        "error: A file cannot be written: No space left on device. Make room under --output and TMPDIR.\n"
    )
