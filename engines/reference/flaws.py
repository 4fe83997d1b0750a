"""Parts of the machine that lie: each overrides the one decision that it gets wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from semantics.oracle import Parts, Task
from semantics.oracle.clocks import BEFORE_ALL, Clock, Dump
from semantics.oracle.dedup import Deduping
from semantics.oracle.join import IntervalJoin, Kept, Side
from semantics.oracle.operator import NEVER, Aggregating, Missed, Numbers, Operator, joined
from semantics.oracle.session import Sessions, Span
from semantics.oracle.simple import Running, parse
from semantics.oracle.window import Windows
from semantics.pipeline import Dedup, Function, Pipeline
from semantics.rows import Row
from semantics.rules import Rules
from semantics.time import T0_US
from semantics.timeline import Event, Raw

# The clock.


class FallingClock(Clock):
    """Follows the newest event instead of the highest."""

    def see(self, name: str, lane: int, time_us: int) -> None:
        self.tops[name, lane] = time_us

    def moved(self, now: int, reading: int) -> int:
        del now
        return reading


class Unguarded(Clock):
    """Believes any time."""

    def ahead(self, name: str, lane: int, time_us: int, most_us: int) -> bool:
        del name, lane, time_us, most_us
        return False


class DelayTwice(Clock):
    """Subtracts the delay from what is a watermark already."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.delays = {input: 2 * delay for input, delay in self.delays.items()}


# Windows and what is aggregated in them.


class EndInclusive(Windows):
    """Takes (start, end] for [start, end)."""

    def starts_of(self, time_us: int) -> Sequence[int]:
        return super().starts_of(time_us - 1)


class HopMissed(Windows):
    """Leaves out the earliest of several windows that hold an event."""

    def starts_of(self, time_us: int) -> Sequence[int]:
        starts = super().starts_of(time_us)
        return starts[:-1] if len(starts) > 1 else starts


class NegativeMisaligned(Windows):
    """Divides as C and Java do, towards zero."""

    def start_of(self, time_us: int) -> int:
        start, since_1970 = super().start_of(time_us), time_us + T0_US - self.offset_us
        return start + self.slide_us if since_1970 < 0 and since_1970 % self.slide_us else start


class OffsetIgnored(Windows):
    """Aligns windows as if they had no offset."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.offset_us = 0


class WindowGraceIgnored(Windows):
    """Closes windows at their end."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.grace_us = 0


class SessionGraceIgnored(Sessions):
    """Closes sessions at their end."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.grace_us = 0


class ByEventTime(Aggregating):
    """Judges an event by its own time, as if it were its window's end."""

    def is_late(self, time_us: int, end_us: int, before: int) -> bool:
        del end_us
        return time_us < before


class WindowsByEventTime(ByEventTime, Windows):
    """Windows that do so."""


class SessionsByEventTime(ByEventTime, Sessions):
    """Sessions that do so."""


class MinMaxExchanged(Aggregating):
    """Takes the higher for the lower."""

    def together(self, left: Numbers, right: Numbers) -> Numbers:
        other = {Function.MIN: Function.MAX, Function.MAX: Function.MIN}
        parts = zip(self.functions, left, right, strict=True)
        return [joined(other.get(function, function), a, b) for function, a, b in parts]


class MinMaxWindows(MinMaxExchanged, Windows):
    """Windows that do so."""


class MinMaxSessions(MinMaxExchanged, Sessions):
    """Sessions that do so."""


class MinMaxRunning(MinMaxExchanged, Running):
    """Running aggregates that do so."""


# Sessions.


class StartLost(Sessions):
    """Lets a merged session start where its latest part starts."""

    def start_of(self, time_us: int, met: Sequence[Span]) -> int:
        return max([time_us, *(span.start_us for span in met)])


class OneSession(Sessions):
    """Has room for one open session a key."""

    def met(self, spans: Sequence[Span], start_us: int, end_us: int) -> list[Span]:
        del start_us, end_us
        return list(spans)


class NeverCut(Sessions):
    """Lets a session grow for as long as events come."""

    def cut_after(self, time_us: int) -> int:
        del time_us
        return NEVER


class OneNeighbour(Sessions):
    """Merges an event with one of the two sessions that it bridges."""

    def met(self, spans: Sequence[Span], start_us: int, end_us: int) -> list[Span]:
        return super().met(spans, start_us, end_us)[:1]


# Joins.


class LowExclusive(IntervalJoin):
    """Takes < for <= at the lower bound."""

    def within(self, distance_us: int) -> bool:
        return super().within(distance_us) and distance_us != self.lo_us


class HighExclusive(IntervalJoin):
    """Takes < for <= at the upper bound."""

    def within(self, distance_us: int) -> bool:
        return super().within(distance_us) and distance_us != self.hi_us


class NullTwice(IntervalJoin):
    """Says twice that a row has no partner."""

    def pad(self, side: Side, key: str | None, row: Kept) -> None:
        super().pad(side, key, row)
        super().pad(side, key, row)


class RightUnpadded(IntervalJoin):
    """Pads the left side only."""

    def pad(self, side: Side, key: str | None, row: Kept) -> None:
        if side is self.left:
            super().pad(side, key, row)


class MatchForgotten(IntervalJoin):
    """Never notes that a row was matched."""

    def settle(self, row: Kept) -> None:
        pass


class MatchUnsaved(IntervalJoin):
    """Saves its rows without the flag that they were matched."""

    def load(self, dump: Dump) -> None:
        super().load(dump)
        for side in (self.left, self.right):
            for row in (row for rows in side.rows.values() for row in rows):
                row.settled = not side.preserved


# Dedup.


class Extends(Deduping):
    """Remembers an id from its latest repeat on."""

    def repeat(self, event: Event) -> None:
        super().repeat(event)
        which = event.key, event.id
        self.passed[which] = max(self.passed[which], event.time_us or 0)


class RepeatBeforeLate(Deduping):
    """Takes a late event for a repeat, if its id is remembered."""

    def take(self, event: Event, before: int, side: int) -> Missed | None:
        return super().take(event, BEFORE_ALL if (event.key, event.id) in self.passed else before, side)


class KeepsLast(Task):
    """Of the copies in a batch, passes on the last."""

    def feed(self, events: Sequence[Event | Raw]) -> None:
        if isinstance(self.pipeline, Dedup):
            parsed = [parse(event) if isinstance(event, Raw) else event for event in events]
            last = {(event.key, event.id): at for at, event in enumerate(parsed) if isinstance(event, Event)}
            events = [events[at] for at in sorted(last.values())]
        super().feed(events)


# State.


class Hoard(Operator):
    """An operator that says what is due, and keeps it all the same."""

    def __init__(self, sound: Operator) -> None:
        super().__init__()
        self.sound = sound
        self.partial = sound.partial
        self.gone: list[str | None] = []

    def take(self, event: Event, before: int, side: int) -> Missed | None:
        return self.sound.take(event, before, side)

    def event_of(self, row: Row) -> Event:
        return self.sound.event_of(row)

    def speak(self) -> None:
        self.sound.speak()
        self.rows += self.sound.rows
        self.sound.rows = []

    def close(self, now: int) -> None:
        had = Counter(self.sound.held())
        self.sound.close(now)
        self.gone += (had - Counter(self.sound.held())).elements()
        self.rows += self.sound.rows
        self.dup += self.sound.dup
        self.sound.rows, self.sound.dup = [], 0

    def held(self) -> Iterator[str | None]:
        yield from self.sound.held()
        yield from self.gone

    def dump(self) -> Dump:
        return self.sound.dump()

    def load(self, dump: Dump) -> None:
        self.sound.load(dump)


class HoardingParts(Parts):
    """Any machine, hoarding."""

    def operator(self, pipeline: Pipeline, rules: Rules) -> Operator:
        return Hoard(super().operator(pipeline, rules))


class TimersLost(Task):
    """Restores its rows, and not when they are due."""

    def load(self, dump: Dump) -> None:
        super().load(dump)
        for node in self.nodes:
            node.operator.due = NEVER


# The batch.


class StaleReads(Aggregating):
    """Adds to what a key had before the batch, so that of its updates in one batch the last wins."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.read: dict[Hashable, Numbers | None] = {}

    def raised(self, slot: Hashable, values: Numbers | None, event: Event) -> Numbers:
        return super().raised(slot, self.read.setdefault(slot, values), event)


class StaleRunning(StaleReads, Running):
    """Running aggregates that do so."""


class StaleWindows(StaleReads, Windows):
    """Windows that do so."""


class BatchTask(Task):
    """Tells the operator where a batch begins."""

    def feed(self, events: Sequence[Event | Raw]) -> None:
        for node in self.nodes:
            if isinstance(node.operator, StaleReads):
                node.operator.read.clear()
        super().feed(events)


class Reorders(Task):
    """Processes a batch from its end."""

    def feed(self, events: Sequence[Event | Raw]) -> None:
        super().feed(events[::-1])


class DropsPoison(Task):
    """Passes over a record that it cannot use, and says nothing."""

    def feed(self, events: Sequence[Event | Raw]) -> None:
        super().feed(events)
        self.dead.clear()


class LateUncounted(Task):
    """Drops what is late, and says nothing."""

    def feed(self, events: Sequence[Event | Raw]) -> None:
        super().feed(events)
        self.late = 0
