"""report.html: one file that tells a run to somebody who was not there. It opens from disk and from an e-mail."""

from __future__ import annotations

import sys
from pathlib import Path

from bench import runs
from bench.report.build import render
from bench.text import LONGEST_PROSE, escaped, plain
from engines import files

FILE = "report.html"
ALTERED = 1
"""The exit code for a run that is not as it was when it ended. The page says so as well."""


def main(folder: Path) -> int:
    """Write the report, print where it is; return the exit code. Raises `UnknownName`, `CorruptRun`, `DiskFull`."""
    altered = runs.unsealed(folder, runs.manifest(folder))
    print(escaped(str(write(folder))))
    for line in altered:
        print(plain(line, LONGEST_PROSE), file=sys.stderr)
    return ALTERED if altered else 0


def write(folder: Path) -> Path:
    """Write the report of a run into its folder; return its path. Raises `UnknownName`, `CorruptRun`, `DiskFull`."""
    path = folder / FILE
    files.replace(path, render(folder))
    return path
