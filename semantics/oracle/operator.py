"""What operators have in common: they judge one event, end a micro-batch, and can be dumped and loaded.

An operator's rows are said at the end of the micro-batch that made them; the task (`machine.py`) takes them away.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from semantics.oracle.clocks import BEFORE_ALL, Dump
from semantics.pipeline import Aggregate, Emit, Function
from semantics.rows import EventRow, Row, Value, Values, WindowRow
from semantics.rules import Average, Close, NullKey, RowLateness, Rules
from semantics.time import T0_US
from semantics.timeline import Event

NEVER = -BEFORE_ALL

Numbers: TypeAlias = list[Any]
"""Partial aggregates, in the pipeline's order of functions; None: of nothing but nulls. They are numbers; for AVG (sum,
count), for FIRST and LAST (time, value), for COLLECT ((time, value), ...) in order."""


@dataclass(frozen=True, slots=True)
class Missed:
    """What an event came too late for."""

    spans: tuple[tuple[int, int], ...] = ()
    """Windows, or its own span for a session; none for a row operator."""
    wholly: bool = True
    """Whether no window was open for it: only then the event is late."""


class Failed(Exception):
    """The engine fails here, by the rule that `args` names. Only the oracle raises and catches it."""


class Operator(ABC):
    """One operator of one task."""

    takes_null_times = True
    """Whether an event without a time comes this far where it is SQL's null; windows filter it."""
    partial = False
    """Whether late events are counted after a partial aggregation, where the engine counts so."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.due = BEFORE_ALL
        """Nothing closes or expires below it: spares looking."""
        self.dup = 0
        """Repeats held back since the task last asked."""

    def uses(self, event: Event, side: int) -> bool:
        """Return whether the event can matter at all: whether an optimizer that knows the operator may filter it."""
        del event, side
        return True

    def event_of(self, row: Row) -> Event:
        """Return the event that one of its newest rows is to the next operator."""
        match row:
            case EventRow(key, id, value, time_us):
                return Event(key, time_us, id, value)
            case WindowRow(key, start_us, end_us, values):
                return Event(key, end_us - 1, f"{T0_US + start_us}-{T0_US + end_us}", first_value(values))
        raise AssertionError(f"{type(self).__name__} has no event for {row}")

    @abstractmethod
    def take(self, event: Event, before: int, side: int) -> Missed | None:
        """Judge an event against the watermark `before`; take it in, or return what it was late for.

        `side`: of a join's inputs 0 the left one, 1 the right one; else 0.
        """

    def speak(self) -> None:  # noqa: B027  (most say all at once)
        """Say what has changed, if this operator speaks in updates."""

    @abstractmethod
    def close(self, now: int) -> None:
        """End a micro-batch: close and evict what the watermark `now` allows."""

    def undecided(self, duration_us: int) -> bool:
        """Return whether it is open, after so much more processing time, what a timer does: steps take time too."""
        del duration_us
        return False

    def pass_time(self, duration_us: int, *, asleep: bool) -> None:
        """Let processing time pass without input. `asleep`: no timer fires yet."""
        del duration_us, asleep

    @abstractmethod
    def held(self) -> Iterator[str | None]:
        """Yield the key of every row of state."""

    @abstractmethod
    def dump(self) -> Dump: ...

    @abstractmethod
    def load(self, dump: Dump) -> None: ...


class Aggregating(Operator):
    """An operator that groups by key and aggregates."""

    partial = True

    def __init__(self, pipeline: Aggregate, rules: Rules) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.functions = pipeline.functions
        self.at_most = pipeline.at_most
        self.updates = pipeline.emit is Emit.UPDATE
        self.rules = rules

    def take(self, event: Event, before: int, side: int) -> Missed | None:
        del side
        if event.key is None:
            match self.rules.null_key:
                case NullKey.OWN_GROUP:
                    pass
                case NullKey.DROP:
                    return None
                case NullKey.FAIL:
                    raise Failed("null_key")
                case unknown:
                    assert_never(unknown)
        return self.add(event, before)

    @abstractmethod
    def add(self, event: Event, before: int) -> Missed | None:
        """Do what `take` says, for an event whose key may be grouped by."""

    def raised(self, slot: Hashable, values: Numbers | None, event: Event) -> Numbers:
        """Return the aggregates of `slot`, a key with its window, after one more event."""
        del slot
        more: Numbers = [partial(function, event, self.rules) for function in self.functions]
        return more if values is None else self.together(values, more)

    def together(self, left: Numbers, right: Numbers) -> Numbers:
        """Return two partial aggregates as one."""
        return [joined(f, a, b) for f, a, b in zip(self.functions, left, right, strict=True)]

    def named(self, values: Numbers) -> Values:
        """Return aggregates as rows show them."""
        parts = zip(self.functions, values, strict=True)
        return tuple((function.value, shown(function, part, self.at_most)) for function, part in parts)

    def is_late(self, time_us: int, end_us: int, before: int) -> bool:
        """Return whether an event at `time_us` is late for a window that ends at `end_us`: it is final already."""
        del time_us
        return self.is_final(end_us, before)

    @abstractmethod
    def is_final(self, end_us: int, watermark: int) -> bool:
        """Return whether a window that ends at `end_us` is final."""


def reached(end_us: int, watermark: int, rule: Close) -> bool:
    """Return whether the watermark has closed a window: come to its end, or past it."""
    match rule:
        case Close.AT_END:
            return watermark >= end_us
        case Close.AFTER_END:
            return watermark > end_us
        case Close.NEVER:
            return False
        case unknown:
            assert_never(unknown)


def partial(function: Function, event: Event, rules: Rules) -> Any:
    """Return what one event is to a function: nothing, if it asks for a value or time that is null."""
    match function:
        case Function.COUNT:
            return 1
        case Function.SUM | Function.MIN | Function.MAX:
            return event.value
        case Function.AVG:
            exact = rules.average is Average.EXACT
            return None if event.value is None else (event.value if exact else float(event.value), 1)
        case Function.FIRST | Function.LAST:
            return None if event.time_us is None else (event.time_us, event.value)
        case Function.COLLECT:
            return () if event.time_us is None else ((event.time_us, event.value),)
        case unknown:
            assert_never(unknown)


def joined(function: Function, left: Any, right: Any) -> Any:
    """Return two partial results of a function as one, of which `right` came last; that of only nulls is null."""
    if left is None or right is None:
        return right if left is None else left
    match function:
        case Function.COUNT | Function.SUM:
            return left + right
        case Function.MIN:
            return min(left, right)
        case Function.MAX:
            return max(left, right)
        case Function.AVG:
            return left[0] + right[0], left[1] + right[1]
        case Function.FIRST:
            return right if right[0] < left[0] else left
        case Function.LAST:
            return right if right[0] >= left[0] else left
        case Function.COLLECT:
            return tuple(sorted(left + right, key=lambda one: one[0]))
        case unknown:
            assert_never(unknown)


def shown(function: Function, part: Any, at_most: int) -> Value:
    """Return what a row shows of a partial result."""
    match function:
        case Function.COLLECT:
            return tuple(value for _, value in part[:at_most])
        case Function.AVG:
            return None if part is None else float(part[0] / part[1])
        case Function.FIRST | Function.LAST:
            return None if part is None else part[1]
        case _:
            return part  # type: ignore[no-any-return]


def first_value(values: Values) -> int | None:
    """Return the value of the event that a row with these aggregates is to the next operator."""
    value = values[0][1]
    assert isinstance(value, int | None), "a pipeline names a function that yields an integer first"
    return value


def thawed(values: Any) -> Numbers:
    """Return the partial aggregates of a dump, which may have lists for tuples."""
    return [_frozen(value) for value in values]


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def row_is_late(time_us: int, watermark: int, rules: Rules) -> bool:
    """Return whether a row operator is too late for a row at `time_us`: by its own time, there is no window."""
    if time_us > watermark:
        return False
    match rules.row_lateness:
        case RowLateness.BEFORE:
            return time_us < watermark
        case RowLateness.AT_OR_BEFORE:
            return time_us <= watermark
        case RowLateness.NEVER:
            return False
        case unknown:
            assert_never(unknown)


def time_of(event: Event) -> int:
    """Return the time of an event that has one: null times never come as far as a window."""
    assert event.time_us is not None
    return event.time_us
