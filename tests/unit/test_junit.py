"""The XML of `pytest --junitxml`: one case for each cell, its verdict among the properties."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]


def played(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    argv = ["-c", str(ROOT / "pyproject.toml"), str(ROOT / "tests" / "catalogue"), "--engine", "reference", *more]
    asked = [sys.executable, "-m", "pytest", *argv, "-p", "no:cacheprovider"]
    return subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=False)


def test_the_catalogue_is_not_spread_over_processes(tmp_path: Path) -> None:
    ran = played(tmp_path, "-k", "SW-07", "-n", "1")
    assert ran.returncode == 1
    assert "play it without `-n`" in ran.stdout
    assert not (tmp_path / "runs").exists()


def test_the_xml_holds_the_verdict_of_every_cell(tmp_path: Path) -> None:
    ran = played(tmp_path, "-k", "SW-07 or EO-01", "--junitxml", "cells.xml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    suite = ElementTree.parse(tmp_path / "cells.xml").getroot().find("testsuite")  # noqa: S314  (written just now)
    assert suite is not None
    assert {count: suite.get(count) for count in ("tests", "errors", "failures", "skipped")} == {
        "tests": "2",
        "errors": "0",
        "failures": "0",
        "skipped": "1",
    }
    [deployment] = suite.iterfind("properties/property")
    assert deployment.get("name") == "deployment reference-1: SW-07"
    assert float(deployment.get("value", "")) > 0
    told = [{p.get("name"): p.get("value") for p in case.iter("property")} for case in suite.iter("testcase")]
    assert told == [
        {"weir_id": "SW-07", "weir_engine": "reference", "weir_verdict": "holds"},
        {"weir_id": "EO-01", "weir_engine": "reference", "weir_verdict": "unsupported"},
    ]
