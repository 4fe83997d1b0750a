"""Print the slowest tests and deployments of JUnit files: `python tests/slowest.py FILE...`.

A cell of the catalogue is no test here: an engine's first cell plays the whole column, deployment by deployment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

SHOWN = 10
DEPLOYMENT = "deployment "
"""Begins the name of a property of the suite whose value is seconds."""


def main(files: Iterable[Path]) -> None:
    """Print the slowest of all files together."""
    suites = [suite for file in files for suite in ElementTree.parse(file).getroot().iter("testsuite")]  # noqa: S314
    for title, found in (("tests", _tests(suites)), ("deployments", _deployments(suites))):
        slowest = sorted(found, reverse=True)[:SHOWN]
        print(f"slowest {title}:", *(f"  {seconds:6.1f} s  {name}" for seconds, name in slowest), sep="\n")


def _tests(suites: Iterable[ElementTree.Element]) -> Iterator[tuple[float, str]]:
    for suite in suites:
        for case in suite.iter("testcase"):
            if not case.get("classname", "").startswith("tests.catalogue"):
                yield float(case.get("time", 0)), f"{case.get('classname')}::{case.get('name')}"


def _deployments(suites: Iterable[ElementTree.Element]) -> Iterator[tuple[float, str]]:
    for suite in suites:
        for told in suite.iterfind("properties/property"):
            name, value = told.get("name", ""), told.get("value", "")
            if name.startswith(DEPLOYMENT):
                yield float(value), name.removeprefix(DEPLOYMENT)


if __name__ == "__main__":
    main(map(Path, sys.argv[1:]))
