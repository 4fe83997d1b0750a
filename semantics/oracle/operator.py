"""What operators have in common: they judge one event, end a micro-batch, and can be dumped and loaded.

An operator's rows are said at the end of the micro-batch that made them; the task (`machine.py`) takes them away.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from semantics.oracle.clocks import BEFORE_ALL, Dump
from semantics.pipeline import Aggregate, Emit, Function
from semantics.rows import Row, Values
from semantics.rules import Close, NullKey, RowLateness, Rules
from semantics.timeline import Event

NEVER = -BEFORE_ALL

Numbers: TypeAlias = list[int | None]
"""Partial aggregates, in the pipeline's order of functions; None: of nothing but nulls."""


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

    def uses(self, event: Event) -> bool:
        """Return whether the event can matter at all: whether an optimizer that knows the operator may filter it."""
        del event
        return True

    @abstractmethod
    def take(self, event: Event, before: int) -> Missed | None:
        """Judge an event against the watermark `before`; take it in, or return what it was late for."""

    @abstractmethod
    def close(self, now: int) -> None:
        """End a micro-batch: say what changed, then close and evict what the watermark `now` allows."""

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
        self.functions = pipeline.functions
        self.updates = pipeline.emit is Emit.UPDATE
        self.rules = rules

    def take(self, event: Event, before: int) -> Missed | None:
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
        more: Numbers = [1 if function is Function.COUNT else event.value for function in self.functions]
        return more if values is None else self.together(values, more)

    def together(self, left: Numbers, right: Numbers) -> Numbers:
        """Return two partial aggregates as one."""
        return [joined(f, a, b) for f, a, b in zip(self.functions, left, right, strict=True)]

    def named(self, values: Numbers) -> Values:
        """Return aggregates as rows show them."""
        return tuple(zip((function.value for function in self.functions), values, strict=True))

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


def joined(function: Function, left: int | None, right: int | None) -> int | None:
    """Return two partial results of a function as one; that of nothing but nulls is null."""
    if left is None or right is None:
        return right if left is None else left
    match function:
        case Function.COUNT | Function.SUM:
            return left + right
        case Function.MIN:
            return min(left, right)
        case Function.MAX:
            return max(left, right)
        case unknown:
            assert_never(unknown)


def row_is_late(time_us: int, watermark: int, rule: RowLateness) -> bool:
    """Return whether a row operator is too late for a row at `time_us`: by its own time, there is no window."""
    match rule:
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
