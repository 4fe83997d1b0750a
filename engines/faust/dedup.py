# ruff: noqa: ARG002  (the signature is the protocol's)
"""Dedup: the first event to arrive of each (key, id) passes, and is remembered for a horizon of event time."""

from __future__ import annotations

from engines.faust.keys import BEFORE_ALL, NEVER, Names, time_key
from engines.faust.operators import EVENT_ROW, Emit, Event, Refused, due_until, encode_json
from engines.faust.table import Table


class Dedup:
    """The time of what has passed, by (key, id); beside it by the watermark at which it is forgotten."""

    def __init__(self, horizon_us: int, rows: Table[int], names: Names, emit: Emit) -> None:
        assert rows.due is not None
        self._horizon, self._rows, self._dues, self._names, self._emit = horizon_us, rows, rows.due, names, emit
        self._open = BEFORE_ALL
        self.due = NEVER

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> Refused | None:
        time = event.t
        assert time is not None
        if time < watermark:
            return Refused.LATE
        kafka, json, group = self._names[event.k]
        key = group + (event.i or "").encode()
        if self._rows.get(key) is not None:
            return Refused.REPEAT
        self._rows.put(key, time)
        self.due = min(self.due, forgotten_at(time, self._horizon))
        self._emit(kafka, EVENT_ROW % (json, encode_json(event.i), event.v, b"%d" % time))
        return None

    def on_watermark(self, watermark: int) -> None:
        forgotten, self.due = due_until(self._dues, self._open, watermark)
        self._open = watermark + 1
        for _, key in forgotten:
            self._rows.delete(key)

    def recover(self, watermark: int) -> None:
        self._open = watermark + 1
        _, self.due = due_until(self._dues, self._open, watermark)


def forgotten_at(time_us: int, horizon_us: int) -> int:
    """Return the watermark at which an event that passed is forgotten: the first beyond its horizon."""
    return time_us + horizon_us + 1


def due_key(key: bytes, time_us: int, horizon_us: int) -> bytes:
    """Return (when it is forgotten, key) of a row."""
    return time_key(forgotten_at(time_us, horizon_us)) + key
