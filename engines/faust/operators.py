# ruff: noqa: ARG002  (the signature is the protocol's)
"""The operators: pure state machines over an ordered table. No clock, no I/O, no Kafka.

`on_event` judges and takes one event under the watermark before it; `on_watermark` closes what is due, in order of
time. `due` is the watermark from which there may be something to close, so that most events ask nothing. What is only
forgotten, and nobody is told, is forgotten in `tidy`, once a commit.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Protocol, TypeAlias

import msgspec

from engines.faust.keys import NEVER, Names

Emit: TypeAlias = Callable[[bytes | None, bytes], object]
"""Takes a row's Kafka key and its JSON."""
Int64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
EVENT_ROW = b'{"k":%b,"i":%b,"v":%d,"t":%b}'
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

    def tidy(self, watermark: int) -> None:
        """Forget what is of no use any more. Called before each commit."""
        ...

    def recover(self, watermark: int) -> None:
        """Start from a table that holds rows."""
        ...


class Untimed:
    """What nothing is ever due for."""

    due = NEVER

    def on_watermark(self, watermark: int) -> None:
        pass

    def tidy(self, watermark: int) -> None:
        pass

    def recover(self, watermark: int) -> None:
        pass


class Passing(Untimed):
    """No state: each event that comes is a row."""

    def __init__(self, names: Names, emit: Emit) -> None:
        self._names, self._emit = names, emit

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> None:
        kafka, json, _ = self._names[event.k]
        id, time = encode_json(event.i), encode_json(event.t)
        self._emit(kafka, EVENT_ROW % (json, id, event.v, time))
