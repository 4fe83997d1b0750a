# ruff: noqa: ARG002  (the signature is the protocol's)
"""The operators: pure state machines over an ordered table. No clock, no I/O, no Kafka.

`on_event` judges and takes one event under the watermark before it; `on_watermark` closes what is due, in order of
time. `due` is the watermark from which there may be something to close, so that most events ask nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Protocol, TypeAlias, TypeVar

import msgspec

from engines.faust.keys import NEVER, TIME, Names, key_time, time_key
from engines.faust.table import Table

Emit: TypeAlias = Callable[[bytes | None, bytes], object]
"""Takes a row's Kafka key and its JSON."""
Int64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
LAST = b"\xff" * (2 * TIME)
"""After every row key."""
EVENT_ROW = b'{"k":%b,"i":%b,"v":%d,"t":%b}'
V = TypeVar("V")
encode_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode


class Event(msgspec.Struct, gc=False):
    """One event of an input; times in microseconds since 1970. A key, id or time left out is null."""

    v: Int64
    k: str | None = None
    i: str | None = None
    t: Int64 | None = None


class Refused(Enum):
    """Why an operator did not take an event, which then changed nothing."""

    LATE = "late"
    REPEAT = "repeat"


class Operator(Protocol):
    """What ends a pipeline."""

    due: int

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> Refused | None:
        """Take an event of input `side` (0 left, 1 right), or return why not."""
        ...

    def on_watermark(self, watermark: int) -> None:
        """Close everything due at or before the watermark."""
        ...

    def recover(self, watermark: int) -> None:
        """Start from a table that holds rows."""
        ...


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


class Passing:
    """No state: each event that comes is a row."""

    due = NEVER

    def __init__(self, names: Names, emit: Emit) -> None:
        self._names, self._emit = names, emit

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> None:
        kafka, json, _ = self._names[event.k]
        id, time = encode_json(event.i), encode_json(event.t)
        self._emit(kafka, EVENT_ROW % (json, id, event.v, time))

    def on_watermark(self, watermark: int) -> None:
        pass

    def recover(self, watermark: int) -> None:
        pass
