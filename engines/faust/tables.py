"""The tables of a program's operators as one: one changelog, one store. The rows of several operators have a prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from engines.faust.base import Base, NoBase, Part
from engines.faust.due import Due
from engines.faust.keys import NEVER, time_key
from engines.faust.table import Table


class Layout(NamedTuple):
    """How one operator's rows are written and read, when they are due, and among which others they are looked for."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    due_of: Callable[[bytes, Any], int] | None = None
    moves: bool = True
    """Whether a row may become due later than it was."""
    by_time: bool = False
    """Whether row keys begin with the time at which they are due."""
    group_of: Callable[[bytes], bytes | None] | None = None


class Tables:
    """A table for each layout, over the same two families; one alone has no prefix."""

    def __init__(self, layouts: Sequence[Layout], rows: Base | None = None, due: Base | None = None) -> None:
        rows, due = rows or NoBase(), due or NoBase()
        self._layouts = layouts
        self.keep_dues = any(layout.due_of for layout in layouts)
        """Whether when rows are due is kept apart from them."""
        self._prefixes = [b"" if len(layouts) == 1 else bytes((number,)) for number in range(len(layouts))]
        self.parts: list[Table[Any]] = []
        for prefix, (encode, decode, due_of, moves, by_time, group_of) in zip(self._prefixes, layouts, strict=True):
            base, dues = _part(rows, prefix), None
            if by_time or due_of is not None:
                dues = Due(base if by_time else _part(due, prefix))
            made = Table(base, encode, decode, due=dues, due_of=due_of, moves=moves, group_of=group_of)
            self.parts.append(made)

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Return the keys that changed since the last commit with their rows, None where deleted; in no order."""
        if len(self.parts) == 1:
            return self.parts[0].changes()
        parts = zip(self._prefixes, self.parts, strict=True)
        return [(prefix + key, data) for prefix, table in parts for key, data in table.changes()]

    def settle(self) -> None:
        """Begin a new commit."""
        for table in self.parts:
            table.settle()

    @property
    def added(self) -> int:
        """How many rows there are more than when the tables were made."""
        return sum(table.added for table in self.parts)

    @property
    def unsaved(self) -> int:
        """How many keys have changed since the last save."""
        return sum(table.unsaved for table in self.parts)

    def unsaved_changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield what the rows' base is to be told."""
        for prefix, table in zip(self._prefixes, self.parts, strict=True):
            yield from _prefixed(prefix, table.unsaved_changes())

    def unsaved_dues(self) -> Iterator[bytes]:
        """Yield the entries that the base of those is to be told."""
        for prefix, table in zip(self._prefixes, self.parts, strict=True):
            yield from (prefix + entry for entry in table.unsaved_dues())

    def passed_dues(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the ranges of entries, first and end, that nobody asks for any more."""
        for prefix, table, layout in zip(self._prefixes, self.parts, self._layouts, strict=True):
            if table.due is not None and layout.due_of is not None:
                yield prefix, prefix + table.due.passed

    def due_entry(self, key: bytes, data: bytes) -> bytes | None:
        """Return the entry that says when a row is due, if it ever is and that is kept apart."""
        for prefix, layout in zip(self._prefixes, self._layouts, strict=True):
            if key.startswith(prefix):
                own = key[len(prefix) :]
                due_us = NEVER if layout.due_of is None else layout.due_of(own, layout.decode(data))
                return None if due_us >= NEVER else prefix + time_key(due_us) + own
        return None

    def check(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Raise any error where a row, None if deleted, cannot be one of an operator's. Costs 0.3 us a row."""
        decodes = {prefix: layout.decode for prefix, layout in zip(self._prefixes, self._layouts, strict=True)}
        if b"" in decodes:
            [decode] = decodes.values()
            for data in rows.values():
                if data is not None:
                    decode(data)
            return
        for key, data in rows.items():
            decode = decodes[key[:1]]
            if data is not None:
                decode(data)

    def saved(self) -> None:
        """Take the changes as part of the base from now on."""
        for table in self.parts:
            table.saved()

    def scan(self) -> Iterator[tuple[int, bytes, Any]]:
        """Yield (number of the operator, key, row) of all, in no order."""
        for number, table in enumerate(self.parts):
            for key, row in table.scan():
                yield number, key, row


def _part(base: Base, prefix: bytes) -> Base:
    return Part(base, prefix) if prefix else base


def _prefixed(
    prefix: bytes, changes: Iterator[tuple[bytes, bytes | None]]
) -> Iterator[tuple[bytes, bytes | None]]:  # fmt: skip
    return ((prefix + key, data) for key, data in changes) if prefix else changes
