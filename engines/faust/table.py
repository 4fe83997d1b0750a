"""One family of rows: a cache over a base that changes only when the store is saved, seldom.

What a commit changed is told once a key, however often it changed; a key that came and went in between is not among it.
What came and went between two saves never touches the base. As long as all rows fit in memory the base is only written.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from engines.faust.base import LAST, Base
from engines.faust.due import Due
from engines.faust.keys import TIME, key_time, time_key

V = TypeVar("V")
CLEAN_ROWS = 200_000
"""Rows kept decoded once they are saved; above it the cache is emptied, which costs one read of the base a row."""


class Table(Generic[V]):
    """Rows by key.

    `due`: with `due_of`, which says of a key and its row when it is due; without, row keys begin with that time.
    `moves`: whether a row may become due later than it was.
    `group_of`: what a key has in common with those among which it is looked for, None if it is looked for alone.
    """

    def __init__(
        self,
        base: Base,
        encode: Callable[[V], bytes],
        decode: Callable[[bytes], V],
        *,
        due: Due | None = None,
        due_of: Callable[[bytes, V], int] | None = None,
        moves: bool = True,
        group_of: Callable[[bytes], bytes | None] | None = None,
    ) -> None:
        self._base, self._encode, self._decode = base, encode, decode
        self.due, self._due_of, self._moves, self._group_of = due, due_of, moves, group_of
        self.added = 0
        """How many rows there are more than when the table was made."""
        self._dirty: dict[bytes, V | None] = {}
        """What changed since the last save, None where deleted."""
        self._new: set[bytes] = set()
        """Keys among it that the base has not."""
        self._clean: dict[bytes, V] = {}
        self._whole: bool | None = None
        """Whether what is neither dirty nor clean does not exist; None: not looked yet."""
        self._groups: dict[bytes, list[bytes]] = {}
        """The keys of groups met since the cache was emptied, in order."""
        self._born: dict[bytes, None] = {}
        """Keys that were not there at the last commit, and are now. In order: to go through many keys in a set's order
        is to miss the processor's caches."""
        self._touched: dict[bytes, None] = {}
        """Keys that were there at the last commit, and have changed."""

    def get(self, key: bytes) -> V | None:
        """Return the row, or None."""
        value = self._dirty.get(key)
        if value is not None or key in self._dirty:
            return value
        value = self._clean.get(key)
        if value is None and not self._whole and not self._is_whole():
            data = self._base.get(key)
            if data is not None:
                value = self._clean[key] = self._decode(data)
        return value

    def insert(self, key: bytes, value: V, due_us: int | None = None) -> None:
        """Write a row that does not exist. `due_us`: when it is due, for who knows it already."""
        if key not in self._dirty:
            self._new.add(key)
        if key not in self._touched:
            self._born[key] = None
        if self._group_of is not None and (group := self._group_of(key)) is not None:
            insort(self._keys(group), key)
        self._dirty[key] = value
        self.added += 1
        if due_us is not None:
            self._due_at(due_us, key)
        elif self.due is not None:
            self.due.push(key if self._due_of is None else time_key(self._due_of(key, value)) + key)

    def replace(self, key: bytes, value: V) -> None:
        """Write a row that exists, and is due when it was, or later."""
        if key not in self._born:
            self._touched[key] = None
        self._dirty[key] = value

    def advance(self, key: bytes, value: V, due_us: int) -> None:
        """Write a row that exists, and is due earlier than it was."""
        self.replace(key, value)
        self._due_at(due_us, key)

    def delete(self, key: bytes) -> None:
        """Remove a row that exists."""
        if key in self._born:
            del self._born[key]
        else:
            self._touched[key] = None
        if self._group_of is not None and (group := self._group_of(key)) is not None:
            keys = self._groups.get(group)
            if keys is not None:
                del keys[bisect_left(keys, key)]
                if not keys and self._whole:
                    del self._groups[group]
        if key in self._new:
            self._new.remove(key)
            del self._dirty[key]
        else:
            self._dirty[key] = None
            self._clean.pop(key, None)
        self.added -= 1

    def group(self, group: bytes) -> Sequence[bytes]:
        """Return the keys of a group, in order. They change with the rows."""
        if (keys := self._groups.get(group)) is not None:
            return keys
        return () if self._whole or self._is_whole() else self._keys(group)

    def between(self, group: bytes, first: bytes, end: bytes) -> list[tuple[bytes, V]]:
        """Return the rows of a group with first <= key < end, in order."""
        keys = self.group(group)
        if not keys:
            return []
        at = bisect_left(keys, first)
        found = keys[at : bisect_left(keys, end, at)]
        return [(key, value) for key in found if (value := self.get(key)) is not None]

    @property
    def next_due(self) -> int:
        """When the next row is due, or was."""
        assert self.due is not None
        return self.due.next

    def begin(self, watermark: int) -> int:
        """Start where all that is due by the watermark is done; return when the next row is due."""
        assert self.due is not None
        # Entries that are hints are looked at again: what was due later when they were taken may not be saved.
        self.due.begin(time_key(watermark + 1) if self._due_of is None else b"")
        return self.due.next

    def take_due(self, watermark: int) -> list[tuple[bytes, V]]:
        """Return the rows that are due by the watermark, in order of time."""
        assert self.due is not None
        due_of, get, rows, in_order = self._due_of, self.get, list[tuple[bytes, V]](), True
        if due_of is None or not self._moves:
            cut = 0 if due_of is None else TIME
            taken = [entry[cut:] for entry in self.due.take(watermark)]
            return [(key, value) for key in taken if (value := get(key)) is not None]
        for entry in self.due.take(watermark):
            key = entry[TIME:]
            value = get(key)
            if value is None:
                continue
            due_us = due_of(key, value)
            if due_us <= watermark:
                rows.append((key, value))
                in_order &= due_us == key_time(entry)
            else:
                self._due_at(due_us, key)
        return rows if in_order else sorted(dict(rows).items(), key=lambda row: (due_of(*row), row[0]))

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Return the keys that changed since the last commit with their rows, None where deleted; in no order."""
        dirty, encode = self._dirty, self._encode
        return [
            (key, None if (value := dirty.get(key)) is None else encode(value))
            for keys in (self._born, self._touched)
            for key in keys
        ]

    def settle(self) -> None:
        """Begin a new commit."""
        self._born, self._touched = {}, {}
        if self.due is not None:
            self.due.settle()

    @property
    def unsaved(self) -> int:
        """How many keys have changed since the last save."""
        return len(self._dirty)

    def unsaved_changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield what the base is to be told."""
        self._is_whole()
        for key, value in self._dirty.items():
            yield key, None if value is None else self._encode(value)

    def unsaved_dues(self) -> Iterator[bytes]:
        """Yield the entries that the base of those is to be told."""
        if self.due is not None and self._due_of is not None:
            for entry in self.due.unsaved():
                if self.get(entry[TIME:]) is not None:
                    yield entry

    def saved(self) -> None:
        """Take the changes as part of the base from now on."""
        for key, value in self._dirty.items():
            if value is not None:
                self._clean[key] = value
        self._dirty, self._new = {}, set()
        if self.due is not None:
            self.due.saved()
        if len(self._clean) > CLEAN_ROWS:
            self._clean, self._groups, self._whole = {}, {}, False

    def scan(self) -> Iterator[tuple[bytes, V]]:
        """Yield all rows, in no order."""
        for key, data in self._base.scan(b"", LAST):
            if key not in self._dirty:
                yield key, self._decode(data)
        for key, value in self._dirty.items():
            if value is not None:
                yield key, value

    def _due_at(self, due_us: int, key: bytes) -> None:
        assert self.due is not None
        self.due.push(time_key(due_us) + key)

    def _is_whole(self) -> bool:
        if self._whole is None:
            self._whole = next(self._base.scan(b"", LAST), None) is None
        return self._whole

    def _keys(self, group: bytes) -> list[bytes]:
        """Return the keys of a group, to be changed."""
        keys = self._groups.get(group)
        if keys is None:
            keys = self._groups[group] = []
            if not self._is_whole():
                for key, data in self._base.scan(group, group + LAST):
                    if self._group_of is None or self._group_of(key) != group:
                        continue
                    if key not in self._dirty:
                        self._clean[key] = self._decode(data)
                    elif self._dirty[key] is None:
                        continue
                    keys.append(key)
        return keys
