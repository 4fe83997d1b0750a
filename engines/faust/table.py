"""One family of rows, ordered by key: a write-back cache over a base that changes only after a commit.

Reads see the cache over the base, deletions included. A commit's changes are one entry a changed key, however often
it changed; a key that came and went between two commits is not among them.
"""

# ruff: noqa: ARG002  (the signature is the protocol's)
from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

V = TypeVar("V")
CLEAN_ROWS = 200_000
"""Decoded rows kept after their commit; above it the cache is emptied, which costs one read of the base a row."""


_NOTHING_SEEN: tuple[bytes, bytes, bytes | None] = b"\x01", b"", None
"""Of the base since the last commit: it has nothing in [low, high), and this row at `high`, or nothing known there."""
MANY_FRESH = 32
"""New keys above which sorting all beats inserting each."""


class Base(Protocol):
    """What lies under a table: committed rows."""

    def get(self, key: bytes) -> bytes | None: ...
    def scan(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows with first <= key < end, in order."""
        ...


class NoBase:
    """A base without rows: the table is a plain ordered map in memory."""

    def get(self, key: bytes) -> bytes | None:
        return None

    def scan(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(())


class Table(Generic[V]):
    """Rows by key. `due_of` keeps a second table, row keys by the time at which they are due.

    That time may hang on the row too, but is the same as long as the row exists.
    """

    def __init__(
        self,
        base: Base,
        encode: Callable[[V], bytes],
        decode: Callable[[bytes], V],
        *,
        due: Table[bytes] | None = None,
        due_of: Callable[[bytes, V], bytes] | None = None,
    ) -> None:
        self._base = base
        self._encode = encode
        self._decode = decode
        self.due = due
        self._due_of = due_of
        self._dirty: dict[bytes, V | None] = {}
        # The keys of `_dirty`: sorted ones, and those written since the last scan. A table that is never scanned
        # never pays for order.
        self._sorted: list[bytes] = []
        self._fresh: list[bytes] = []
        self._clean: dict[bytes, V] = {}
        self._absent: set[bytes] = set()
        self._ahead = _NOTHING_SEEN

    def get(self, key: bytes) -> V | None:
        """Return the row, or None."""
        value = self._dirty.get(key)
        if value is not None or key in self._dirty:
            return value
        value = self._clean.get(key)
        if value is None and key not in self._absent:
            data = self._base.get(key)
            if data is None:
                self._absent.add(key)
            else:
                value = self._clean[key] = self._decode(data)
        return value

    def put(self, key: bytes, value: V) -> None:
        """Write a row."""
        if self.due is not None and self._due_of is not None and self.get(key) is None:
            due = self._due_of(key, value)
            if key in self._absent:
                self.due._absent.add(due)
            self.due.put(due, key)
        if key not in self._dirty:
            self._fresh.append(key)
        self._dirty[key] = value

    def delete(self, key: bytes) -> None:
        """Remove a row that exists."""
        if self.due is not None and self._due_of is not None:
            value = self.get(key)
            assert value is not None, "a row is deleted that does not exist"
            self.due.delete(self._due_of(key, value))
        if key in self._absent:
            # The base never had it: there is nothing to delete there, nor in the changelog.
            order = self._ordered()
            del self._dirty[key]
            del order[bisect_left(order, key)]
            return
        if key not in self._dirty:
            self._fresh.append(key)
        self._dirty[key] = None

    def scan(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, V]]:
        """Yield the rows with first <= key < end, in order. Finish, or stop, before writing again."""
        order = self._ordered()
        at, stop = bisect_left(order, first), bisect_left(order, end)
        for key, data in self._committed(first, end):
            while at < stop and order[at] < key:
                if (value := self._dirty[order[at]]) is not None:
                    yield order[at], value
                at += 1
            if at < stop and order[at] == key:
                if (value := self._dirty[key]) is not None:
                    yield key, value
                at += 1
            else:
                clean = self._clean.get(key)
                yield key, self._decode(data) if clean is None else clean
        for key in order[at:stop]:
            if (value := self._dirty[key]) is not None:
                yield key, value

    def _committed(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the base's rows. Who looks again and again for the next due row opens the base only to pass it."""
        low, high, data = self._ahead
        if low <= first <= high:
            if high >= end:
                return
            first = high
            if data is not None:
                yield high, data
                first += b"\0"
        for key, data in self._base.scan(first, end):
            self._ahead = first, key, data
            yield key, data
            first = key + b"\0"
        self._ahead = first, end, None

    def _ordered(self) -> list[bytes]:
        if len(self._fresh) > MANY_FRESH:
            self._sorted += self._fresh
            self._sorted.sort()
        else:
            for key in self._fresh:
                insort(self._sorted, key)
        self._fresh.clear()
        return self._sorted

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the changed keys with their new rows, None where deleted; in no order."""
        for key, value in self._dirty.items():
            yield key, None if value is None else self._encode(value)

    @property
    def changed(self) -> int:
        """How many keys have changed since the last `settle`."""
        return len(self._dirty)

    def settle(self) -> None:
        """Take the changes as part of the base from now on."""
        if len(self._clean) + len(self._dirty) > CLEAN_ROWS:
            self._clean.clear()
        for key, value in self._dirty.items():
            if value is None:
                self._clean.pop(key, None)
            else:
                self._clean[key] = value
        self._dirty = {}
        self._sorted = []
        self._fresh = []
        self._absent = set()
        self._ahead = _NOTHING_SEEN
