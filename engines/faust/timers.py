# ruff: noqa: ARG002  (the signature is the protocol's)
"""Timers of processing time: they fire when a task has processed all that had come by then."""

from __future__ import annotations

from typing import Protocol

import msgspec

from engines.faust.keys import BEFORE_ALL, NEVER, Names, key_of
from engines.faust.operators import EVENT_ROW, Emit, Event, Untimed, encode_json
from engines.faust.table import Table


class Timed(Protocol):
    """An operator with timers. `wakes`: there is nothing to fire before, in microseconds since 1970."""

    wakes: int

    def on_time(self, now_us: int) -> None:
        """Fire what is due at or before."""
        ...


class Wall:
    """The processing time of one program, as it is told, and those who wait for it."""

    def __init__(self) -> None:
        self.now_us = 0
        self.timers: list[Timed] = []

    @property
    def wakes(self) -> int:
        """The first instant at which a timer may fire."""
        return min((timer.wakes for timer in self.timers), default=NEVER)


class Heard(msgspec.Struct, gc=False, array_like=True, frozen=True):
    """The last event to arrive of a key, and when it was processed."""

    id: str | None
    time_us: int | None
    value: int
    at_us: int


class Listening(Untimed):
    """The last event to arrive of each key that is not silent yet."""

    def __init__(self, after_us: int, rows: Table[Heard], names: Names, emit: Emit, wall: Wall) -> None:
        self._after, self._rows, self._names, self._emit, self._wall = after_us, rows, names, emit, wall
        self.wakes = NEVER
        wall.timers.append(self)

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> None:
        group, heard = self._names[event.k].group, Heard(event.i, event.t, event.v, self._wall.now_us)
        known, due = self._rows.get(group), heard.at_us + self._after
        if known is None:
            self._rows.insert(group, heard, due)
        elif heard.at_us < known.at_us:
            self._rows.advance(group, heard, due)  # The clock on the wall was put back.
        else:
            self._rows.replace(group, heard)
        self.wakes = min(self.wakes, due)

    def on_time(self, now_us: int) -> None:
        for key, heard in self._rows.take_due(now_us):
            kafka, json, _ = self._names[key_of(key)]
            self._emit(kafka, EVENT_ROW % (json, encode_json(heard.id), heard.value, encode_json(heard.time_us)))
            self._rows.delete(key)
        self.wakes = self._rows.next_due

    def recover(self, watermark: int) -> None:
        self.wakes = self._rows.begin(BEFORE_ALL)


def heard_until(_: bytes, heard: Heard, after_us: int) -> int:
    """Return when a row's key is silent."""
    return heard.at_us + after_us
