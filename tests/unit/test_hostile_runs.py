"""Run folders that somebody else has made: one line and an exit code for each, no traceback, nothing overwritten."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bench import runs
from bench.__main__ import main
from bench.suite import Suite
from engines import files
from engines.errors import EnvironmentNotReady
from engines.memory import MemoryLog
from semantics.catalogue import find

Spoil = Callable[[Path], object]
DEEP = b"[" * 100_000
ENTRY = b'{"schema":2,"engine":"reference","expectation":"SW-07",'
BENCH = b'{"engine":"e","title":"t","outcome":"right","reason":"","figures":'


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a complete run of one expectation on the reference."""
    run = runs.create(tmp_path_factory.mktemp("runs"), {"rate": 1.0}, seed=1)
    suite = Suite(run, kafka=MemoryLog, progress=lambda _: None)
    asyncio.run(suite.run("reference", [find("SW-07")]))
    suite.close()
    run.close()
    return run.path


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "received"))


def whole(name: str, data: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(data)


def more(name: str, line: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(
        ((folder / name).read_bytes() if (folder / name).exists() else b"") + line + b"\n"
    )


def swap(name: str, old: bytes, new: bytes) -> Spoil:
    def spoil(folder: Path) -> None:
        before = (folder / name).read_bytes()
        assert old in before
        (folder / name).write_bytes(before.replace(old, new, 1))

    return spoil


def instead(name: str, make: Callable[[Path], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return spoil


def linked(to: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(to)


CORRUPT: dict[str, Spoil] = {
    "manifest not UTF-8": whole("run.json", b'{"status":"\xff"}'),
    "manifest deep": whole("run.json", b'{"arguments":' + DEEP),
    "manifest a list": whole("run.json", b"[]"),
    "manifest empty": whole("run.json", b""),
    "manifest without facts": whole("run.json", b"{}"),
    "manifest of another schema": swap("run.json", b'"schema": 1', b'"schema": 2'),
    "arguments a list": swap("run.json", b'"arguments": {', b'"arguments": [], "old": {'),
    "rate a text": swap("run.json", b'"rate": 1.0', b'"rate": "fast"'),
    "status a list": swap("run.json", b'"complete"', b"[1]"),
    "host null": swap("run.json", b'"host": {', b'"host": null, "old": {'),
    "engines a text": swap("run.json", b'"engines": {', b'"engines": "x", "old": {'),
    "seal a list": swap("run.json", b'"sealed": {', b'"sealed": [1], "old": {'),
    "seal without a digest": swap("run.json", b'"sha256"', b'"sha"'),
    "manifest a link": instead("run.json", linked("/etc/passwd")),
    "manifest a pipe": instead("run.json", os.mkfifo),
    "manifest a folder": instead("run.json", Path.mkdir),
    "history not UTF-8": more("history.jsonl", b'{"schema":2,"engine":"\xff"}'),
    "history deep": more("history.jsonl", b'{"schema":' + DEEP),
    "history a device": instead("history.jsonl", linked("/dev/zero")),
    "history a pipe": instead("history.jsonl", os.mkfifo),
    "history a folder": instead("history.jsonl", Path.mkdir),
    "an engine that is no text": more("history.jsonl", ENTRY.replace(b'"reference"', b"7") + b'"entry":"DeadLetters"}'),
    "an entry that is unknown": more("history.jsonl", ENTRY + b'"entry":[]}'),
    "an offset that is a text": swap("history.jsonl", b'"first":0', b'"first":"0"'),
    "a watermark that is a list": swap("history.jsonl", b'"watermark_us":', b'"watermark_us":[],"late":'),
    "a row that is a number": more("history.jsonl", ENTRY + b'"entry":"Unseen","rows":[5]}'),
    "letters that are a number": swap("history.jsonl", b'"letters":[]', b'"letters":5'),
    "verdicts not UTF-8": more("verdicts.jsonl", b'{"engine":"\xff"}'),
    "verdicts deep": more("verdicts.jsonl", b'{"engine":' + DEEP),
    "verdicts a list": more("verdicts.jsonl", b"[]"),
    "verdicts a pipe": instead("verdicts.jsonl", os.mkfifo),
    "a verdict of no text": swap("verdicts.jsonl", b'"SW-07"', b"null"),
    "a script that is a number": swap("verdicts.jsonl", b'"script":[', b'"script":5,"old":['),
    "a step below zero": swap("verdicts.jsonl", b'"step":null', b'"step":-99'),
    "another record a link": instead("x.jsonl", linked("/etc/passwd")),
}
UNSHOWN: dict[str, Spoil] = {
    "figures a list": more("bench.jsonl", BENCH + b"[]}"),
    "a record without fields": more("bench.jsonl", b"{}"),
    "latency a text": more(
        "bench.jsonl",
        BENCH + b'{"samples":1,"latency_ns":{"p50":"fast"},"cpu_s_per_million":1,"state":{}}}',
    ),
    "latency endless": more(
        "bench.jsonl",
        BENCH + b'{"samples":1,"latency_ns":{"p50":' + b"9" * 400 + b'},"cpu_s_per_million":1,"state":{}}}',
    ),
    "controls a number": more("controls.jsonl", b'{"engine":"e","caught_by":7}'),
}


@pytest.mark.parametrize("spoil", CORRUPT.values(), ids=CORRUPT.keys())
def test_a_corrupt_run_is_one_line(folder: Path, spoil: Spoil, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(folder)
    for command in ("check", "report"):
        assert main([command, str(folder)]) == 1
        told = capsys.readouterr()
        [line] = (told.out + told.err).splitlines()
        assert "corrupt run: " in line
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize("spoil", UNSHOWN.values(), ids=UNSHOWN.keys())
def test_a_record_that_cannot_be_shown_is_one_line(
    folder: Path, spoil: Spoil, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(folder)
    assert main(["report", str(folder)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "corrupt run: " in line


def test_a_report_is_not_written_through_a_link(folder: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (folder / "report.html").symlink_to(victim)
    assert main(["report", str(folder)]) == 0
    assert victim.read_text() == "precious"
    assert not (folder / "report.html").is_symlink()
    assert (folder / "report.html").read_bytes().startswith(b"<!doctype html>")


def test_a_report_is_not_written_into_a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "report.html")
    assert main(["report", str(folder)]) == 0
    assert (folder / "report.html").is_file()


def test_a_report_that_cannot_be_written_leaves_no_draft(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "report.html").mkdir()
    before = sorted(folder.iterdir())
    assert main(["report", str(folder)]) == 4
    [line] = capsys.readouterr().err.splitlines()
    assert "Is a directory" in line
    assert sorted(folder.iterdir()) == before


def test_control_codes_and_line_ends_are_escaped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2Jx\n5 cells judged again: the same verdicts.\u202e[red]"
    record = {"schema": 2, "engine": hostile, "expectation": hostile, "entry": "DeadLetters", "letters": []}
    more("history.jsonl", msgspec.json.encode(record))(folder)
    more("verdicts.jsonl", msgspec.json.encode(record | {"verdict": "holds", "reason": hostile}))(folder)
    moved = folder.rename(folder.with_name("\x1b[31mred\nfolder"))
    (moved / f"{hostile.replace('/', '')}.jsonl").touch()
    for argv in (["check"], ["report"], ["explain", "SW-07", "--engine", "reference", "--run"], ["check"]):
        main([*argv, str(moved)])
        told = capsys.readouterr()
        lines = (told.out + told.err).splitlines()
        assert not [line for line in lines if line.startswith("5 cells")]
        assert all(char.isprintable() for line in lines for char in line)
    moved.rename(moved.with_name("\x1bgone"))
    assert main(["check", str(moved)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.isprintable()


@pytest.mark.parametrize("name", ["run.json", "x" * 300, ""])
def test_what_is_no_folder_is_usage(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder.parent)
    for command in ("check", "report"):
        assert main([command, str(folder / name) if name else ""]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert "No run folder" in line


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentNotReady, match=r"file/x: Not a directory"):
        files.replace(tmp_path / "file" / "x", b"")


def test_a_run_folder_may_be_named_by_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(folder)
    assert main(["report", str(tmp_path / "latest")]) == 0
    assert (folder / "report.html").is_file()


def test_a_file_larger_than_any_record_is_not_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "history.jsonl").open("r+b") as file:
        file.truncate(files.MOST_BYTES + 1)
    assert main(["check", str(folder)]) == 1
    assert "more than the" in capsys.readouterr().out
