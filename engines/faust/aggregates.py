# ruff: noqa: ARG002  (the signature is the protocol's)
"""Aggregates: for ever, in tumbling and hopping windows, in sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from engines.faust.functions import Functions, Sums
from engines.faust.keys import BEFORE_ALL, NEVER, TIME, Names, key_of, key_time, time_key
from engines.faust.operators import Emit, Event, Refused, due_until
from engines.faust.table import Table

KEYS_REMEMBERED = 100_000


class Running:
    """An aggregate without a window: a row for each event, with the value that its key then has."""

    due = NEVER

    def __init__(self, functions: Functions, rows: Table[Sums], names: Names, emit: Emit) -> None:
        self._functions, self._rows, self._names, self._emit = functions, rows, names, emit

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> None:
        kafka, json, group = self._names[event.k]
        rows, functions = self._rows, self._functions
        sums = rows.get(group)
        sums = functions.first(event) if sums is None else functions.add(sums, event)
        rows.put(group, sums)
        self._emit(kafka, functions.running_row % (json, *sums))

    def on_watermark(self, watermark: int) -> None:
        pass

    def recover(self, watermark: int) -> None:
        pass


class Expiring:
    """An aggregate without a window that forgets a key: rows begin with the time of the key's latest event."""

    def __init__(self, ttl_us: int, functions: Functions, rows: Table[Sums], names: Names, emit: Emit) -> None:
        assert rows.due is not None
        self._ttl, self._functions, self._rows, self._dues = ttl_us, functions, rows, rows.due
        self._names, self._emit = names, emit
        self._open = BEFORE_ALL
        self.due = NEVER

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> None:
        assert event.t is not None
        kafka, json, group = self._names[event.k]
        row = self._rows.get(group)
        if row is None:
            last, sums = event.t, self._functions.first(event)
        else:
            last, sums = max(row[0], event.t), self._functions.add(row[1:], event)
            if last != row[0]:
                self._rows.delete(group)  # When it is due changes, and so does its place among what is.
        self._rows.put(group, (last, *sums))
        due = last + self._ttl + 1
        # An event may come when its key would have been forgotten already: then it is due at once.
        self._open, self.due = min(self._open, due), min(self.due, due)
        self._emit(kafka, self._functions.running_row % (json, *sums))

    def on_watermark(self, watermark: int) -> None:
        expired, self.due = due_until(self._dues, self._open, watermark)
        self._open = watermark + 1
        for _, key in expired:
            self._rows.delete(key)

    def recover(self, watermark: int) -> None:
        self._open = watermark + 1
        _, self.due = due_until(self._dues, self._open, watermark)


def expiry_key(key: bytes, row: Sums, ttl_us: int) -> bytes:
    """Return (when it is forgotten, key) of a row."""
    return time_key(row[0] + ttl_us + 1) + key


class Span(NamedTuple):
    """The windows [k*slide + offset, k*slide + offset + size), in microseconds, each final `grace` after its end."""

    size_us: int
    slide_us: int
    offset_us: int
    grace_us: int

    def ends_after(self, first_us: int, time_us: int) -> range:
        """Return the ends above `first_us` of the windows that hold an instant."""
        latest = time_us - (time_us - self.offset_us) % self.slide_us
        return range(latest + self.size_us, max(first_us, time_us), -self.slide_us)


class Windows:
    """Tumbling and hopping windows by (end, key): the order in which they close."""

    def __init__(
        self, span: Span, functions: Functions, rows: Table[Sums], names: Names, emit: Emit, *, final: bool,
        top: int | None = None,
    ) -> None:  # fmt: skip
        self._span, self._top = span, top
        self._functions, self._rows, self._names, self._emit, self._final = functions, rows, names, emit, final
        self._open = BEFORE_ALL
        """No window that ends before it is open."""
        self.due = NEVER

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> Refused | None:
        assert event.t is not None
        size, _, _, grace = self._span
        ends = self._span.ends_after(watermark - grace, event.t)
        if not ends:
            return Refused.LATE
        kafka, json, group = self._names[event.k]
        rows, functions = self._rows, self._functions
        for end in ends:
            key = time_key(end) + group
            sums = rows.get(key)
            if sums is None:
                sums = functions.first(event)
                self.due = min(self.due, end + grace)
            else:
                sums = functions.add(sums, event)
            rows.put(key, sums)
            if not self._final:
                self._emit(kafka, functions.window_row % (json, end - size, end, *sums))
        return None

    def on_watermark(self, watermark: int) -> None:
        size, _, _, grace = self._span
        closing, due = due_until(self._rows, self._open, watermark - grace)
        self._open, self.due = watermark - grace + 1, due + grace
        for key, sums in closing if self._top is None else self._highest(closing, self._top):
            if self._final:
                kafka, json, _ = self._names[key_of(key[TIME:])]
                end = key_time(key)
                self._emit(kafka, self._functions.window_row % (json, end - size, end, *sums))
        for key, _ in closing:
            self._rows.delete(key)

    def _highest(self, closing: list[tuple[bytes, Sums]], top: int) -> Iterator[tuple[bytes, Sums]]:
        """Yield the rows of each window whose first aggregate is highest; at equal ones by key, null last."""

        def rank(row: tuple[bytes, Sums]) -> tuple[Any, bool, str]:
            key = key_of(row[0][TIME:])
            return -self._functions.number(row[1]), key is None, key or ""

        for _, rows in groupby(closing, key=lambda row: row[0][:TIME]):
            yield from sorted(rows, key=rank)[:top]

    def recover(self, watermark: int) -> None:
        grace = self._span.grace_us
        self._open = watermark - grace + 1
        self.due = due_until(self._rows, self._open, watermark - grace)[1] + grace


class Session:
    """Sessions by (key, end), beside them by end. The sessions of a key neither overlap nor touch."""

    def __init__(
        self,
        gap_us: int | Callable[[Event], int],
        grace_us: int,
        functions: Functions,
        rows: Table[Sums],
        names: Names,
        emit: Emit,
        *,
        final: bool,
        longest_us: int | None = None,
    ) -> None:
        assert rows.due is not None
        self._longest = longest_us
        self._gap = gap_us if isinstance(gap_us, int) else 0
        self._gap_of = None if isinstance(gap_us, int) else gap_us
        self._grace, self._dues = grace_us, rows.due
        self._functions, self._rows, self._names, self._emit, self._final = functions, rows, names, emit, final
        self._open = BEFORE_ALL
        """No session that ends before it is open."""
        self._ends: dict[bytes, list[int]] = {}
        """The ends of the open sessions of keys met lately: a look into the table for each event costs a seek."""
        self.due = NEVER

    @staticmethod
    def due_of(key: bytes, _: Sums) -> bytes:
        """Return (end, key) of a row key (key, end): the grace is the same for all."""
        return key[-TIME:] + key[:-TIME]

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> Refused | None:
        assert event.t is not None
        start = first = event.t
        gap = self._gap
        if self._gap_of is not None and (gap := self._gap_of(event)) <= 0:
            return None
        kafka, json, group = self._names[event.k]
        end = reach = start + gap
        if self._longest is not None:
            cut = start - start % self._longest + self._longest
            # What touches across a cut is not met: at this end of the span, and where it begins.
            if end >= cut:
                end, reach = cut, cut - 1
            if start == cut - self._longest:
                first += 1
        ends = self._ends_of(group)
        merged = []
        for other in ends:
            if other >= first:
                session = self._rows.get(group + time_key(other))
                assert session is not None, "a session that is open without its row"
                if session[0] <= reach:
                    merged.append((other, session))
                    start, end = min(start, session[0]), max(end, other)
        if end + self._grace <= watermark:
            return Refused.LATE
        sums = self._functions.first(event)
        for other, session in merged:
            sums = self._functions.merge(session[1:], sums)
            ends.remove(other)
            if other != end:
                self._rows.delete(group + time_key(other))
        self._rows.put(group + time_key(end), (start, *sums))
        ends.append(end)
        self.due = min(self.due, end + self._grace)
        if not self._final:
            self._emit(kafka, self._functions.window_row % (json, start, end, *sums))
        return None

    def on_watermark(self, watermark: int) -> None:
        closing, due = due_until(self._dues, self._open, watermark - self._grace)
        self._open, self.due = watermark - self._grace + 1, due + self._grace
        for ended, key in closing:
            session, group, end = self._rows.get(key), key[:-TIME], key_time(ended)
            assert session is not None, "a due entry without its row"
            if self._final:
                kafka, json, _ = self._names[key_of(group)]
                self._emit(kafka, self._functions.window_row % (json, session[0], end, *session[1:]))
            self._rows.delete(key)
            if group in self._ends:
                self._ends[group].remove(end)

    def recover(self, watermark: int) -> None:
        self._open = watermark - self._grace + 1
        self._ends.clear()
        self.due = due_until(self._dues, self._open, watermark - self._grace)[1] + self._grace

    def _ends_of(self, group: bytes) -> list[int]:
        ends = self._ends.get(group)
        if ends is None:
            if len(self._ends) >= KEYS_REMEMBERED:
                self._ends.clear()
            rows = self._rows.scan(group, group + b"\xff" * TIME)
            ends = self._ends[group] = [key_time(key, len(group)) for key, _ in rows]
        return ends
