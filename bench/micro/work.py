"""The jobs that are measured: their events, and the rows that a right engine says, worked out offline.

Events are 100-byte JSON of 10 000 keys, 10 000 of them a second of event time; every tenth comes up to half a second
late, which no watermark here minds. So the rows do not depend on how the partitions of inputs meet.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semantics.expr import VALUE, expr
from semantics.pipeline import (
    Aggregate,
    Dedup,
    Emit,
    Filter,
    Join,
    Pipeline,
    Session,
    Source,
    Tumbling,
    sources,
)
from semantics.rows import EventRow, PairRow, Ref, Row, ValueRow, WindowRow
from semantics.time import s, us
from semantics.timeline import Event

KEYS, PARTITIONS = 10_000, 4
_APART_US = 100
_DELAY, _LATEST_US = s(1), 500_000
_SPAN, _GAP, _NEAR, _HORIZON = s(10), s(1), s(0.5), s(10)
_PASSES = 5
_REPEATED = 0.05
_FARTHEST_BACK = 5_000
"""Events: half a second, so that a repeat is well within the horizon, and never late."""
Truth = Callable[[Sequence[Event]], Iterable[Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One job. `truth` says what comes out for good, when a sentinel has closed everything."""

    name: str
    claim: str
    pipeline: Pipeline
    truth: Truth
    goal_us: float
    """CPU microseconds an event that our engine is to stay below."""
    gate_us: float | None = None
    """And must."""
    repeats: float = 0.0
    """The share of events whose id was there before."""
    delay_ms: int = us(_DELAY) // 1000
    span_ms: int = 0
    """What a peer must be told: a window's size, a session's gap, a join's distance, a horizon."""

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(source.name for source in sources(self.pipeline))

    def events(self, count: int, seed: int) -> list[Event]:
        """Draw events; those of several inputs take turns."""
        random = np.random.default_rng(seed)
        keys = random.integers(0, KEYS, count).tolist()
        values = random.integers(0, 10, count).tolist()
        behind = np.where(random.random(count) < 0.1, random.integers(0, _LATEST_US, count), 0) // 1000 * 1000
        back = np.where(random.random(count) < self.repeats, random.integers(1, _FARTHEST_BACK, count), 0).tolist()
        # Whole milliseconds: a peer whose clock has no others must find the same rows.
        times = (np.arange(count) * _APART_US // 1000 * 1000 - behind + _LATEST_US).tolist()
        of, events = self.inputs, list[Event]()
        for number in range(count):
            key, id = keys[number], f"e{number}"
            if 0 < back[number] <= number:
                first = events[number - back[number]]
                key, id = int((first.key or "k0")[1:]), first.id
            events.append(
                Event(f"k{key:05d}", times[number], id, values[number], of[number % len(of)], key % PARTITIONS)
            )
        return events


def _counts(events: Sequence[Event]) -> Iterator[Row]:
    seen: Counter[str | None] = Counter()
    for event in events:
        seen[event.key] += 1
        yield ValueRow(event.key, (("n", seen[event.key]),))


def _windows(events: Sequence[Event]) -> Iterator[Row]:
    size = us(_SPAN)
    found = Counter((event.key, _time(event) // size * size) for event in events)
    return (WindowRow(key, start, start + size, (("n", count),)) for (key, start), count in found.items())


def _sessions(events: Sequence[Event]) -> Iterator[Row]:
    gap = us(_GAP)
    for key, times in _by_key(events).items():
        first = 0
        for at, (time, _) in enumerate(times):
            if at + 1 == len(times) or times[at + 1][0] > time + gap:
                yield WindowRow(key, times[first][0], time + gap, (("n", at + 1 - first),))
                first = at + 1


def _pairs(events: Sequence[Event]) -> Iterator[Row]:
    near = us(_NEAR)
    rights = _by_key([event for event in events if event.input == "R"])
    for left in events:
        if left.input == "L":
            here, time = rights.get(left.key, []), _time(left)
            low, high = bisect_left(here, (time - near, "")), bisect_right(here, (time + near, "~"))
            yield from (PairRow(left.key, Ref(left.id, time), Ref(id, at)) for at, id in here[low:high])


def _firsts(events: Sequence[Event]) -> Iterator[Row]:
    seen: set[tuple[str | None, str]] = set()
    for event in events:
        if (event.key, event.id) not in seen:
            seen.add((event.key, event.id))
            yield _as_row(event)


def _passing(events: Sequence[Event]) -> Iterator[Row]:
    return (_as_row(event) for event in events if event.value is not None and event.value < _PASSES)


def _as_row(event: Event) -> Row:
    return EventRow(event.key, event.id, event.value, event.time_us)


def _by_key(events: Sequence[Event]) -> Mapping[str | None, list[tuple[int, str]]]:
    found: dict[str | None, list[tuple[int, str]]] = defaultdict(list)
    for event in events:
        found[event.key].append((_time(event), event.id))
    for times in found.values():
        times.sort()
    return found


def _time(event: Event) -> int:
    assert event.time_us is not None
    return event.time_us


_CLOCKED = Source(delay=_DELAY)
WORKS = {work.name: work for work in (
    Work(name="running-count", claim="running count, a row for every event", goal_us=3, gate_us=5,
         pipeline=Aggregate(Source(), emit=Emit.UPDATE), truth=_counts),
    Work(name="tumbling", claim="count in tumbling windows of 10 s, final rows", goal_us=5,
         pipeline=Aggregate(_CLOCKED, window=Tumbling(_SPAN)), truth=_windows, span_ms=us(_SPAN) // 1000),
    Work(name="session", claim="count in sessions with a gap of 1 s, final rows", goal_us=6,
         pipeline=Aggregate(_CLOCKED, window=Session(_GAP)), truth=_sessions, span_ms=us(_GAP) // 1000),
    Work(name="interval-join", claim="inner join of two inputs within half a second", goal_us=9,
         pipeline=Join(Source("L", delay=_DELAY), Source("R", delay=_DELAY), lo=-_NEAR, hi=_NEAR), truth=_pairs,
         span_ms=us(_NEAR) // 1000),
    Work(name="dedup", claim="deduplication by id with a horizon of 10 s, one in twenty a repeat", goal_us=5,
         pipeline=Dedup(_CLOCKED, horizon=_HORIZON), truth=_firsts, repeats=_REPEATED,
         span_ms=us(_HORIZON) // 1000),
    Work(name="filter", claim="filter that passes half of the events", goal_us=2,
         pipeline=Filter(Source(), expr(VALUE, "<", _PASSES)), truth=_passing),
)}  # fmt: skip
