"""Joins of two streams: pairs of equal key with lo <= right time - left time <= hi, or in one tumbling window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from engines.faust.keys import BEFORE_ALL, NEVER, TIME, Names, group_at, key_of, key_time, time_key
from engines.faust.operators import EVENT_ROW, Emit, Event, Refused, Untimed, encode_json
from engines.faust.table import Table
from semantics.pipeline import How


class JoinRow(msgspec.Struct, gc=False, array_like=True, frozen=True):
    """A buffered row: its event's id and value, and whether it has met a partner (false where nobody asks)."""

    id: str | None
    matched: bool
    value: int


class Interval(NamedTuple):
    """first <= right time - left time <= last, in microseconds, or a window; which of (left, right) has a clock."""

    first_us: int | None
    last_us: int | None
    clocked: tuple[bool, bool]
    window: tuple[int, int] | None = None
    """Size and offset."""

    def partners(self, side: int, time_us: int) -> tuple[int, int]:
        """Return the first and the last time of a row's partners."""
        if self.window is not None:
            size, offset = self.window
            start = time_us - (time_us - offset) % size
            return start, start + size - 1
        first, last = self.first_us, self.last_us
        if side == 0:
            return BEFORE_ALL if first is None else time_us + first, NEVER if last is None else time_us + last
        return BEFORE_ALL if last is None else time_us - last, NEVER if first is None else time_us - first

    def late(self, side: int, time_us: int, watermark: int) -> bool:
        """Return whether a row is late: by its own time, or by its window."""
        if not self.clocked[side] or time_us >= watermark:
            return False
        return self.window is None or self.partners(side, time_us)[1] < watermark

    def due(self, side: int, time_us: int) -> int:
        """Return the watermark at which a row can have no partner any more; it is the *other* side's clock's word."""
        return min(self.partners(side, time_us)[1] + 1, NEVER) if self.clocked[1 - side] else NEVER

    def due_of(self, key: bytes, _: JoinRow) -> int:
        """Return the same of a row."""
        return self.due(key[0], key_time(key, len(key) - 2 * TIME))


class Condition(NamedTuple):
    """What a pair of events, left and right, must fulfil; and what an event must by itself, as the side that it is."""

    holds: Callable[[tuple[Event, Event]], Any]
    own: tuple[Callable[[tuple[Event, Event]], Any], Callable[[tuple[Event, Event]], Any]]


class IntervalJoin(Untimed):
    """Rows by (side, key, time, offset).

    Where none comes out unmatched, those that can have no partner any more may still be there, until the next commit.
    """

    def __init__(
        self, interval: Interval, how: How, where: Condition | None, rows: Table[JoinRow], names: Names, emit: Emit
    ) -> None:
        self._interval, self._where = interval, where
        self._rows, self._names, self._emit = rows, names, emit
        self._preserved = how.keeps_left, how.keeps_right
        self._tells = how.keeps_left or how.keeps_right
        self._pairs, self._semi = how.pairs, how is How.SEMI
        self.due = NEVER

    @staticmethod
    def group_of(key: bytes) -> bytes:
        """Return (side, key) of a row."""
        return key[: -2 * TIME]

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> Refused | None:
        time = event.t
        assert time is not None
        interval, where = self._interval, self._where
        if interval.late(side, time, watermark):
            return Refused.LATE
        group = self._names[event.k].group
        first, last = interval.partners(side, time)
        matched = False
        if event.k is not None and (where is None or where.own[side]((event, event))):
            other = _SIDE[1 - side] + group
            at = len(other)
            for key, partner in self._rows.between(other, other + time_key(first), other + time_key(last + 1)):
                met = Event(partner.value, event.k, partner.id, key_time(key, at))
                left, right = (event, met) if side == 0 else (met, event)
                if where is not None and not where.holds((left, right)):
                    continue
                matched = True
                if self._pairs:
                    self._pair(left, right)
                    if self._preserved[1 - side] and not partner.matched:
                        self._rows.replace(key, JoinRow(partner.id, True, partner.value))
                    continue
                if self._semi:
                    self._pass(left)
                if side == 0:
                    return None  # One partner says all: what has met it need not wait for more.
                self._rows.delete(key)
        elif not self._preserved[side]:
            return None  # What can meet nothing waits only where it will come out unmatched.
        key = _SIDE[side] + group + time_key(time) + offset.to_bytes(TIME, "big")
        due = min(last + 1, NEVER) if interval.clocked[1 - side] else NEVER
        self._rows.insert(key, JoinRow(event.i, matched and self._preserved[side], event.v), due)
        if self._tells:
            self.due = min(self.due, due)
        return None

    def on_watermark(self, watermark: int) -> None:
        for key, row in self._rows.take_due(watermark):
            side = key[0]
            if self._preserved[side] and not row.matched:
                group = group_at(key, 1)
                self._alone(side, Event(row.value, key_of(group), row.id, key_time(key, 1 + len(group))))
            self._rows.delete(key)
        if self._tells:
            self.due = self._rows.next_due

    def tidy(self, watermark: int) -> None:
        if not self._tells:
            self.on_watermark(watermark)

    def recover(self, watermark: int) -> None:
        due = self._rows.begin(watermark)
        self.due = due if self._tells else NEVER

    def _pair(self, left: Event, right: Event) -> None:
        kafka, json, _ = self._names[left.k]
        self._emit(kafka, _PAIR % (json, encode_json(left.i), left.t, encode_json(right.i), right.t))

    def _alone(self, side: int, event: Event) -> None:
        if not self._pairs:
            self._pass(event)
            return
        kafka, json, _ = self._names[event.k]
        self._emit(kafka, _ALONE[side] % (json, encode_json(event.i), event.t))

    def _pass(self, event: Event) -> None:
        assert event.t is not None
        kafka, json, _ = self._names[event.k]
        self._emit(kafka, EVENT_ROW % (json, encode_json(event.i), event.v, b"%d" % event.t))


_SIDE = b"\x00", b"\x01"
_PAIR = b'{"k":%b,"li":%b,"lt":%d,"ri":%b,"rt":%d}'
_ALONE = b'{"k":%b,"li":%b,"lt":%d}', b'{"k":%b,"ri":%b,"rt":%d}'
