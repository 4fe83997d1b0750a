# ruff: noqa: ARG002  (the signature is the protocol's)
"""Dedup: the first event to arrive of each (key, id) passes, and is remembered for a horizon of event time."""

from __future__ import annotations

from engines.faust.keys import Names
from engines.faust.operators import EVENT_ROW, Emit, Event, Refused, Untimed, encode_json
from engines.faust.table import Table


class Dedup(Untimed):
    """The time of what has passed, by (key, id). What is forgotten may still be there, until the next commit."""

    def __init__(self, horizon_us: int, rows: Table[int], names: Names, emit: Emit) -> None:
        self._horizon, self._rows, self._names, self._emit = horizon_us, rows, names, emit

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> Refused | None:
        time = event.t
        assert time is not None
        if time < watermark:
            return Refused.LATE
        kafka, json, group = self._names[event.k]
        key = group + (event.i or "").encode()
        known = self._rows.get(key)
        if known is None:
            self._rows.insert(key, time, time + self._horizon + 1)
        elif known + self._horizon >= watermark:
            return Refused.REPEAT
        else:
            self._rows.replace(key, time)
        self._emit(kafka, EVENT_ROW % (json, encode_json(event.i), event.v, b"%d" % time))
        return None

    def tidy(self, watermark: int) -> None:
        for key, _ in self._rows.take_due(watermark):
            self._rows.delete(key)

    def recover(self, watermark: int) -> None:
        self._rows.begin(watermark)


def forgotten_at(_: bytes, time_us: int, horizon_us: int) -> int:
    """Return the watermark at which an event that passed is forgotten: the first beyond its horizon."""
    return time_us + horizon_us + 1
