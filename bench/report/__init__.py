"""report.html: one file that tells a run to somebody who was not there. It opens from disk and from an e-mail."""

from __future__ import annotations

from pathlib import Path

from bench.report.build import render

FILE = "report.html"


def main(folder: Path) -> int:
    """Write the report, print where it is; return the exit code. Raises `UnknownName`, `CorruptRun`."""
    print(write(folder))
    return 0


def write(folder: Path) -> Path:
    """Write the report of a run into its folder; return its path. Raises `UnknownName`, `CorruptRun`."""
    path = folder / FILE
    path.write_bytes(render(folder))
    return path
