"""A task's watermarks: every event with time < w has arrived. None ever falls.

Instants are offsets from T0 in microseconds, as everywhere in the oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeAlias

from semantics.pipeline import Join, Pipeline, Source, Watermark, clocked, held_back_us, inputs, nodes, sources
from semantics.rules import (
    JoinClock,
    MultiInput,
    OperatorClock,
    Rules,
    WatermarkResolution,
    WatermarkScope,
    WatermarkStart,
)
from semantics.time import T0_US, us

BEFORE_ALL = -(1 << 62)
"""The watermark that makes nothing late: older than any event, and it stays so one millisecond further back."""
EPOCH = -T0_US

Dump: TypeAlias = tuple[Any, ...]
"""State as nested tuples of strings, integers, booleans and None: hashable, equal for equal states, fit for JSON."""


class Clock:
    """The clocks of one task: the highest event time of each, lane by lane (a lane is a partition).

    A clock has the name of its source, or of the first one where it stands behind several.
    """

    def __init__(self, pipeline: Pipeline, rules: Rules) -> None:
        self.delays = {
            sources(node)[0].name: us(node.delay)
            for node in nodes(pipeline)
            if isinstance(node, Source | Watermark) and node.delay is not None
        }
        self.rules = rules
        self.tops: dict[tuple[str, int], int] = {}
        self.guards: dict[tuple[str, int], int] = {}
        """What the guards against the future have let pass: state, whatever becomes of the clocks."""
        self.idle: set[tuple[str, int]] = set()
        """Left out, until they speak again."""
        self._of_lanes = max if rules.watermark_scope is WatermarkScope.SOURCE_MAX else min
        self._of_inputs = max if rules.multi_input is MultiInput.MAX else min
        self._start = EPOCH if self.delays and rules.watermark_start is WatermarkStart.EPOCH else BEFORE_ALL

    def see(self, name: str, lane: int, time_us: int) -> None:
        """Take note of an event's time; it moves the watermarks with their next `advance`."""
        top = self.tops.get((name, lane))
        self.tops[name, lane] = time_us if top is None else max(top, time_us)

    def wake(self, name: str, lane: int, reached: int) -> None:
        """Take note of a record: an idle clock counts again, from the watermark that was reached without it."""
        if (name, lane) in self.idle:
            self.idle.remove((name, lane))
            if reached != self._start:
                self.see(name, lane, reached + self.delays[name])

    def awake(self, node: Pipeline, lanes: Collection[int]) -> bool:
        """Return whether any clock below a node, or at it, is not idle. The node must have one."""
        if not self.idle:
            return True
        named = {sources(below)[0].name for below in nodes(node) if isinstance(below, Source | Watermark)}
        return any((name, lane) not in self.idle for name in named & self.delays.keys() for lane in lanes)

    def ahead(self, name: str, lane: int, time_us: int, most_us: int) -> bool:
        """Return whether an event is more than `most_us` ahead of all that was seen of its partition; else see it."""
        place = name, lane
        seen = [tops[place] for tops in (self.tops, self.guards) if place in tops]
        if seen and time_us > max(seen) + most_us:
            return True
        self.guards[place] = max(*seen, time_us) if seen else time_us
        return False

    def moved(self, now: int, reading: int) -> int:
        """Return the watermark that follows `now` where the clocks say `reading`."""
        return max(now, reading)

    def all(self, lanes: Sequence[int]) -> int:
        """Return what all clocks together say."""
        marks = [(self.reading(name, lanes), any((name, lane) not in self.idle for lane in lanes))
                 for name in self.delays]  # fmt: skip
        return _together(marks, self._of_inputs)

    def reading(self, name: str, lanes: Sequence[int]) -> int:
        """Return what one clock says for those lanes: its highest times less its delay."""
        return _together([(self._lane(name, lane), (name, lane) not in self.idle) for lane in lanes], self._of_lanes)

    def forget(self) -> None:
        """Lose every highest time, but no watermark."""
        self.tops.clear()

    def dump(self) -> Dump:
        tops = (tuple(sorted((*place, top) for place, top in of.items())) for of in (self.tops, self.guards))
        return *tops, tuple(sorted(self.idle))

    def load(self, dump: Dump) -> None:
        tops: Iterable[tuple[str, int, int]]
        guards: Iterable[tuple[str, int, int]]
        idle: Iterable[tuple[str, int]]
        tops, guards, idle = dump
        self.tops = {(name, lane): top for name, lane, top in tops}
        self.guards = {(name, lane): top for name, lane, top in guards}
        self.idle = {(name, lane) for name, lane in idle}

    def behind(self, node: Pipeline, lanes: Sequence[int]) -> int:
        """Return the watermark of what comes out of a node."""
        match node:
            case Source() | Watermark() if len(self.delays) > 1 and self.rules.operator_clock is OperatorClock.QUERY:
                return self.all(lanes)
            case Source() | Watermark():
                return self.reading(sources(node)[0].name, lanes)
            case Join() if self.rules.join_clock is JoinClock.MINUS_1MS:
                return (self.before(node, lanes) - held_back_us(node)) // 1_000 * 1_000 - 1_000
            case _:
                return self.before(node, lanes) - held_back_us(node)

    def before(self, node: Pipeline, lanes: Sequence[int]) -> int:
        """Return the watermark of what goes into a node; an input without a clock is left out."""
        read = [input for input in inputs(node) if clocked(input)]
        return _together([(self.behind(input, lanes), self.awake(input, lanes)) for input in read], self._of_inputs)

    def _lane(self, name: str, lane: int) -> int:
        top = self.tops.get((name, lane))
        if top is None:
            return self._start
        reached = top - self.delays[name]
        below = (reached + T0_US) % 1_000
        coarse = below and self.rules.watermark_resolution is WatermarkResolution.MILLISECOND
        return reached - below if coarse else reached


def _together(marks: Sequence[tuple[int, bool]], of: Callable[[Iterable[int]], int]) -> int:
    """Return several watermarks as one, each with whether it is awake; if none is, the highest."""
    awake = [mark for mark, is_awake in marks if is_awake]
    return of(awake) if awake else max((mark for mark, _ in marks), default=BEFORE_ALL)


class Mark:
    """One watermark. `before` is what late events are judged by, `now` what closes and evicts.

    They differ only in between: inside the empty micro-batch that follows a record, or between the micro-batches of an
    engine that moves time batch by batch.
    """

    def __init__(self, clock: Clock, reading: Callable[[], int]) -> None:
        self._clock, self._reading = clock, reading
        self._start = self.before = self.now = reading()

    @property
    def watermark(self) -> int | None:
        """Return the watermark, or None before there is one."""
        return None if self.now == self._start else self.now

    def advance(self) -> None:
        """End a micro-batch: what was current is now past, and what was seen counts."""
        self.before = self.now
        self.now = self._clock.moved(self.now, self._reading())

    def dump(self) -> Dump:
        return self.before, self.now

    def load(self, dump: Dump) -> None:
        self.before, self.now = dump
