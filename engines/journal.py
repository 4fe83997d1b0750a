"""Histories on disk: one JSON line an entry, appended as it happens, so that a crash of ours loses nothing."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from engines import files
from engines.errors import CorruptRun
from semantics import history, rows
from semantics.history import Entry, History

SCHEMA = 2
_ENTRIES: Mapping[str, type] = {kind.__name__: kind for kind in typing.get_args(history.Entry)}
_ROWS: Mapping[str, type] = {kind.__name__: kind for kind in typing.get_args(rows.Row)}


class Journal:
    """Appends the entries of many histories to one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Without a buffer: what a full disk has refused must not be tried again at the end.
        self._file = path.open("ab", buffering=0)

    def write(self, engine: str, expectation: str, entries: list[Entry]) -> None:
        """Append entries of one history, and hand them to the operating system. Raises `DiskFull`."""
        head = {"schema": SCHEMA, "engine": engine, "expectation": expectation}
        told = [head | {"entry": type(entry).__name__} | _plain(entry) for entry in entries]
        left = b"".join(msgspec.json.encode(entry) + b"\n" for entry in told)
        with files.writing(self._path):
            while left:
                left = left[self._file.write(left) :]

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> list[History]:
    """Read all histories of a file back, in order of first appearance.

    Raises `CorruptRun` with the line's number, `FileNotFoundError`.
    """
    found: dict[tuple[str, str], list[Entry]] = {}
    for number, line in enumerate(files.read(path).splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            break  # We died while we wrote it.
        where = f"{path.name}, line {number}"
        fields = files.decode(line, dict[str, Any], where)
        try:
            if fields.pop("schema") != SCHEMA:
                raise CorruptRun(f"{where}: another schema than {SCHEMA}.")
            name = _text(fields.pop("engine")), _text(fields.pop("expectation"))
            entry = _entry(fields)
        except KeyError as error:
            raise CorruptRun(f"{where}: {error} is missing or unknown.") from error
        except (ValueError, AttributeError, TypeError) as error:
            raise CorruptRun(f"{where}: {error}.") from error
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
    shape = _shape(kind)
    entry: Entry = kind(**{name: _value(name, value, shape[name]) for name, value in fields.items()})
    return entry


def _value(name: str, value: Any, shape: Any) -> Any:
    match name:
        case "row":
            return _row(value)
        case "rows":
            return tuple(map(_row, value))
        case _:
            return msgspec.convert(value, shape)


@functools.cache
def _shape(kind: type) -> dict[str, Any]:
    """Return the types of an entry's fields."""
    return typing.get_type_hints(kind)


def _text(value: Any) -> str:
    return msgspec.convert(value, str)


def _row(fields: dict[str, Any]) -> rows.Row:
    row: rows.Row = msgspec.convert(fields, _ROWS[fields.pop("row")])
    return row
