"""A task's watermark: every event with time < w has arrived. It never falls.

Instants are offsets from T0 in microseconds, as everywhere in the oracle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from semantics.rules import MultiInput, Rules, WatermarkResolution, WatermarkScope, WatermarkStart
from semantics.time import T0_US

BEFORE_ALL = -(1 << 62)
"""The watermark that makes nothing late: older than any event, and it stays so one millisecond further back."""
EPOCH = -T0_US

Dump: TypeAlias = tuple[Any, ...]
"""State as nested tuples of strings, integers, booleans and None: hashable, equal for equal states, fit for JSON."""


class Clock:
    """The clock of one task that reads `lanes` (partitions) of the inputs in `delays`, those without a clock left out.

    `before` is what late events are judged by, `now` what closes and evicts. They differ only in between: inside the
    empty micro-batch that follows a record, or between the micro-batches of an engine that moves time batch by batch.
    """

    def __init__(self, delays: Mapping[str, int], lanes: Sequence[int], rules: Rules) -> None:
        self.delays = delays
        self._lanes = lanes
        self._of_lanes = max if rules.watermark_scope is WatermarkScope.SOURCE_MAX else min
        self._of_inputs = max if rules.multi_input is MultiInput.MAX else min
        self._coarse = rules.watermark_resolution is WatermarkResolution.MILLISECOND
        self._start = EPOCH if delays and rules.watermark_start is WatermarkStart.EPOCH else BEFORE_ALL
        self.tops: dict[tuple[str, int], int] = {}
        self.before = self._start
        self.now = self._start

    @property
    def watermark(self) -> int | None:
        """Return the watermark, or None before there is one."""
        return None if self.now == self._start else self.now

    def see(self, input: str, lane: int, time_us: int) -> None:
        """Take note of an event's time; it moves the watermark with the next `advance`."""
        if input in self.delays:
            top = self.tops.get((input, lane))
            self.tops[input, lane] = time_us if top is None else max(top, time_us)

    def ahead(self, input: str, lane: int, time_us: int, most_us: int) -> bool:
        """Return whether an event is more than `most_us` ahead of all that was seen of its partition."""
        top = self.tops.get((input, lane))
        return top is not None and time_us > top + most_us

    def advance(self) -> None:
        """End a micro-batch: what was current is now past, and what was seen counts."""
        self.before = self.now
        self.now = max(self.now, self.reading())

    def reading(self) -> int:
        """Return the watermark that the highest times make, whatever it was before."""
        if not self.delays:
            return BEFORE_ALL
        return self._of_inputs(self._of_lanes(self._lane(i, lane) for lane in self._lanes) for i in self.delays)

    def forget(self) -> None:
        """Lose every input's highest time, but not the watermark itself."""
        self.tops.clear()

    def dump(self) -> Dump:
        return tuple(sorted((*place, top) for place, top in self.tops.items())), self.before, self.now

    def load(self, dump: Dump) -> None:
        tops: Iterable[tuple[str, int, int]]
        tops, self.before, self.now = dump
        self.tops = {(input, lane): top for input, lane, top in tops}

    def _lane(self, input: str, lane: int) -> int:
        top = self.tops.get((input, lane))
        if top is None:
            return self._start
        reached = top - self.delays[input]
        return reached - (reached + T0_US) % 1_000 if self._coarse else reached
