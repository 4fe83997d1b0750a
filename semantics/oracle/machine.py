"""The executor, one for both ways in which time can move.

Record by record is a micro-batch of one record followed by an empty one; batch by batch is a micro-batch followed, when
the engine idles, by an empty one. Every micro-batch judges late events by the watermark before, closes and evicts by
the current one, and then moves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from semantics.oracle.clocks import Clock, Dump
from semantics.oracle.dedup import Deduping
from semantics.oracle.join import IntervalJoin
from semantics.oracle.operator import Failed, Operator
from semantics.oracle.session import Sessions
from semantics.oracle.simple import Pass, Running, parse, parse_with_nulls, through
from semantics.oracle.window import Windows
from semantics.pipeline import (
    Aggregate,
    Dedup,
    Hopping,
    Join,
    Pipeline,
    Session,
    Tumbling,
    clock,
    needs_time,
    rekeyed,
    source,
    steps,
    streams,
)
from semantics.rows import Row
from semantics.rules import (
    CONTRACT,
    BadRecord,
    FilteredClock,
    LateCount,
    NullTime,
    Rules,
    WatermarkAdvance,
    WatermarkScope,
)
from semantics.time import us
from semantics.timeline import Event, Raw


class Task:
    """One task: a clock, an operator and its state, and what both said since it was last drained."""

    def __init__(self, pipeline: Pipeline, rules: Rules, lanes: Sequence[int], parts: Parts) -> None:
        self.pipeline = pipeline
        self.rules = rules
        self.lanes = tuple(lanes)
        self.parts = parts
        self._steps = {source(stream).name: steps(stream) for stream in streams(pipeline)}
        self._sources = {source(stream).name: source(stream) for stream in streams(pipeline)}
        clocks = {source(stream).name: clock(stream) for stream in streams(pipeline)}
        delays = {name: delay for name, delay in clocks.items() if delay is not None}
        self._needs_time = bool(delays) or needs_time(pipeline)
        self.clock = parts.clock(delays, self.lanes, rules)
        self.operator = parts.operator(pipeline, rules)
        self.rows: list[Row] = []
        self.dead: list[tuple[Event | Raw, str]] = []
        """The unusable, each with its reason."""
        self.late = 0
        self.dup = 0

    def feed(self, events: Sequence[Event | Raw]) -> None:
        """Take a chunk of input as this engine's clock does: record by record, or as one micro-batch."""
        if self.rules.watermark_advance is WatermarkAdvance.BATCH:
            self.batch(events)
            return
        for event in events:
            self.batch((event,))
            self.batch(())

    def batch(self, events: Sequence[Event | Raw]) -> None:
        """Run one micro-batch."""
        late, partials = 0, set[object]()
        for event in events:
            usable = self._usable(event)
            if usable is None:
                continue
            passed = through(self._steps[usable.input], usable)
            pushed = self.rules.filtered_clock is FilteredClock.IGNORED
            if pushed and passed is not None and not self.operator.uses(passed):
                passed = None
            moves = passed is not None or not pushed
            if usable.time_us is not None and moves:
                self.clock.see(usable.input, usable.partition, usable.time_us)
            if passed is None:
                continue
            missed = self.operator.take(passed, self.clock.before)
            if missed is not None:
                late += missed.wholly
                if missed.wholly and self._sources[usable.input].late_output:
                    self.dead.append((event, "late"))
                partials.update((passed.key, passed.partition, span) for span in missed.spans)
        by_partial = self.operator.partial and self.rules.late_count is LateCount.PER_PARTIAL_AGGREGATE
        self.late += len(partials) if by_partial else late
        self.operator.close(self.clock.now)
        self.clock.advance()
        self.rows += self.operator.rows
        self.dup += self.operator.dup
        self.operator.rows, self.operator.dup = [], 0

    def drain(self) -> None:
        """Forget what was said."""
        self.rows, self.dead, self.late, self.dup = [], [], 0, 0

    def fork(self) -> Task:
        """Return a copy that goes its own way."""
        copy = self.parts.task(self.pipeline, self.rules, self.lanes, self.parts)
        copy.load(self.dump())
        copy.rows, copy.dead, copy.late, copy.dup = list(self.rows), list(self.dead), self.late, self.dup
        return copy

    def dump(self) -> Dump:
        """Return clock and state, between two micro-batches."""
        return self.clock.dump(), self.operator.dump()

    def load(self, dump: Dump) -> None:
        """Take up a dump; lists for its tuples will do."""
        clock, state = dump
        self.clock.load(clock)
        self.operator.load(state)

    def _usable(self, event: Event | Raw) -> Event | None:
        """Return the event, if it can be used; else do with it what the rules say."""
        parsed = self._read(event) if isinstance(event, Raw) else event
        if parsed is None:
            return None
        if parsed.time_us is not None:
            future = self._sources[parsed.input].future
            if future is not None and self.clock.ahead(parsed.input, parsed.partition, parsed.time_us, us(future)):
                self.dead.append((event, "future"))
                return None
        if parsed.time_us is not None or not self._needs_time:
            return parsed
        match self.rules.null_time:
            case NullTime.DEAD_LETTER:
                self.dead.append((event, "no_time"))
            case NullTime.DROP_SILENTLY:
                pass
            case NullTime.SQL_NULL:
                return parsed if self.operator.takes_null_times else None
            case NullTime.FAIL:
                raise Failed("null_time")
            case unknown:
                assert_never(unknown)
        return None

    def _read(self, raw: Raw) -> Event | None:
        parsed = parse(raw)
        if isinstance(parsed, Event):
            return parsed
        match self.rules.bad_record:
            case BadRecord.DEAD_LETTER:
                self.dead.append((raw, parsed))
            case BadRecord.DROP_SILENTLY:
                pass
            case BadRecord.NULL_FIELDS:
                return parse_with_nulls(raw)
            case BadRecord.FAIL:
                raise Failed("bad_record")
            case unknown:
                assert_never(unknown)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a machine is made of. To plant a bug, exchange a part."""

    task: type[Task] = Task
    clock: type[Clock] = Clock
    windows: type[Windows] = Windows
    sessions: type[Sessions] = Sessions
    running: type[Running] = Running
    dedup: type[Deduping] = Deduping
    join: type[IntervalJoin] = IntervalJoin

    def operator(self, pipeline: Pipeline, rules: Rules) -> Operator:
        """Return the operator that ends the pipeline."""
        match pipeline:
            case Aggregate(window=None):
                return self.running(pipeline, rules)
            case Aggregate(window=(Tumbling() | Hopping()) as window):
                return self.windows(pipeline, window, rules)
            case Aggregate(window=Session() as window):
                return self.sessions(pipeline, window, rules)
            case Join():
                return self.join(pipeline, rules)
            case Dedup():
                return self.dedup(pipeline, rules)
            case _:
                return Pass()


PARTS = Parts()


class Machine:
    """All tasks of one job, for an engine that runs it: one order of events, as they come."""

    def __init__(self, pipeline: Pipeline, rules: Rules = CONTRACT, partitions: int = 1, parts: Parts = PARTS) -> None:
        lanes = tasks(pipeline, rules, partitions)
        self.tasks = tuple(parts.task(pipeline, rules, of_task, parts) for of_task in lanes)
        self._home = {lane: task for task in self.tasks for lane in task.lanes}

    def feed(self, partition: int, events: Sequence[Event | Raw]) -> Task:
        """Take a chunk of one partition of one input; return the task that took it, to be read and drained."""
        task = self._home[partition]
        task.feed(events)
        return task

    @property
    def watermark(self) -> int | None:
        """Return the lowest task's watermark, None if any has none."""
        marks = [task.clock.watermark for task in self.tasks]
        return min((mark for mark in marks if mark is not None), default=None) if None not in marks else None

    def held(self) -> int:
        """Return how many rows of state there are, the sentinel's too."""
        return sum(1 for task in self.tasks for _ in task.operator.held())

    def dump(self) -> Dump:
        return tuple(task.dump() for task in self.tasks)

    def load(self, dump: Dump) -> None:
        for task, part in zip(self.tasks, dump, strict=True):
            task.load(part)


def tasks(pipeline: Pipeline, rules: Rules, partitions: int) -> tuple[tuple[int, ...], ...]:
    """Return the partitions of each task.

    Only clocks of one's own make tasks that can be told apart: behind a key_by, or under one clock, all tasks have the
    same watermark, and keys never meet, so that they are one.
    """
    if rules.watermark_scope is WatermarkScope.PARTITION and not rekeyed(pipeline):
        return tuple((lane,) for lane in range(partitions))
    return (tuple(range(partitions)),)
