"""Histories on disk: one JSON line an entry, appended as it happens, so that a crash of ours loses nothing."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from engines.errors import CorruptRun
from semantics import history, rows
from semantics.history import Entry, History

SCHEMA = 2
_ENTRIES: Mapping[str, type] = {kind.__name__: kind for kind in typing.get_args(history.Entry)}
_ROWS: Mapping[str, type] = {kind.__name__: kind for kind in typing.get_args(rows.Row)}


class Journal:
    """Appends the entries of many histories to one file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def write(self, engine: str, expectation: str, entries: list[Entry]) -> None:
        """Append entries of one history, and hand them to the operating system."""
        for entry in entries:
            head = {"schema": SCHEMA, "engine": engine, "expectation": expectation, "entry": type(entry).__name__}
            self._file.write(msgspec.json.encode(head | _plain(entry)) + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> list[History]:
    """Read all histories of a file back, in order of first appearance. Raises `CorruptRun` with the line's number."""
    found: dict[tuple[str, str], list[Entry]] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                break  # We died while we wrote it.
            try:
                fields = msgspec.json.decode(line)
                if fields.pop("schema") != SCHEMA:
                    raise CorruptRun(f"{path.name}, line {number}: another schema than {SCHEMA}.")
                name = fields.pop("engine"), fields.pop("expectation")
                entry = _entry(fields)
            except (msgspec.MsgspecError, AttributeError, KeyError, TypeError) as error:
                raise CorruptRun(f"{path.name}, line {number}: {error}.") from error
            if isinstance(entry, history.Again):
                found[name] = [entry]
            else:
                found.setdefault(name, []).append(entry)
    return [History(expectation, engine, tuple(entries)) for (engine, expectation), entries in found.items()]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        fields = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"row": type(value).__name__, **fields} if type(value).__name__ in _ROWS else fields
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _entry(fields: dict[str, Any]) -> Entry:
    kind = _ENTRIES[fields.pop("entry")]
    if not isinstance(fields.get("step", 0), int):
        raise TypeError(f"a step is a number, not {fields['step']!r}")
    if "row" in fields:
        fields["row"] = _row(fields["row"])
    if "rows" in fields:
        fields["rows"] = tuple(_row(row) for row in fields["rows"])
    if "letters" in fields:
        fields["letters"] = tuple(history.Letter(**letter) for letter in fields["letters"])
    if "killed" in fields:
        fields["killed"] = tuple(fields["killed"])
    entry: Entry = kind(**fields)
    return entry


def _row(fields: dict[str, Any]) -> rows.Row:
    row: rows.Row = msgspec.convert(fields, _ROWS[fields.pop("row")])
    return row
