"""When rows are due: entries of (time, row key) in order, over a base that changes only when the store is saved.

An entry is a hint: the row may have gone since, or be due later. So nobody has to find and remove the entry of a row
that changes; who takes an entry looks at the row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import islice

from engines.faust.base import LAST, Base
from engines.faust.keys import NEVER, key_time, time_key

READ_AHEAD = 512
"""Entries that are read from the base at a time."""
_NEVER = time_key(NEVER)


class Due:
    """The entries of one table, and what of them the base does not have yet."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._heap: list[bytes] = []
        """What came since the last commit."""
        self._run: list[bytes] = []
        """What came before that and since the last save, in order, of which those before `_at` are taken."""
        self._at = 0
        self._ahead: list[bytes] = []
        """What was read of the base, in order, of which those before `_ahead_at` are taken."""
        self._ahead_at = 0
        self._unread: bytes | None = b""
        """The base is read up to here; None: to its end."""
        self.passed = b""
        """Before this entry the base holds nothing that is still to be taken."""

    def begin(self, first: bytes) -> None:
        """Start over a base, with its first entry that is not before `first`."""
        self._forget()
        self.passed = self._unread = first

    def push(self, entry: bytes) -> None:
        """Add an entry; one that is never due is not kept."""
        if entry < _NEVER:
            heappush(self._heap, entry)

    @property
    def next(self) -> int:
        """The time of the earliest entry, `NEVER` if there is none."""
        first = self._heap[0] if self._heap else _NEVER
        if self._at < len(self._run):
            first = min(first, self._run[self._at])
        if self._read():
            first = min(first, self._ahead[self._ahead_at])
        return key_time(first) if first is not _NEVER else NEVER

    def take(self, watermark: int) -> list[bytes]:
        """Take the entries up to the watermark, in order, none twice."""
        bound = time_key(watermark + 1)
        stop = bisect_left(self._run, bound, self._at)
        taken, self._at = self._run[self._at : stop], stop
        while self._heap and self._heap[0] < bound:
            taken.append(heappop(self._heap))
        while self._read() and self._ahead[self._ahead_at] < bound:
            stop = bisect_left(self._ahead, bound, self._ahead_at)
            taken += self._ahead[self._ahead_at : stop]
            self._ahead_at = stop
        self.passed = max(self.passed, bound)
        return sorted(set(taken)) if len(taken) > 1 else taken

    def settle(self) -> None:
        """Put what came since the last commit in order."""
        if self._heap or self._at:
            self._run = self._run[self._at :] + self._heap
            self._run.sort()
            self._heap, self._at = [], 0

    def unsaved(self) -> Iterator[bytes]:
        """Yield the entries that the base does not have."""
        yield from islice(self._run, self._at, None)
        yield from self._heap

    def saved(self) -> None:
        """Take all entries as part of the base from now on."""
        self._unread = min(self.unsaved(), default=self.passed)
        self._unread = min(self._unread, self.passed)
        self._forget()

    def _forget(self) -> None:
        self._heap, self._run, self._ahead, self._at, self._ahead_at = [], [], [], 0, 0

    def _read(self) -> bool:
        """Read ahead where nothing is left of it; return whether there is anything."""
        if self._ahead_at == len(self._ahead) and self._unread is not None:
            self._ahead = [key for key, _ in islice(self._base.scan(self._unread, LAST), READ_AHEAD)]
            self._ahead_at = 0
            self._unread = self._ahead[-1] + b"\0" if len(self._ahead) == READ_AHEAD else None
        return self._ahead_at < len(self._ahead)
