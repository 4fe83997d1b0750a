"""The end of `make test`: the slowest tests and deployments of several JUnit files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "slowest.py"
UNIT = "".join(f'<testcase classname="tests.unit.test_a" name="t{n}" time="{n}.5" />' for n in range(12))
COLUMN = """<properties>
<property name="deployment spark-1: 40 expectations" value="52.0" />
<property name="deployment spark-2: EO-01" value="9.0" />
</properties><testcase classname="tests.catalogue.test_catalogue" name="test_expectation[spark-WM-01]" time="600" />"""


def test_the_ten_slowest_of_all_files_are_shown_and_no_column_as_a_test(tmp_path: Path) -> None:
    for name, cases in (("unit.xml", UNIT), ("catalogue.xml", COLUMN)):
        (tmp_path / name).write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    argv = [sys.executable, str(SCRIPT), *map(str, sorted(tmp_path.iterdir()))]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told == [
        "slowest tests:",
        *(f"  {n + 0.5:6.1f} s  tests.unit.test_a::t{n}" for n in range(11, 1, -1)),
        "slowest deployments:",
        "    52.0 s  spark-1: 40 expectations",
        "     9.0 s  spark-2: EO-01",
    ]
