"""What a right engine says of a scenario's events, and which event lets it: the oracle's machine, run once over them.

All engines agree on these rows: whether a window is final may depend on the clock (a partition's own, or one for all),
but not its row, as every event is less than the delay behind the highest time before it (the scenario refuses others).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from scenarios.scenario import Scenario
from semantics.oracle import Machine
from semantics.pipeline import Aggregate, Hopping, Session, Tumbling, clock
from semantics.rows import Row
from semantics.time import us
from semantics.timeline import SENTINEL_KEY, Event, sentinel

FLUSHED = -1
"""The cause of rows that no event of the scenario lets out, only the sentinel behind them."""
_MARGIN_US = 1_000_000
"""Beyond the last window's end: coarser clocks and clocks that lag a little close it too."""


def due(work: Scenario, events: Iterable[Event]) -> Iterator[tuple[int, Row]]:
    """Yield (number of the event that lets it out, row) in the order in which one task would say them."""
    machine = Machine(work.pipeline)
    highest = 0
    for number, event in enumerate(events):
        task = machine.feed(0, (event,))
        for row in task.rows:
            yield number, row
        task.drain()
        highest = max(highest, event.time_us or 0)
    if work.final:
        input = work.input.name
        task = machine.feed(0, (sentinel(input, 0, flush_us(work, highest)),))
        yield from ((FLUSHED, row) for row in task.rows if row.key != SENTINEL_KEY)


def flush_us(work: Scenario, highest_us: int) -> int:
    """Return a time that closes every window, if the highest one of all events is `highest_us`."""
    assert isinstance(work.pipeline, Aggregate)
    delay_us = clock(work.pipeline.input) or 0
    match work.pipeline.window:
        case Tumbling(size, grace=grace) | Hopping(size, grace=grace):
            longest = size + grace
        case Session(gap, grace=grace):
            assert isinstance(gap, timedelta), "the scenario refuses others"
            longest = gap + grace
        case None:
            return highest_us
    return highest_us + us(longest) + delay_us + _MARGIN_US
