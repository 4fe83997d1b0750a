"""Planted bugs: mistakes that engines really make, each one part of the machine exchanged.

They are lies by design: every variant declares the contract's rules, so that an expectation must catch it. Bugs of the
order of commits (output before state, state before offsets) need a process that dies: the Faust engine's crash points
try those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from semantics.oracle import PARTS, Parts, Task
from semantics.oracle.clocks import BEFORE_ALL, Clock, Dump
from semantics.oracle.dedup import Deduping
from semantics.oracle.join import IntervalJoin, Kept, Side
from semantics.oracle.operator import NEVER, Aggregating, Missed, Operator, joined
from semantics.oracle.session import Sessions, Span
from semantics.oracle.simple import Running, parse
from semantics.oracle.window import Windows
from semantics.pipeline import Dedup, Function, Pipeline
from semantics.rules import Rules
from semantics.time import T0_US
from semantics.timeline import Event, Raw

# The clock.


class _FallingClock(Clock):
    """Follows the newest event instead of the highest."""

    def see(self, input: str, lane: int, time_us: int) -> None:
        if input in self.delays:
            self.tops[input, lane] = time_us

    def advance(self) -> None:
        self.before = self.now
        self.now = self.reading()


class _DelayTwice(Clock):
    """Subtracts the delay from what is a watermark already."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.delays = {input: 2 * delay for input, delay in self.delays.items()}


# Windows and what is aggregated in them.


class _EndInclusive(Windows):
    """Takes (start, end] for [start, end)."""

    def starts_of(self, time_us: int) -> Sequence[int]:
        return super().starts_of(time_us - 1)


class _HopMissed(Windows):
    """Leaves out the earliest of several windows that hold an event."""

    def starts_of(self, time_us: int) -> Sequence[int]:
        starts = super().starts_of(time_us)
        return starts[:-1] if len(starts) > 1 else starts


class _NegativeMisaligned(Windows):
    """Divides as C and Java do, towards zero."""

    def start_of(self, time_us: int) -> int:
        start, since_1970 = super().start_of(time_us), time_us + T0_US - self.offset_us
        return start + self.slide_us if since_1970 < 0 and since_1970 % self.slide_us else start


class _OffsetIgnored(Windows):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.offset_us = 0


class _WindowGraceIgnored(Windows):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.grace_us = 0


class _SessionGraceIgnored(Sessions):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.grace_us = 0


class _ByEventTime(Aggregating):
    """Judges an event by its own time, as if it were its window's end."""

    def is_late(self, time_us: int, end_us: int, before: int) -> bool:
        del end_us
        return time_us < before


class _WindowsByEventTime(_ByEventTime, Windows):
    pass


class _SessionsByEventTime(_ByEventTime, Sessions):
    pass


class _MinMaxExchanged(Aggregating):
    """Takes the higher for the lower."""

    def together(self, left: list[int], right: list[int]) -> list[int]:
        other = {Function.MIN: Function.MAX, Function.MAX: Function.MIN}
        parts = zip(self.functions, left, right, strict=True)
        return [joined(other.get(function, function), a, b) for function, a, b in parts]


class _MinMaxWindows(_MinMaxExchanged, Windows):
    pass


class _MinMaxSessions(_MinMaxExchanged, Sessions):
    pass


class _MinMaxRunning(_MinMaxExchanged, Running):
    pass


# Sessions.


class _StartLost(Sessions):
    """Lets a merged session start where its latest part starts."""

    def start_of(self, time_us: int, met: Sequence[Span]) -> int:
        return max([time_us, *(span.start_us for span in met)])


class _OneSession(Sessions):
    """Has room for one open session a key."""

    def met(self, spans: Sequence[Span], start_us: int, end_us: int) -> list[Span]:
        del start_us, end_us
        return list(spans)


class _OneNeighbour(Sessions):
    """Merges an event with one of the two sessions that it bridges."""

    def met(self, spans: Sequence[Span], start_us: int, end_us: int) -> list[Span]:
        return super().met(spans, start_us, end_us)[:1]


# Joins.


class _LowExclusive(IntervalJoin):
    """Takes < for <= at the lower bound."""

    def within(self, distance_us: int) -> bool:
        return super().within(distance_us) and distance_us != self.lo_us


class _HighExclusive(IntervalJoin):
    """Takes < for <= at the upper bound."""

    def within(self, distance_us: int) -> bool:
        return super().within(distance_us) and distance_us != self.hi_us


class _NullTwice(IntervalJoin):
    """Says twice that a row has no partner."""

    def pad(self, side: Side, key: str | None, row: Kept) -> None:
        super().pad(side, key, row)
        super().pad(side, key, row)


class _RightUnpadded(IntervalJoin):
    """Pads the left side only."""

    def pad(self, side: Side, key: str | None, row: Kept) -> None:
        if side is self.left:
            super().pad(side, key, row)


class _MatchForgotten(IntervalJoin):
    """Never notes that a row was matched."""

    def settle(self, row: Kept) -> None:
        pass


class _MatchUnsaved(IntervalJoin):
    """Saves its rows without the flag that they were matched."""

    def load(self, dump: Dump) -> None:
        super().load(dump)
        for side in (self.left, self.right):
            for row in (row for rows in side.rows.values() for row in rows):
                row.settled = not side.preserved


# Dedup.


class _Extends(Deduping):
    """Remembers an id from its latest repeat on."""

    def repeat(self, event: Event) -> None:
        super().repeat(event)
        which = event.key, event.id
        self.passed[which] = max(self.passed[which], event.time_us or 0)


class _RepeatBeforeLate(Deduping):
    """Takes a late event for a repeat, if its id is remembered."""

    def take(self, event: Event, before: int) -> Missed | None:
        return super().take(event, BEFORE_ALL if (event.key, event.id) in self.passed else before)


class _KeepsLast(Task):
    """Of the copies in a batch, passes on the last."""

    def feed(self, events: Sequence[Event | Raw]) -> None:
        if isinstance(self.pipeline, Dedup):
            parsed = [parse(event) if isinstance(event, Raw) else event for event in events]
            last = {(event.key, event.id): at for at, event in enumerate(parsed) if isinstance(event, Event)}
            events = [events[at] for at in sorted(last.values())]
        super().feed(events)


# State.


class _Hoard(Operator):
    """An operator that says what is due, and keeps it all the same."""

    def __init__(self, sound: Operator) -> None:
        super().__init__()
        self.sound = sound
        self.partial = sound.partial
        self.gone: list[str | None] = []

    def take(self, event: Event, before: int) -> Missed | None:
        return self.sound.take(event, before)

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


class _HoardingParts(Parts):
    def operator(self, pipeline: Pipeline, rules: Rules) -> Operator:
        return _Hoard(super().operator(pipeline, rules))


class _TimersLost(Task):
    """Restores its rows, and not when they are due."""

    def load(self, dump: Dump) -> None:
        super().load(dump)
        self.operator.due = NEVER


# The batch.


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


class _Reorders(Task):
    """Processes a batch from its end."""

    def feed(self, events: Sequence[Event | Raw]) -> None:
        super().feed(events[::-1])


class _DropsPoison(Task):
    """Passes over a record that it cannot use, and says nothing."""

    def feed(self, events: Sequence[Event | Raw]) -> None:
        super().feed(events)
        self.dead.clear()


class _LateUncounted(Task):
    """Drops what is late, and says nothing."""

    def feed(self, events: Sequence[Event | Raw]) -> None:
        super().feed(events)
        self.late = 0


@dataclass(frozen=True, slots=True)
class Bug:
    """A planted bug: what it does, and the part that does it."""

    says: str
    parts: Parts


BUGS = {
    "watermark-falls": Bug("the watermark follows the newest event, down too", Parts(clock=_FallingClock)),
    "delay-twice": Bug("the delay is subtracted twice", Parts(clock=_DelayTwice)),
    "end-inclusive": Bug("an event at a window's end counts in that window", Parts(windows=_EndInclusive)),
    "hop-missed": Bug("a hopping window misses the events of its last slide", Parts(windows=_HopMissed)),
    "negative-misaligned": Bug("windows before 1970 start one too late", Parts(windows=_NegativeMisaligned)),
    "offset-ignored": Bug("windows are aligned as if they had no offset", Parts(windows=_OffsetIgnored)),
    "grace-ignored": Bug(
        "windows and sessions are final at their end, whatever their grace",
        Parts(windows=_WindowGraceIgnored, sessions=_SessionGraceIgnored),
    ),
    "late-by-event-time": Bug(
        "an event below the watermark is dropped while its window is open",
        Parts(windows=_WindowsByEventTime, sessions=_SessionsByEventTime),
    ),
    "min-max-exchanged": Bug(
        "the lowest is the highest, and the other way round",
        Parts(windows=_MinMaxWindows, sessions=_MinMaxSessions, running=_MinMaxRunning),
    ),
    "session-start-lost": Bug("a merged session starts where its latest part does", Parts(sessions=_StartLost)),
    "one-session": Bug("all open sessions of a key are one", Parts(sessions=_OneSession)),
    "bridge-one-neighbour": Bug("an event between two sessions merges with one of them", Parts(sessions=_OneNeighbour)),
    "low-bound-exclusive": Bug("a pair exactly at a join's lower bound is lost", Parts(join=_LowExclusive)),
    "high-bound-exclusive": Bug("a pair exactly at a join's upper bound is lost", Parts(join=_HighExclusive)),
    "null-twice": Bug("an unmatched row comes out twice", Parts(join=_NullTwice)),
    "null-beside-match": Bug("a matched row comes out null-padded too", Parts(join=_MatchForgotten)),
    "right-unpadded": Bug("unmatched right rows never come out", Parts(join=_RightUnpadded)),
    "match-lost-on-restart": Bug("a restart forgets which rows were matched", Parts(join=_MatchUnsaved)),
    "dedup-extends": Bug("a repeat prolongs the time for which its id is remembered", Parts(dedup=_Extends)),
    "dedup-keeps-last": Bug("of the copies in one batch the last passes", Parts(task=_KeepsLast)),
    "repeat-before-late": Bug("a late copy counts as a repeat", Parts(dedup=_RepeatBeforeLate)),
    "never-evicts": Bug(
        "what is over stays in the state",
        _HoardingParts(),
    ),
    "timers-lost-on-restart": Bug(
        "what was open at a restart is not looked at until something new is due",
        Parts(task=_TimersLost),
    ),
    "lost-update": Bug(
        "two updates of one key in one batch count once",
        Parts(task=_BatchTask, running=_StaleRunning, windows=_StaleWindows),
    ),
    "reorders": Bug("the events of a batch are processed from its end", Parts(task=_Reorders)),
    "poison-dropped": Bug("a record that cannot be used vanishes", Parts(task=_DropsPoison)),
    "late-uncounted": Bug("late events are dropped, and not counted", Parts(task=_LateUncounted)),
}
"""By name, as in `reference:<bug>`."""


def parts(variant: str) -> Parts:
    """Return what the variant's machine is made of."""
    return BUGS[variant].parts if variant else PARTS
