"""Running count by key: the smallest stateful job, one update to one of 10 000 rows of state for every event."""

from __future__ import annotations

from scenarios.scenario import Scenario
from semantics.pipeline import Aggregate, Emit, Function, Source

SCENARIO = Scenario(
    name="running-count",
    claim="running count by key, 10 000 keys drawn uniformly, events of 100 bytes",
    pipeline=Aggregate(Source("in"), (Function.COUNT,), emit=Emit.UPDATE),
    keys=10_000,
    event_bytes=100,
)
