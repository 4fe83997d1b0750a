"""Count by key in windows of one second: final rows, events out of order, state that comes and goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from scenarios.scenario import Scenario
from semantics.pipeline import Aggregate, Function, Source, Tumbling
from semantics.time import s
from semantics.timeline import Event

KEYS = 1_000
BEHIND_US = 500_000
"""How far behind its due time an event's own time is at most: half the delay, the rest is for partitions that lag."""
BEHIND_SHARE = 0.2


def _events(random: np.random.Generator, due_us: Sequence[int]) -> Iterator[Event]:
    """Yield events with uniformly drawn keys, a fifth of them out of order."""
    count = len(due_us)
    keys = random.integers(0, KEYS, count)
    behind = random.integers(0, BEHIND_US, count) * (random.random(count) < BEHIND_SHARE)
    for number, (key, due, late) in enumerate(zip(keys.data, due_us, behind.data, strict=True)):
        yield Event(f"k{key:04d}", due - late, f"e{number}", number % 100)


SCENARIO = Scenario(
    name="tumbling-count",
    claim="count and sum by key in windows of 1 s, 1 000 keys, a fifth of the events up to 0.5 s out of order",
    pipeline=Aggregate(Source("in", delay=s(1)), (Function.COUNT, Function.SUM), window=Tumbling(s(1))),
    events=_events,
    event_bytes=100,
)
