"""Every outcome that a script leaves open, over all orders and cuts; equal states are met once.

Within one partition of one input a step arrives whole and in order. Between partitions and inputs any order is
possible: record by record, or micro-batch by micro-batch, with or without an idle moment in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import combinations, permutations, product
from typing import TypeAlias

from semantics.errors import InvalidTimeline
from semantics.oracle.clocks import Dump
from semantics.oracle.faults import harms_state, processed, recovered
from semantics.oracle.machine import Parts, Task, tasks
from semantics.oracle.operator import Failed
from semantics.pipeline import Aggregate, Emit, Pipeline, nodes, rekeyed, sources
from semantics.rows import Row, WindowRow, sort_key
from semantics.rules import CONTRACT, LateCount, Rules, Runs, TrailingBatch, WatermarkAdvance
from semantics.time import us
from semantics.timeline import (
    SENTINEL_KEY,
    Crash,
    CrashPoint,
    Event,
    Flush,
    Idle,
    Raw,
    Restart,
    Send,
    Step,
    Timeline,
    check,
    partitions,
    sentinel,
)

MOST_STATES = 5_000
"""States of one step beyond which a script is no script any more: its outcome cannot be demanded."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step shows. Times are offsets from T0 in microseconds; counters are of this step alone."""

    rows: tuple[Row, ...]
    """Without the sentinel's. Updates in each key's order, all others sorted by `rows.sort_key`."""
    wm: int | None
    """The lowest task's watermark; None if any task has none."""
    late: int | None
    """The sentinels that came late too. None: the engine does not count."""
    dup: int
    dead: tuple[str, ...]
    """Why each dead letter is one, in order of the alphabet."""
    state: int
    """Rows of state, without the sentinel's."""
    sentinels: int = 0
    """The sentinel's rows of state."""
    failed: str = ""
    """The rule by which the engine has failed, in this step or an earlier one."""


Prediction: TypeAlias = tuple[StepResult, ...]
"""One possible outcome: a result for every step."""
_Chunks: TypeAlias = tuple[tuple[int, int], ...]
"""What is left of a step: (number of the chunk, events of it that are gone)."""
_Events: TypeAlias = Sequence[Event | Raw]


def possibilities(pipeline: Pipeline, timeline: Timeline, rules: Rules, parts: Parts) -> frozenset[Prediction]:
    """Return every outcome, as `predict` does. Raises `InvalidTimeline`."""
    check(timeline, tuple(source.name for source in sources(pipeline)))
    if rekeyed(pipeline) and any(isinstance(step, Flush) for step in timeline):
        raise InvalidTimeline("flush() cannot be told apart behind a key_by: end the script with events of its own.")
    count = partitions(timeline)
    ranked = (node for node in nodes(pipeline) if isinstance(node, Aggregate) and node.top is not None)
    if count > 1 and any(map(rekeyed, ranked)):
        raise InvalidTimeline("Behind a key_by no script says which keys share a top: play it on one partition.")
    alone = [_predict(pipeline, timeline, rules, lanes, parts) for lanes in tasks(pipeline, rules, count)]
    arrange = _arranged(pipeline)
    return frozenset(
        tuple(_together(results, arrange) for results in zip(*chosen, strict=True)) for chosen in product(*alone)
    )


def _predict(
    pipeline: Pipeline, timeline: Timeline, rules: Rules, lanes: tuple[int, ...], parts: Parts
) -> set[Prediction]:
    """Return every outcome of one task."""
    arrange = _arranged(pipeline)
    inputs = [source.name for source in sources(pipeline)]
    paths: dict[Dump, set[Prediction]] = {parts.task(pipeline, rules, lanes, parts).dump(): {()}}
    ended: set[Prediction] = set()
    crash: Crash | None = None
    for number, step in enumerate(timeline, 1):
        forgets_at = _Moment.of(crash) if crash and _forgets(rules) else _Moment.NEVER
        fault = step if isinstance(step, Restart) else crash
        after: dict[Dump, set[Prediction]] = {}
        for dump, pasts in paths.items():
            task = parts.task(pipeline, rules, lanes, parts)
            task.load(dump)
            if (isinstance(step, Restart) or rules.runs is Runs.A_STEP) and _forgets(rules):
                task.restart()
            chunks = _chunks(step, inputs, lanes)
            begun = _hushed(task, step, number) if isinstance(step, Idle) else [task]
            for end in (end for task in begun for end in _ends(task, chunks, number, arrange, forgets_at, fault)):
                if isinstance(end, Failed):
                    failed = StepResult((), None, 0, 0, (), 0, failed=str(end))
                    ended |= {(*past, *(failed,) * (len(timeline) - len(past))) for past in pasts}
                else:
                    result = _result(end, arrange)
                    after.setdefault(end.dump(), set()).update((*past, result) for past in pasts)
        paths = after
        crash = step if isinstance(step, Crash) else None
    return ended.union(*paths.values())


def _forgets(rules: Rules) -> bool:
    """Return whether a new process lacks anything that the one before it had."""
    names = "restart_clock", "restart_timers", "counts"
    return any(getattr(rules, name) is not getattr(CONTRACT, name) for name in names)


def _hushed(task: Task, step: Idle, number: int) -> Iterator[Task]:
    """Yield the task with all inputs idle that can be, in any order: nobody says when each has been heard last."""
    if any(node.operator.undecided(us(step.duration)) for node in task.nodes):
        raise InvalidTimeline(
            f"step {number}: a timer may fire by then, or not: let all of its time pass, or no more than half."
        )
    task.pass_time(us(step.duration))
    silent: list[tuple[str, int]] = []
    for source in sources(task.pipeline):
        if source.idle_after is None:
            continue
        if step.duration < source.idle_after:
            raise InvalidTimeline(
                f"step {number}: whether {source.name!r} is idle by then depends on the steps before: let at least"
                f" {source.idle_after} pass."
            )
        silent += [(source.name, lane) for lane in task.lanes if (source.name, lane) not in task.clock.idle]
    for order in permutations(silent):
        hushed = task.fork()
        for place in order:
            hushed.hush(*place)
        yield hushed


def _chunks(step: Step, inputs: Sequence[str], lanes: Sequence[int]) -> list[_Events]:
    """Return what a step sends to a task: a chunk for every partition of every input that gets anything."""
    match step:
        case Send(events):
            chunks = [[e for e in events if (e.input, e.partition) == (i, lane)] for i in inputs for lane in lanes]
            return [chunk for chunk in chunks if chunk]
        case Flush(time_us):
            return [(sentinel(input, lane, time_us),) for input in inputs for lane in lanes]
        case _:
            return []


class _Moment(Enum):
    """When in a step the process is a new one. A replayed micro-batch is seen by the new one, a recorded one is not."""

    NEVER = "never"
    AT_START = "at the start"
    AT_OUTPUT = "with the micro-batch that emits first"
    AFTER_OUTPUT = "after the micro-batch that emits first"

    @staticmethod
    def of(crash: Crash | None) -> _Moment:
        """Return when the process that a crash strikes in this step is followed by the new one."""
        match crash:
            case None:
                return _Moment.NEVER
            case Crash(CrashPoint.BEFORE_PROCESS | CrashPoint.AFTER_PROCESS):
                return _Moment.AT_START
            case Crash(CrashPoint.AFTER_PROGRESS):
                return _Moment.AFTER_OUTPUT
            case _:
                return _Moment.AT_OUTPUT


def _orders(
    task: Task, chunks: Sequence[_Events], number: int, arrange: _Arrange, forgets: _Moment
) -> Iterator[Task | Failed]:
    """Yield the task after every order or cut of the chunks, each distinct one once."""
    if forgets is _Moment.AT_START:
        task.restart()
    following = _batches if task.rules.watermark_advance is WatermarkAdvance.BATCH else _records
    start = tuple((chunk, 0) for chunk in range(len(chunks)))
    todo = [(task, start, forgets)]
    met: set[object] = set()
    while todo:
        here, left, forgets = todo.pop()
        if not left:
            yield here
            continue
        for events, idle, rest in following(left, chunks):
            there = here if len(left) == 1 else here.fork()
            try:
                there, moment = _run(there, events, forgets)
                if idle and task.rules.trailing_batch is TrailingBatch.YES:
                    there, moment = _run(there, (), moment)
            except Failed as failed:
                yield failed
                continue
            if left != start or rest:
                mark = rest, moment, there.dump(), arrange(there.rows), there.late, there.dup, _reasons(there)
                if mark in met:
                    continue
                met.add(mark)
            if len(met) > MOST_STATES:
                raise InvalidTimeline(f"step {number}: more than {MOST_STATES} orders to try: put a settle between.")
            todo.append((there, rest, moment))


def _run(task: Task, events: _Events, forgets: _Moment) -> tuple[Task, _Moment]:
    """Run a micro-batch, or what one chunk is to an engine without; return the task after it, and what is still due."""
    if forgets in (_Moment.NEVER, _Moment.AT_START):
        task.feed(events)
        return task, forgets
    before, said = task.fork(), len(task.rows)
    task.feed(events)
    if len(task.rows) == said:
        return task, forgets
    if forgets is _Moment.AT_OUTPUT:
        task = before
        task.restart()
        task.feed(events)
    else:
        task.restart()
    return task, _Moment.NEVER


def _ends(
    task: Task,
    chunks: Sequence[_Events],
    number: int,
    arrange: _Arrange,
    forgets: _Moment,
    fault: Crash | Restart | None,
) -> Iterator[Task | Failed]:
    """Yield the task after every order or cut of a step, from every state that a fault may have left to it."""
    if fault is None or not harms_state(task):
        yield from _orders(task, chunks, number, arrange, forgets)
        return
    firsts: list[Task | Failed] = [task.fork()]
    if processed(fault):
        firsts = list(_orders(task.fork(), chunks, number, arrange, _Moment.NEVER))
    for first in firsts:
        if isinstance(first, Failed):
            yield first
            continue
        for found in recovered(task, first, wiped=fault.wipe_state):
            yield from _orders(found, chunks, number, arrange, forgets)


_Ways: TypeAlias = Iterator[tuple[_Events, bool, _Chunks]]
"""Ways to go on: the events that come next, whether the engine idles after them, and what is left then."""


def _records(left: _Chunks, chunks: Sequence[_Events]) -> _Ways:
    """Yield the ways to go on record by record: the next of any chunk; a chunk that is alone has one way only."""
    if len(left) == 1:
        [(chunk, gone)] = left
        yield chunks[chunk][gone:], False, ()
        return
    for at, (chunk, gone) in enumerate(left):
        moved = ((chunk, gone + 1),) if gone + 1 < len(chunks[chunk]) else ()
        yield chunks[chunk][gone : gone + 1], False, (*left[:at], *moved, *left[at + 1 :])


def _batches(left: _Chunks, chunks: Sequence[_Events]) -> _Ways:
    """Yield the ways to go on micro-batch by micro-batch: any chunks together, the others at once or later."""
    for size in range(1, len(left) + 1):
        for chosen in combinations(left, size):
            rest = tuple(chunk for chunk in left if chunk not in chosen)
            events = [event for chunk, _ in chosen for event in chunks[chunk]]
            yield events, True, rest
            if rest:
                yield events, False, rest


def _result(task: Task, arrange: _Arrange) -> StepResult:
    """Return what a task says of a step."""
    held = [key == SENTINEL_KEY for key in task.held()]
    return StepResult(
        rows=arrange(row for row in task.rows if row.key != SENTINEL_KEY),
        wm=task.mark.watermark,
        late=None if task.rules.late_count is LateCount.NONE else task.late,
        dup=task.dup,
        dead=_reasons(task),
        state=held.count(False),
        sentinels=held.count(True),
    )


def _reasons(task: Task) -> tuple[str, ...]:
    return tuple(sorted(reason for _, reason in task.dead))


def _together(results: Sequence[StepResult], arrange: _Arrange) -> StepResult:
    """Return what a step shows of all tasks."""
    for result in results:
        if result.failed:
            return result
    marks = [result.wm for result in results]
    late = [result.late for result in results]
    return StepResult(
        rows=arrange(row for result in results for row in result.rows),
        wm=None if None in marks else min(mark for mark in marks if mark is not None),
        late=None if None in late else sum(count for count in late if count is not None),
        dup=sum(result.dup for result in results),
        dead=tuple(sorted(reason for result in results for reason in result.dead)),
        state=sum(result.state for result in results),
        sentinels=sum(result.sentinels for result in results),
    )


_Arrange: TypeAlias = Callable[[Iterable[Row]], tuple[Row, ...]]


def _arranged(pipeline: Pipeline) -> _Arrange:
    """Return how rows are put in an order that says nothing: of updates, only each key's own order means something."""
    if isinstance(pipeline, Aggregate) and pipeline.emit is Emit.UPDATE:
        return lambda rows: tuple(sorted(rows, key=_key))
    return lambda rows: tuple(sorted(rows, key=sort_key))


def _key(row: Row) -> tuple[bool, str, int]:
    return row.key is None, row.key or "", row.start_us if isinstance(row, WindowRow) else 0
