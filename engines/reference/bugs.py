"""Planted bugs: mistakes that engines really make, each one part of the machine exchanged.

They are lies by design: every variant declares the contract's rules, so that an expectation must catch it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from semantics.oracle import PARTS, Parts, Task
from semantics.oracle.clocks import Clock
from semantics.oracle.join import IntervalJoin, Kept
from semantics.oracle.operator import Aggregating
from semantics.oracle.session import Sessions, Span
from semantics.oracle.simple import Running
from semantics.oracle.window import Windows
from semantics.timeline import Event, Raw


class _FallingClock(Clock):
    """Follows the newest event instead of the highest."""

    def see(self, input: str, lane: int, time_us: int) -> None:
        if input in self.delays:
            self.tops[input, lane] = time_us

    def advance(self) -> None:
        self.before = self.now
        self.now = self.reading()


class _EndInclusive(Windows):
    """Takes (start, end] for [start, end)."""

    def starts_of(self, time_us: int) -> Sequence[int]:
        return super().starts_of(time_us - 1)


class _ByEventTime(Aggregating):
    """Judges an event by its own time, as if it were its window's end."""

    def is_late(self, time_us: int, end_us: int, before: int) -> bool:
        del end_us
        return time_us < before


class _WindowsByEventTime(_ByEventTime, Windows):
    pass


class _SessionsByEventTime(_ByEventTime, Sessions):
    pass


class _StartLost(Sessions):
    """Lets a merged session start where its latest part starts."""

    def start_of(self, time_us: int, met: Sequence[Span]) -> int:
        return max([time_us, *(span.start_us for span in met)])


class _OneNeighbour(Sessions):
    """Merges an event with one of the two sessions that it bridges."""

    def met(self, spans: Sequence[Span], start_us: int, end_us: int) -> list[Span]:
        return super().met(spans, start_us, end_us)[:1]


class _BoundExclusive(IntervalJoin):
    """Takes < for <=."""

    def within(self, distance_us: int) -> bool:
        return self.lo_us < distance_us < self.hi_us


class _MatchForgotten(IntervalJoin):
    """Never notes that a left row was matched."""

    def settle(self, row: Kept) -> None:
        pass


class _StaleReads(Aggregating):
    """Adds to what a key had before the batch, so that of its updates in one batch the last wins."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.read: dict[Hashable, list[int] | None] = {}

    def raised(self, slot: Hashable, values: list[int] | None, event: Event) -> list[int]:
        return super().raised(slot, self.read.setdefault(slot, values), event)


class _StaleRunning(_StaleReads, Running):
    pass


class _StaleWindows(_StaleReads, Windows):
    pass


class _BatchTask(Task):
    """Tells the operator where a batch begins."""

    def feed(self, events: Sequence[Event | Raw]) -> None:
        if isinstance(self.operator, _StaleReads):
            self.operator.read.clear()
        super().feed(events)


@dataclass(frozen=True, slots=True)
class Bug:
    """A planted bug: what it does, and the part that does it."""

    says: str
    parts: Parts


BUGS = {
    "watermark-falls": Bug("the watermark follows the newest event, down too", Parts(clock=_FallingClock)),
    "end-inclusive": Bug("an event at a window's end counts in that window", Parts(windows=_EndInclusive)),
    "late-by-event-time": Bug(
        "an event below the watermark is dropped while its window is open",
        Parts(windows=_WindowsByEventTime, sessions=_SessionsByEventTime),
    ),
    "session-start-lost": Bug("a merged session starts where its latest part does", Parts(sessions=_StartLost)),
    "bridge-one-neighbour": Bug("an event between two sessions merges with one of them", Parts(sessions=_OneNeighbour)),
    "join-bound-exclusive": Bug("a pair exactly at a join's bound is lost", Parts(join=_BoundExclusive)),
    "null-beside-match": Bug("a matched left row comes out null-padded too", Parts(join=_MatchForgotten)),
    "lost-update": Bug(
        "two updates of one key in one batch count once",
        Parts(task=_BatchTask, running=_StaleRunning, windows=_StaleWindows),
    ),
}
"""By name, as in `reference:<bug>`."""


def parts(variant: str) -> Parts:
    """Return what the variant's machine is made of."""
    return BUGS[variant].parts if variant else PARTS
