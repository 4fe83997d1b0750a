"""Dedup: the first event to arrive of each (key, id) passes; it is forgotten at w > its time + horizon."""

from __future__ import annotations

from collections.abc import Iterator

from semantics.oracle.clocks import BEFORE_ALL, EPOCH, Dump
from semantics.oracle.operator import NEVER, Missed, Operator, row_is_late
from semantics.pipeline import Dedup
from semantics.rows import EventRow
from semantics.rules import DedupForget, Rules
from semantics.time import us
from semantics.timeline import Event


class Deduping(Operator):
    """What one task has passed on and still remembers: the time of each (key, id)."""

    def __init__(self, pipeline: Dedup, rules: Rules) -> None:
        super().__init__()
        self.rules = rules
        self.horizon_us = us(pipeline.horizon)
        self.passed: dict[tuple[str | None, str], int] = {}

    def take(self, event: Event, before: int, side: int) -> Missed | None:
        del side
        time_us = EPOCH if event.time_us is None else event.time_us
        if event.time_us is not None and self.is_late(time_us, before):
            return Missed()
        if (event.key, event.id) in self.passed:
            self.repeat(event)
            return None
        self.passed[event.key, event.id] = time_us
        self.due = min(self.due, time_us + self.horizon_us)
        self.rows.append(EventRow(event.key, event.id, event.value, event.time_us))
        return None

    def is_late(self, time_us: int, watermark: int) -> bool:
        """Return whether a row is late, by its own time."""
        return row_is_late(time_us, watermark, self.rules)

    def repeat(self, event: Event) -> None:
        """Hold back an event whose id has passed: it is counted, and changes nothing."""
        del event
        self.dup += 1

    def close(self, now: int) -> None:
        if now < self.due:
            return
        self.passed = {which: time_us for which, time_us in self.passed.items() if not self.forgets(time_us, now)}
        self.due = min(self.passed.values(), default=NEVER) + self.horizon_us

    def forgets(self, time_us: int, watermark: int) -> bool:
        """Return whether an id that passed at `time_us` is forgotten."""
        if watermark == time_us + self.horizon_us:
            return self.rules.dedup_forget is DedupForget.AT_HORIZON
        return watermark > time_us + self.horizon_us

    def held(self) -> Iterator[str | None]:
        return (key for key, _ in self.passed)

    def dump(self) -> Dump:
        return tuple(sorted(((key, id, time_us) for (key, id), time_us in self.passed.items()), key=repr))

    def load(self, dump: Dump) -> None:
        self.passed = {(key, id): time_us for key, id, time_us in dump}
        self.due = BEFORE_ALL
