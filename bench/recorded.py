"""docs/verdicts.json: the verdicts of the last recorded runs, kept with the sources so that pages can be made of them.

`make readme` writes it beside README.md. A verdict is of the script that was played: when the catalogue has another one
now, `Recorded.verdict` no longer gives it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.runs import manifest
from bench.suite import read_scripts, read_verdicts, script_of
from engines import files, registry
from engines.errors import CorruptRun
from semantics.expectation import Expectation
from semantics.verdict import Value

FILE = Path(__file__).resolve().parent.parent / "docs" / "verdicts.json"


class Cell(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One verdict. `script`: the digest of what was played."""

    value: str
    script: str
    reason: str = ""
    """Of what does not hold."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """Verdicts by engine and expectation id, and when and of which commits they were recorded."""

    date: str
    commits: list[str]
    cells: dict[str, dict[str, Cell]]
    older: dict[str, list[str]] = {}
    """Variant -> the commits of its verdicts that earlier records hold. Variants are played rarely: one takes hours."""

    def verdict(self, engine: str, expectation: Expectation) -> Cell | None:
        """Return the cell, if there is one and it is of the script that the catalogue has now."""
        cell = self.cells.get(engine, {}).get(expectation.id)
        return cell if cell and cell.script == digest(script_of(expectation)) else None


def record(folders: Sequence[Path], before: Recorded | None = None) -> Recorded:
    """Return the verdicts of these run folders; later ones win. Raises `CorruptRun`, `UnknownName`.

    `before`: the record whose verdicts of variants stay where these runs have none.
    """
    cells: dict[str, dict[str, Cell]] = {}
    about: list[Mapping[str, Any]] = []
    for folder in folders:
        about.append(manifest(folder))
        played = read_scripts(folder)
        for engine, column in read_verdicts(folder).items():
            if not registry.get(engine)[0].needs_broker:
                continue  # The oracle compared with itself is no evidence.
            for id, verdict in column.items():
                reason = "" if verdict.value is Value.HOLDS else verdict.reason
                cells.setdefault(engine, {})[id] = Cell(
                    value=verdict.value.value, reason=reason, script=digest(played.get((engine, id), []))
                )
    commits = list(dict.fromkeys(each["versions"]["weir"] for each in about))
    before = before or Recorded(date="", commits=[], cells={})
    older: dict[str, list[str]] = {}
    for name, earlier in before.cells.items():
        now = cells.get(name, {})
        if registry.get(name)[1] and not earlier.keys() <= now.keys():
            cells[name], older[name] = earlier | now, before.older.get(name, before.commits)
    return Recorded(date=about[-1]["started"][:10], commits=commits, cells=cells, older=older)


def load(path: Path = FILE) -> Recorded:
    """Read the file. Raises `CorruptRun`."""
    try:
        return files.decode(files.read(path), Recorded, str(path))
    except (FileNotFoundError, CorruptRun) as error:
        raise CorruptRun(f"{error} Write it with `make readme RUNS=...`.") from error


def save(recorded: Recorded, path: Path = FILE) -> None:
    """Write the file, a verdict a line."""
    columns = []
    for engine, column in recorded.cells.items():
        cells = ",\n".join(f"  {_json(id)}: {_json(cell)}" for id, cell in column.items())
        columns.append(f"{_json(engine)}: {{\n{cells}\n}}")
    head = f'{{"date": {_json(recorded.date)}, "commits": {_json(recorded.commits)}, "older": {_json(recorded.older)}, '
    head += '"cells": {\n'
    path.write_text(head + ",\n".join(columns) + "\n}}\n")


def digest(script: Sequence[str]) -> str:
    """Return a short digest of a script as recorded."""
    return hashlib.sha256("\n".join(script).encode()).hexdigest()[:8]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
