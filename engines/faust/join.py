"""The interval join: pairs of equal key with lo <= right time - left time <= hi."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from engines.faust.keys import BEFORE_ALL, NEVER, TIME, Names, group_at, key_of, key_time, time_key
from engines.faust.operators import Emit, Event, Refused, due_until, encode_json
from engines.faust.table import Table


class JoinRow(msgspec.Struct, gc=False, array_like=True, frozen=True):
    """A buffered row: its event's id, and whether it has met a partner (false where nobody asks: on an inner side)."""

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

    def due_of(self, key: bytes, _: JoinRow) -> bytes:
        """Return (due, row key) of a row."""
        return time_key(self.due(key[0], key_time(key, len(key) - 2 * TIME))) + key


class IntervalJoin:
    """Rows by (side, key, time, offset), beside them by the watermark at which they are due."""

    def __init__(
        self, interval: Interval, rows: Table[JoinRow], names: Names, emit: Emit, *, preserved: tuple[bool, bool]
    ) -> None:  # fmt: skip
        assert rows.due is not None
        self._interval = interval
        self._rows, self._dues, self._names, self._emit, self._preserved = rows, rows.due, names, emit, preserved
        self._open = BEFORE_ALL
        self.due = NEVER

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> Refused | None:
        time = event.t
        assert time is not None
        lo, hi, clocked = self._interval
        if clocked[side] and time < watermark:
            return Refused.LATE
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
                if self._preserved[1 - side] and not partner.matched:
                    self._rows.put(key, JoinRow(partner.id, True))
        elif not self._preserved[side]:
            return None  # A null key meets nothing: it waits only where it will come out unmatched.
        key = bytes((side,)) + group + time_key(time) + offset.to_bytes(TIME, "big")
        self._rows.put(key, JoinRow(event.i, matched and self._preserved[side]))
        due = self._interval.due(side, time)
        # A row may come when its last partner already could not: then it is due at once, before all others.
        self._open = min(self._open, due)
        self.due = min(self.due, due)
        return None

    def on_watermark(self, watermark: int) -> None:
        closing, self.due = due_until(self._dues, self._open, watermark)
        self._open = watermark + 1
        for _, key in closing:
            side = key[0]
            if self._preserved[side]:
                row = self._rows.get(key)
                assert row is not None, "a due entry without its row"
                if not row.matched:
                    kafka, json, group = self._names[key_of(group_at(key, 1))]
                    self._emit(kafka, _ALONE[side] % (json, encode_json(row.id), key_time(key, 1 + len(group))))
            self._rows.delete(key)

    def recover(self, watermark: int) -> None:
        self._open = watermark + 1
        _, self.due = due_until(self._dues, self._open, watermark)

    def _pair(
        self, kafka: bytes | None, json: bytes, left: str | None, lt: int, right: str | None, rt: int
    ) -> None:  # fmt: skip
        self._emit(kafka, _PAIR % (json, encode_json(left), lt, encode_json(right), rt))


_PAIR = b'{"k":%b,"li":%b,"lt":%d,"ri":%b,"rt":%d}'
_ALONE = b'{"k":%b,"li":%b,"lt":%d}', b'{"k":%b,"ri":%b,"rt":%d}'
