"""Running count by key: the smallest stateful job, one update to one of 10 000 rows of state for every event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from scenarios.scenario import Scenario
from semantics.pipeline import Aggregate, Emit, Function, Source
from semantics.timeline import Event

KEYS = 10_000


def _events(random: np.random.Generator, due_us: Sequence[int]) -> Iterator[Event]:
    """Yield events with uniformly drawn keys; an event's time is when it is due."""
    keys = random.integers(0, KEYS, len(due_us), dtype=np.int32)
    for number, (key, time_us) in enumerate(zip(keys.data, due_us, strict=True)):
        yield Event(f"k{key:06d}", time_us, f"e{number}")


SCENARIO = Scenario(
    name="running-count",
    claim="running count by key, 10 000 keys drawn uniformly, events of 100 bytes",
    pipeline=Aggregate(Source("in"), (Function.COUNT,), emit=Emit.UPDATE),
    events=_events,
    event_bytes=100,
)
