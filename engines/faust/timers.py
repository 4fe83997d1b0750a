# ruff: noqa: ARG002  (the signature is the protocol's)
"""Timers of processing time: they fire when a task has processed all that had come by then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from engines.faust.keys import BEFORE_ALL, NEVER, Names, key_of, time_key
from engines.faust.operators import EVENT_ROW, Emit, Event, due_until, encode_json
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


class Listening:
    """The last event to arrive of each key that is not silent yet: a row a key, beside it by when it is silent."""

    due = NEVER

    def __init__(self, after_us: int, rows: Table[Heard], names: Names, emit: Emit, wall: Wall) -> None:
        assert rows.due is not None
        self._after, self._rows, self._dues, self._names, self._emit = after_us, rows, rows.due, names, emit
        self._wall = wall
        self._open = BEFORE_ALL
        """Nobody waits for an earlier instant."""
        self.wakes = NEVER
        wall.timers.append(self)

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> None:
        group, now = self._names[event.k].group, self._wall.now_us
        if self._rows.get(group) is not None:
            self._rows.delete(group)  # When it is due changes, and so does its place among what is.
        self._rows.put(group, Heard(event.i, event.t, event.v, now))
        due = now + self._after
        self._open, self.wakes = min(self._open, due), min(self.wakes, due)

    def on_time(self, now_us: int) -> None:
        silent, self.wakes = due_until(self._dues, self._open, now_us)
        self._open = now_us + 1
        for _, key in silent:
            heard = self._rows.get(key)
            assert heard is not None, "a due entry without its row"
            kafka, json, _ = self._names[key_of(key)]
            self._emit(kafka, EVENT_ROW % (json, encode_json(heard.id), heard.value, encode_json(heard.time_us)))
            self._rows.delete(key)

    def on_watermark(self, watermark: int) -> None:
        pass

    def recover(self, watermark: int) -> None:
        self._open = BEFORE_ALL
        _, self.wakes = due_until(self._dues, BEFORE_ALL, BEFORE_ALL)


def due_of(after_us: int) -> Callable[[bytes, Heard], bytes]:
    """Return what makes (when its key is silent, key) of a row."""
    return lambda key, heard: time_key(heard.at_us + after_us) + key
