"""The tables of a program's operators as one: one changelog, one store. The rows of several operators have a prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from engines.faust.table import Base, NoBase, Table


class Layout(NamedTuple):
    """How one operator's rows are written and read, and when they are due, if that is kept."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    due_of: Callable[[bytes, Any], bytes] | None


class Tables:
    """A table for each layout, over the same two families; one alone has no prefix."""

    def __init__(self, layouts: Sequence[Layout], rows: Base | None = None, due: Base | None = None) -> None:
        rows, due = rows or NoBase(), due or NoBase()
        self._layouts = layouts
        self._prefixes = [b"" if len(layouts) == 1 else bytes((number,)) for number in range(len(layouts))]
        self.parts: list[Table[Any]] = []
        for prefix, (encode, decode, due_of) in zip(self._prefixes, layouts, strict=True):
            dues = None if due_of is None else Table[bytes](_part(due, prefix), bytes, bytes)
            self.parts.append(Table(_part(rows, prefix), encode, decode, due=dues, due_of=due_of))

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the changed keys of all with their new rows, None where deleted; in no order."""
        for prefix, table in zip(self._prefixes, self.parts, strict=True):
            yield from _prefixed(prefix, table.changes())

    def due_changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the changes of when rows are due."""
        for prefix, table in zip(self._prefixes, self.parts, strict=True):
            if table.due is not None:
                yield from _prefixed(prefix, table.due.changes())

    def due_entry(self, key: bytes, data: bytes) -> tuple[bytes, bytes] | None:
        """Return the entry that says when a row is due, if that is kept."""
        for prefix, (_, decode, due_of) in zip(self._prefixes, self._layouts, strict=True):
            if key.startswith(prefix):
                own = key[len(prefix) :]
                return None if due_of is None else (prefix + due_of(own, decode(data)), own)
        return None

    @property
    def changed(self) -> int:
        """How many keys have changed since the last `settle`."""
        return sum(table.changed for table in self.parts)

    def settle(self) -> None:
        """Take the changes as part of the base from now on."""
        for table in self.parts:
            table.settle()
            if table.due is not None:
                table.due.settle()

    def scan(self) -> Iterator[tuple[int, bytes, Any]]:
        """Yield (number of the operator, key, row) of all."""
        for number, table in enumerate(self.parts):
            for key, row in table.scan(b"", b"\xff" * 16):
                yield number, key, row


class _Part:
    """The rows of a base that begin with a prefix, without it."""

    def __init__(self, base: Base, prefix: bytes) -> None:
        self._base, self._prefix = base, prefix

    def get(self, key: bytes) -> bytes | None:
        return self._base.get(self._prefix + key)

    def scan(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        cut = len(self._prefix)
        for key, data in self._base.scan(self._prefix + first, self._prefix + end):
            yield key[cut:], data


def _part(base: Base, prefix: bytes) -> Base:
    return _Part(base, prefix) if prefix else base


def _prefixed(
    prefix: bytes, changes: Iterator[tuple[bytes, bytes | None]]
) -> Iterator[tuple[bytes, bytes | None]]:  # fmt: skip
    return ((prefix + key, data) for key, data in changes) if prefix else changes
