"""The operators: pure state machines over an ordered table. No clock, no I/O, no Kafka.

`on_event` judges and takes one event under the watermark before it; `on_watermark` closes what is due, in order of
time. `due` is the watermark from which there may be something to close, so that most events ask nothing.
"""

# ruff: noqa: ARG002  (the signature is the protocol's)
from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import add
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar

import msgspec

from engines.faust.keys import BEFORE_ALL, NEVER, Names, group_at, key_of, key_time, time_key
from engines.faust.table import Table
from semantics.pipeline import Function

Emit = Callable[[bytes | None, bytes], object]
"""Takes a row's Kafka key and its JSON."""
Sums = tuple[int, ...]
"""The aggregates of one row; a session's begins with its start."""
Int64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
TIME = 8
"""Bytes of a time in a row key."""
LAST = b"\xff" * (2 * TIME)
"""After every row key."""
KEYS_REMEMBERED = 100_000
V = TypeVar("V")


class Event(msgspec.Struct, gc=False):
    """One event of an input; times in microseconds since 1970. A key, id or time left out is null."""

    v: Int64
    k: str | None = None
    i: str | None = None
    t: Int64 | None = None


class Operator(Protocol):
    """What ends a pipeline."""

    due: int

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> bool:
        """Take an event of input `side` (0 left, 1 right); return False if it is late, and changed nothing."""
        ...

    def on_watermark(self, watermark: int) -> None:
        """Close everything due at or before the watermark."""
        ...

    def recover(self, watermark: int) -> None:
        """Start from a table that holds rows."""
        ...


class Functions:
    """The aggregate functions of a pipeline on tuples of integers, which have no largest value."""

    def __init__(self, functions: Sequence[Function]) -> None:
        self._count = [function is Function.COUNT for function in functions]
        self._ones = (1,) * len(functions) if all(self._count) else ()
        """What an event adds where all functions count: it need not be made anew."""
        fields = b"".join(b',"%s":%%d' % function.value.encode() for function in functions)
        self.running_row = b'{"k":%b' + fields + b"}"
        self.window_row = b'{"k":%b,"s":%d,"e":%d' + fields + b"}"

    def first(self, value: int) -> Sums:
        return self._ones or tuple([1 if count else value for count in self._count])

    def add(self, sums: Sums, value: int) -> Sums:
        return tuple(map(add, sums, self._ones or self.first(value)))

    def merge(self, one: Sums, other: Sums) -> Sums:
        return tuple(map(add, one, other))


def encode_sums(sums: Sums) -> bytes:
    """Return decimal digits: exact at any size."""
    return b" ".join(b"%d" % number for number in sums)


def decode_sums(data: bytes) -> Sums:
    """Return what `encode_sums` wrote."""
    return tuple(map(int, data.split()))


def due_until(table: Table[V], first_us: int, watermark: int) -> tuple[list[tuple[bytes, V]], int]:
    """Return the rows due from `first_us` to the watermark, of a table in order of time, and when the next one is due.

    `first_us`: nothing is due before it any more, so that the scan does not pass over all that was deleted there.
    """
    due: list[tuple[bytes, V]] = []
    for key, value in table.scan(time_key(first_us), LAST):
        if (time := key_time(key)) > watermark:
            return due, time
        due.append((key, value))
    return due, NEVER


class Running:
    """An aggregate without a window: a row for each event, with the value that its key then has."""

    due = NEVER

    def __init__(self, functions: Functions, rows: Table[Sums], names: Names, emit: Emit) -> None:
        self._functions, self._rows, self._names, self._emit = functions, rows, names, emit

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> bool:
        kafka, json, group = self._names[event.k]
        rows, functions = self._rows, self._functions
        sums = rows.get(group)
        sums = functions.first(event.v) if sums is None else functions.add(sums, event.v)
        rows.put(group, sums)
        self._emit(kafka, functions.running_row % (json, *sums))
        return True

    def on_watermark(self, watermark: int) -> None:
        pass

    def recover(self, watermark: int) -> None:
        pass


class Tumbling:
    """Windows by (end, key): the order in which they close."""

    def __init__(
        self, size_us: int, functions: Functions, rows: Table[Sums], names: Names, emit: Emit, *, final: bool
    ) -> None:
        self._size = size_us
        self._functions, self._rows, self._names, self._emit, self._final = functions, rows, names, emit, final
        self._open = BEFORE_ALL
        self.due = NEVER

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> bool:
        assert event.t is not None
        end = event.t - event.t % self._size + self._size
        if end <= watermark:
            return False
        kafka, json, group = self._names[event.k]
        key = time_key(end) + group
        sums = self._rows.get(key)
        if sums is None:
            sums = self._functions.first(event.v)
            self.due = min(self.due, end)
        else:
            sums = self._functions.add(sums, event.v)
        self._rows.put(key, sums)
        if not self._final:
            self._emit(kafka, self._functions.window_row % (json, end - self._size, end, *sums))
        return True

    def on_watermark(self, watermark: int) -> None:
        closing, self.due = due_until(self._rows, self._open, watermark)
        self._open = watermark + 1
        for key, sums in closing:
            if self._final:
                kafka, json, _ = self._names[key_of(key[TIME:])]
                end = key_time(key)
                self._emit(kafka, self._functions.window_row % (json, end - self._size, end, *sums))
            self._rows.delete(key)

    def recover(self, watermark: int) -> None:
        self._open = watermark + 1
        _, self.due = due_until(self._rows, self._open, watermark)


class Session:
    """Sessions by (key, end), beside them by end. The sessions of a key neither overlap nor touch."""

    def __init__(
        self, gap_us: int, functions: Functions, rows: Table[Sums], names: Names, emit: Emit, *, final: bool
    ) -> None:
        assert rows.due is not None
        self._gap, self._dues = gap_us, rows.due
        self._functions, self._rows, self._names, self._emit, self._final = functions, rows, names, emit, final
        self._open = BEFORE_ALL
        self._ends: dict[bytes, list[int]] = {}
        """The ends of the open sessions of keys met lately: a look into the table for each event costs a seek."""
        self.due = NEVER

    @staticmethod
    def due_of(key: bytes) -> bytes:
        """Return (end, key) of a row key (key, end)."""
        return key[-TIME:] + key[:-TIME]

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> bool:
        assert event.t is not None
        kafka, json, group = self._names[event.k]
        start = event.t
        end = reach = start + self._gap
        ends = self._ends_of(group)
        merged = []
        for other in ends:
            if other >= event.t:
                session = self._rows.get(group + time_key(other))
                assert session is not None, "a session that is open without its row"
                if session[0] <= reach:
                    merged.append((other, session))
                    start, end = min(start, session[0]), max(end, other)
        if end <= watermark:
            return False
        sums = self._functions.first(event.v)
        for other, session in merged:
            sums = self._functions.merge(sums, session[1:])
            ends.remove(other)
            if other != end:
                self._rows.delete(group + time_key(other))
        self._rows.put(group + time_key(end), (start, *sums))
        ends.append(end)
        self.due = min(self.due, end)
        if not self._final:
            self._emit(kafka, self._functions.window_row % (json, start, end, *sums))
        return True

    def on_watermark(self, watermark: int) -> None:
        closing, self.due = due_until(self._dues, self._open, watermark)
        self._open = watermark + 1
        for due, key in closing:
            session, group, end = self._rows.get(key), key[:-TIME], key_time(due)
            assert session is not None, "a due entry without its row"
            if self._final:
                kafka, json, _ = self._names[key_of(group)]
                self._emit(kafka, self._functions.window_row % (json, session[0], end, *session[1:]))
            self._rows.delete(key)
            if group in self._ends:
                self._ends[group].remove(end)

    def recover(self, watermark: int) -> None:
        self._open = watermark + 1
        self._ends.clear()
        _, self.due = due_until(self._dues, self._open, watermark)

    def _ends_of(self, group: bytes) -> list[int]:
        ends = self._ends.get(group)
        if ends is None:
            if len(self._ends) >= KEYS_REMEMBERED:
                self._ends.clear()
            rows = self._rows.scan(group, group + b"\xff" * TIME)
            ends = self._ends[group] = [key_time(key, len(group)) for key, _ in rows]
        return ends


class JoinRow(msgspec.Struct, gc=False, array_like=True, frozen=True):
    """A buffered row: its event's id, and whether it has met a partner (kept only where unmatched rows come out)."""

    id: str | None
    matched: bool = False


class Interval(NamedTuple):
    """lo <= right time - left time <= hi, in microseconds, and which of (left, right) has a clock."""

    lo_us: int
    hi_us: int
    clocked: tuple[bool, bool]

    def due(self, side: int, time_us: int) -> int:
        """Return the watermark at which a row can have no partner any more; it is the *other* side's clock's word."""
        if not self.clocked[1 - side]:
            return NEVER
        return time_us + (self.hi_us if side == 0 else -self.lo_us) + 1

    def due_of(self, key: bytes) -> bytes:
        """Return (due, row key) of a row key."""
        return time_key(self.due(key[0], key_time(key, len(key) - 2 * TIME))) + key


class IntervalJoin:
    """Rows by (side, key, time, offset), beside them by the watermark at which they are due."""

    def __init__(
        self, interval: Interval, rows: Table[JoinRow], names: Names, emit: Emit, *, left_outer: bool
    ) -> None:  # fmt: skip
        assert rows.due is not None
        self._interval = interval
        self._rows, self._dues, self._names, self._emit, self._outer = rows, rows.due, names, emit, left_outer
        self._open = BEFORE_ALL
        self.due = NEVER

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> bool:
        time = event.t
        assert time is not None
        lo, hi, clocked = self._interval
        if clocked[side] and time < watermark:
            return False
        kafka, json, group = self._names[event.k]
        matched = False
        if event.k is not None:
            # rt - lt in [lo, hi]: seen from the left, partners lie in [lt + lo, lt + hi]; from the right mirrored.
            first, last = (time + lo, time + hi) if side == 0 else (time - hi, time - lo)
            other = bytes((1 - side,)) + group
            at = len(other)
            for key, partner in list(self._rows.scan(other + time_key(first), other + time_key(last + 1))):
                partner_time, matched = key_time(key, at), True
                if side == 0:
                    self._pair(kafka, json, event.i, time, partner.id, partner_time)
                else:
                    self._pair(kafka, json, partner.id, partner_time, event.i, time)
                    if self._outer and not partner.matched:
                        self._rows.put(key, JoinRow(partner.id, True))
        elif side == 1 or not self._outer:
            return True  # A null key meets nothing: only an outer left row has anything to wait for.
        key = bytes((side,)) + group + time_key(time) + offset.to_bytes(TIME, "big")
        self._rows.put(key, JoinRow(event.i, matched and self._outer and side == 0))
        due = self._interval.due(side, time)
        # A row may come when its last partner already could not: then it is due at once, before all others.
        self._open = min(self._open, due)
        self.due = min(self.due, due)
        return True

    def on_watermark(self, watermark: int) -> None:
        closing, self.due = due_until(self._dues, self._open, watermark)
        self._open = watermark + 1
        for _, key in closing:
            if self._outer and key[0] == 0:
                row = self._rows.get(key)
                assert row is not None, "a due entry without its row"
                if not row.matched:
                    kafka, json, group = self._names[key_of(group_at(key, 1))]
                    self._emit(kafka, _LEFT_ONLY % (json, _json(row.id), key_time(key, 1 + len(group))))
            self._rows.delete(key)

    def recover(self, watermark: int) -> None:
        self._open = watermark + 1
        _, self.due = due_until(self._dues, self._open, watermark)

    def _pair(
        self, kafka: bytes | None, json: bytes, left: str | None, lt: int, right: str | None, rt: int
    ) -> None:  # fmt: skip
        self._emit(kafka, _PAIR % (json, _json(left), lt, _json(right), rt))


_PAIR = b'{"k":%b,"li":%b,"lt":%d,"ri":%b,"rt":%d}'
_LEFT_ONLY = b'{"k":%b,"li":%b,"lt":%d}'
_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode


class Passing:
    """No state: each event that comes is a row."""

    due = NEVER

    def __init__(self, names: Names, emit: Emit) -> None:
        self._names, self._emit = names, emit

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> bool:
        kafka, json, _ = self._names[event.k]
        self._emit(kafka, b'{"k":%b,"i":%b,"v":%b,"t":%b}' % (json, _json(event.i), _json(event.v), _json(event.t)))
        return True

    def on_watermark(self, watermark: int) -> None:
        pass

    def recover(self, watermark: int) -> None:
        pass
