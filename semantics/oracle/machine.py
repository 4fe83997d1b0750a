"""The executor, one for both ways in which time can move.

Record by record is a micro-batch of one record followed by an empty one; batch by batch is a micro-batch followed, when
the engine idles, by an empty one. Every micro-batch judges late events by the watermark before, closes and evicts by
the current one, and then moves both. Operators close in the order of the pipeline: what one says as it closes, the next
still judges by the watermark before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from semantics.oracle.clocks import BEFORE_ALL, Clock, Dump, Mark
from semantics.oracle.dedup import Deduping
from semantics.oracle.join import IntervalJoin
from semantics.oracle.latest import Listening, Looking, Upserting, Watching
from semantics.oracle.operator import Failed, Operator
from semantics.oracle.session import Sessions
from semantics.oracle.simple import Pass, Running, parse, parse_with_nulls, through
from semantics.oracle.window import Windows
from semantics.pipeline import (
    Absence,
    Aggregate,
    Dedup,
    Explode,
    Filter,
    Hopping,
    Join,
    KeyBy,
    Lookup,
    Pipeline,
    Select,
    Session,
    Source,
    Stateful,
    Step,
    Timer,
    Tumbling,
    Union,
    Upsert,
    Watermark,
    inputs,
    rekeyed,
    sources,
    timed,
)
from semantics.rows import Row
from semantics.rules import (
    CONTRACT,
    BadRecord,
    Counts,
    FilteredClock,
    LateCount,
    NullTime,
    RestartClock,
    RestartTimers,
    Rules,
    WatermarkAdvance,
    WatermarkScope,
)
from semantics.time import us
from semantics.timeline import Event, Raw


@dataclass(slots=True, eq=False)
class Node:
    """An operator in its place: its watermark, and where its rows go as events, by which stateless steps."""

    operator: Operator
    mark: Mark
    steps: tuple[Step, ...] = ()
    target: Node | None = None
    """None: the rows are those of the pipeline."""
    side: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one input comes in: the steps before the clock, the clock, those after it, the operator and its side."""

    before: tuple[Step, ...]
    clock: str | None
    steps: tuple[Step, ...]
    target: Node
    side: int


class Task:
    """One task: its clocks, its operators and their state, and what all of them said since it was last drained."""

    def __init__(self, pipeline: Pipeline, rules: Rules, lanes: Sequence[int], parts: Parts) -> None:
        self.pipeline = pipeline
        self.rules = rules
        self.lanes = tuple(lanes)
        self.parts = parts
        self._timed = timed(pipeline)
        self._sources = {source.name: source for source in sources(pipeline)}
        self.clock = parts.clock(pipeline, rules)
        self.mark = Mark(self.clock, lambda: self.clock.all(self.lanes))
        """The lowest of all clocks: how far the task as a whole has come."""
        self.nodes: list[Node] = []
        self._entries: dict[tuple[str, int], Entry] = {}
        if isinstance(pipeline, Stateful):
            self._build(pipeline, self.lanes, (), None, 0)
        else:
            end = Node(parts.operator(pipeline, rules), Mark(self.clock, lambda: BEFORE_ALL))
            self._build(pipeline, self.lanes, (), end, 0)
            self.nodes.append(end)
        self.asleep = False
        """Whether a restart has stopped timers of processing time, until the next input."""
        self.rows: list[Row] = []
        self.dead: list[tuple[Event | Raw, str]] = []
        """The unusable, each with its reason."""
        self.late = 0
        self.dup = 0

    def _build(
        self, node: Pipeline, lanes: tuple[int, ...], steps: tuple[Step, ...], target: Node | None, side: int,
        clock: tuple[str, tuple[Step, ...]] | None = None,
    ) -> None:  # fmt: skip
        """Make the operators from here down. `steps` lead from here to the target, or to the `clock` on the way."""
        if len(lanes) > 1 and self.rules.watermark_scope is WatermarkScope.PARTITION and not rekeyed(node):
            # Until keys are replaced, each partition is for itself.
            for lane in lanes:
                self._build(node, (lane,), steps, target, side, clock)
            return
        match node:
            case Source(name, delay=delay):
                assert target is not None
                named, after = (name, steps) if clock is None and delay is not None else clock or (None, steps)
                before = steps if clock is not None else ()
                for lane in lanes:
                    self._entries[name, lane] = Entry(before, named, after, target, side)
            case Watermark(input):
                self._build(input, lanes, (), target, side, (sources(node)[0].name, steps))
            case Filter() | Select() | KeyBy() | Explode():
                self._build(node.input, lanes, (node, *steps), target, side, clock)
            case Union(streams):
                for stream in streams:
                    self._build(stream, lanes, steps, target, side, clock)
            case Aggregate() | Dedup() | Join() | Upsert() | Absence() | Lookup():
                mark = Mark(self.clock, lambda: self.clock.before(node, lanes))
                here = Node(self.parts.operator(node, self.rules), mark, steps, target, side)
                for own_side, stream in enumerate(inputs(node)):
                    self._build(stream, lanes, (), here, own_side)
                self.nodes.append(here)
            case _:
                assert_never(node)

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
        partials = set[object]()
        self.asleep = self.asleep and not events
        for event in events:
            if self._sources[event.input].idle_after is not None:
                entry = self._entries[event.input, event.partition]
                self.clock.wake(event.input, event.partition, entry.target.mark.now)
            usable = self._usable(event)
            if usable is not None and self._enter(usable, partials) and self._sources[usable.input].late_output:
                self.dead.append((event, "late"))
        for node in self.nodes:
            node.operator.speak()
            node.operator.close(node.mark.now)
            self._say(node, partials)
            self.dup += node.operator.dup
            node.operator.dup = 0
        self.late += len(partials)
        for mark in self._marks():
            mark.advance()

    def hush(self, input: str, lane: int) -> None:
        """Leave out a partition that has become idle, and move time as far as the others say."""
        self.clock.idle.add((input, lane))
        self.batch(())
        self.batch(())

    def pass_time(self, duration_us: int) -> None:
        """Let processing time pass without input: timers fire."""
        for node in self.nodes:
            node.operator.pass_time(duration_us, asleep=self.asleep)
            self._say(node, set())

    def restart(self) -> None:
        """Begin anew in another process: with all state, and without what the rules say is forgotten."""
        if self.rules.restart_clock is RestartClock.GLOBAL_ONLY:
            self.clock.forget()
        if (self.late or self.dup) and self.rules.counts is Counts.OF_A_PROCESS:
            self.late, self.dup = 0, 0
        timers = any(isinstance(node.operator, Listening) for node in self.nodes)
        self.asleep = timers and self.rules.restart_timers is RestartTimers.AT_INPUT

    def _enter(self, event: Event, partials: set[object]) -> bool:
        """Take an event in: past the clock, and to the first operator. Return whether it is late for that."""
        late = False
        entry = self._entries[event.input, event.partition]
        for seen in through(entry.before, event):
            passed = through(entry.steps, seen)
            used = [event for event in passed if entry.target.operator.uses(event, entry.side)]
            pushed = (not passed or len(used) < len(passed)) and self.rules.filtered_clock is FilteredClock.IGNORED
            passed = used if pushed else passed
            if entry.clock is not None and seen.time_us is not None and (passed or not pushed):
                self.clock.see(entry.clock, event.partition, seen.time_us)
            for each in passed:
                late |= self._take(entry.target, each, entry.side, partials)
        return late

    def _take(self, node: Node, event: Event, side: int, partials: set[object]) -> bool:
        """Give an event to an operator, and pass on what that says to it at once. Return whether it is late."""
        if event.time_us is None and not node.operator.takes_null_times:
            return False
        missed = node.operator.take(event, node.mark.before, side)
        if self.rules.watermark_advance is WatermarkAdvance.RECORD:
            node.operator.speak()
        self._say(node, partials)
        if missed is None:
            return False
        if node.operator.partial and self.rules.late_count is LateCount.PER_PARTIAL_AGGREGATE:
            partials.update((node.mark, event.key, event.partition, span) for span in missed.spans)
        elif missed.wholly:
            self.late += 1
        return missed.wholly

    def _say(self, node: Node, partials: set[object]) -> None:
        """Pass on an operator's new rows."""
        rows, node.operator.rows = node.operator.rows, []
        if node.target is None:
            self.rows += rows
            return
        for row in rows:
            for event in through(node.steps, node.operator.event_of(row)):
                self._take(node.target, event, node.side, partials)

    def _marks(self) -> Iterator[Mark]:
        yield self.mark
        yield from (node.mark for node in self.nodes)

    def held(self) -> Iterator[str | None]:
        """Yield the key of every row of state."""
        return (key for node in self.nodes for key in node.operator.held())

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
        marks = tuple(mark.dump() for mark in self._marks())
        return self.clock.dump(), marks, tuple(node.operator.dump() for node in self.nodes), self.asleep

    def load(self, dump: Dump) -> None:
        """Take up a dump; lists for its tuples will do."""
        clock, marks, states, self.asleep = dump
        self.clock.load(clock)
        for mark, part in zip(self._marks(), marks, strict=True):
            mark.load(part)
        for node, part in zip(self.nodes, states, strict=True):
            node.operator.load(part)

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
        if parsed.time_us is not None or parsed.input not in self._timed:
            return parsed
        match self.rules.null_time:
            case NullTime.DEAD_LETTER:
                self.dead.append((event, "no_time"))
            case NullTime.DROP_SILENTLY:
                pass
            case NullTime.SQL_NULL:
                return parsed
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
    upsert: type[Upserting] = Upserting
    absence: type[Watching] = Watching
    listening: type[Listening] = Listening
    lookup: type[Looking] = Looking

    def operator(self, pipeline: Pipeline, rules: Rules) -> Operator:
        """Return the operator of a node."""
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
            case Upsert():
                return self.upsert(pipeline, rules)
            case Absence(timer=Timer.PROCESSING_TIME):
                return self.listening(pipeline)
            case Absence():
                return self.absence(pipeline, rules)
            case Lookup():
                return self.lookup(pipeline, rules)
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

    def hush(self, input: str, partition: int) -> Task:
        """Leave out a partition that has become idle; return its task, to be read and drained."""
        task = self._home[partition]
        task.hush(input, partition)
        return task

    @property
    def watermark(self) -> int | None:
        """Return the lowest task's watermark, None if any has none."""
        marks = [task.mark.watermark for task in self.tasks]
        return min((mark for mark in marks if mark is not None), default=None) if None not in marks else None

    def held(self) -> int:
        """Return how many rows of state there are, the sentinel's too."""
        return sum(1 for task in self.tasks for _ in task.held())

    def dump(self) -> Dump:
        return tuple(task.dump() for task in self.tasks)

    def load(self, dump: Dump) -> None:
        for task, part in zip(self.tasks, dump, strict=True):
            task.load(part)


def tasks(pipeline: Pipeline, rules: Rules, partitions: int) -> tuple[tuple[int, ...], ...]:
    """Return the partitions of each task.

    Only clocks of one's own make tasks that can be told apart: behind a key_by, or under one clock, all tasks have the
    same watermark, and keys never meet, so that they are one. In a top keys do meet: behind a key_by it is refused.
    """
    if rules.watermark_scope is WatermarkScope.PARTITION and not rekeyed(pipeline):
        return tuple((lane,) for lane in range(partitions))
    return (tuple(range(partitions)),)
