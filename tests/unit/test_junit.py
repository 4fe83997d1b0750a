"""The XML of `pytest --junitxml`: one case for each cell, its verdict among the properties."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]


def test_the_xml_holds_the_verdict_of_every_cell(tmp_path: Path) -> None:
    argv = ["-c", str(ROOT / "pyproject.toml"), str(ROOT / "tests" / "catalogue"), "--engine", "reference"]
    argv += ["-k", "SW-07 or EO-01", "--junitxml", "cells.xml", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *argv], cwd=tmp_path, capture_output=True, text=True, check=False
    )
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
