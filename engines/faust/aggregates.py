# ruff: noqa: ARG002  (the signature is the protocol's)
"""Aggregates: for ever, in tumbling and hopping windows, in sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from engines.faust.functions import Functions, Sums
from engines.faust.keys import NEVER, TIME, Names, key_of, key_time, time_key
from engines.faust.operators import Emit, Event, Refused, Untimed
from engines.faust.table import Table


class Running(Untimed):
    """An aggregate without a window: a row for each event, with the value that its key then has."""

    def __init__(self, functions: Functions, rows: Table[Sums], names: Names, emit: Emit) -> None:
        self._functions, self._rows, self._names, self._emit = functions, rows, names, emit

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> None:
        self.on_events((event,))

    def on_events(self, events: Iterable[Event]) -> None:
        """Take many events: nothing but the key of each matters."""
        names, get, insert, replace = self._names, self._rows.get, self._rows.insert, self._rows.replace
        first, add, emit, row = self._functions.first, self._functions.add, self._emit, self._functions.running_row
        for event in events:
            kafka, json, group = names[event.k]
            sums = get(group)
            if sums is None:
                sums = first(event)
                insert(group, sums)
            else:
                sums = add(sums, event)
                replace(group, sums)
            emit(kafka, row % (json, *sums))


class Expiring(Untimed):
    """An aggregate without a window that forgets a key: rows begin with the time of the key's latest event."""

    def __init__(self, ttl_us: int, functions: Functions, rows: Table[Sums], names: Names, emit: Emit) -> None:
        self._ttl, self._functions, self._rows, self._names, self._emit = ttl_us, functions, rows, names, emit
        self.due = NEVER

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> None:
        assert event.t is not None
        kafka, json, group = self._names[event.k]
        row = self._rows.get(group)
        if row is None:
            last, sums = event.t, self._functions.first(event)
            self._rows.insert(group, (last, *sums))
        else:
            last, sums = max(row[0], event.t), self._functions.add(row[1:], event)
            self._rows.replace(group, (last, *sums))
        self.due = min(self.due, last + self._ttl + 1)
        self._emit(kafka, self._functions.running_row % (json, *sums))

    def on_watermark(self, watermark: int) -> None:
        for key, _ in self._rows.take_due(watermark):
            self._rows.delete(key)
        self.due = self._rows.next_due

    def recover(self, watermark: int) -> None:
        self.due = self._rows.begin(watermark)


def expiry(_: bytes, row: Sums, ttl_us: int) -> int:
    """Return the watermark at which a row is forgotten."""
    last: int = row[0]
    return last + ttl_us + 1


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


class Windows(Untimed):
    """Tumbling and hopping windows by (end, key): the order in which they close."""

    def __init__(
        self, span: Span, functions: Functions, rows: Table[Sums], names: Names, emit: Emit, *, final: bool,
        top: int | None = None,
    ) -> None:  # fmt: skip
        self._span, self._top = span, top
        self._functions, self._rows, self._names, self._emit, self._final = functions, rows, names, emit, final
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
                rows.insert(key, sums)
                self.due = min(self.due, end + grace)
            else:
                sums = functions.add(sums, event)
                rows.replace(key, sums)
            if not self._final:
                self._emit(kafka, functions.window_row % (json, end - size, end, *sums))
        return None

    def on_watermark(self, watermark: int) -> None:
        size, _, _, grace = self._span
        closing = self._rows.take_due(watermark - grace)
        for key, sums in closing if self._top is None else self._highest(closing, self._top):
            if self._final:
                kafka, json, _ = self._names[key_of(key[TIME:])]
                end = key_time(key)
                self._emit(kafka, self._functions.window_row % (json, end - size, end, *sums))
        for key, _ in closing:
            self._rows.delete(key)
        self.due = self._rows.next_due + grace

    def _highest(self, closing: list[tuple[bytes, Sums]], top: int) -> Iterator[tuple[bytes, Sums]]:
        """Yield the rows of each window whose first aggregate is highest; at equal ones by key, null last."""

        def rank(row: tuple[bytes, Sums]) -> tuple[Any, bool, str]:
            key = key_of(row[0][TIME:])
            return -self._functions.number(row[1]), key is None, key or ""

        for _, rows in groupby(closing, key=lambda row: row[0][:TIME]):
            yield from sorted(rows, key=rank)[:top]

    def recover(self, watermark: int) -> None:
        grace = self._span.grace_us
        self.due = self._rows.begin(watermark - grace) + grace


class Session(Untimed):
    """Sessions by (key, start), their ends before their sums. The sessions of a key neither overlap nor touch."""

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
        self._longest = longest_us
        self._gap = gap_us if isinstance(gap_us, int) else 0
        self._gap_of = None if isinstance(gap_us, int) else gap_us
        self._grace = grace_us
        self._functions, self._rows, self._names, self._emit, self._final = functions, rows, names, emit, final
        self.due = NEVER

    @staticmethod
    def due_of(_: bytes, session: Sums) -> int:
        """Return the end of a session: the grace is the same for all."""
        end: int = session[0]
        return end

    @staticmethod
    def group_of(key: bytes) -> bytes:
        """Return the group of a session."""
        return key[:-TIME]

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
        rows, at, merged = self._rows, len(group), []
        for key in rows.group(group):
            began = key_time(key, at)
            if began > reach:
                break
            session = rows.get(key)
            assert session is not None, "a key of a group without its row"
            if session[0] >= first:
                merged.append((key, session))
                start, end = min(start, began), max(end, session[0])
        if end + self._grace <= watermark:
            return Refused.LATE
        sums, place, known = self._functions.first(event), group + time_key(start), False
        for key, session in merged:
            sums = self._functions.merge(session[1:], sums)
            if key == place:
                known = True
            else:
                rows.delete(key)
        if known:
            rows.replace(place, (end, *sums))
        else:
            rows.insert(place, (end, *sums), end)
        self.due = min(self.due, end + self._grace)
        if not self._final:
            self._emit(kafka, self._functions.window_row % (json, start, end, *sums))
        return None

    def on_watermark(self, watermark: int) -> None:
        for key, session in self._rows.take_due(watermark - self._grace):
            if self._final:
                group = key[:-TIME]
                kafka, json, _ = self._names[key_of(group)]
                row = json, key_time(key, len(group)), *session
                self._emit(kafka, self._functions.window_row % row)
            self._rows.delete(key)
        self.due = self._rows.next_due + self._grace

    def recover(self, watermark: int) -> None:
        self.due = self._rows.begin(watermark - self._grace) + self._grace
