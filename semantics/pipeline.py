"""The algebra: what a job computes, as a tree of frozen values.

A stream node passes events on; an aggregate or a join ends the tree. Whatever the contract says of their time,
closing and lateness stands in `semantics/README.md`. Errors: `InvalidPipeline` at construction.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TypeAlias

from semantics.errors import InvalidPipeline
from semantics.expr import Expr, Kind, kind, sides
from semantics.time import us

_ZERO = timedelta(0)


@dataclass(frozen=True, slots=True)
class Source:
    """Events of one input topic. `delay` is the watermark's distance behind the highest time seen; None: no clock.

    `late_output`: late events are dead letters too, with reason `late`: counted as late and as dead. `future`: an event
    more than that ahead of the highest time seen in its partition is a dead letter, with reason `future`, and moves no
    clock; the first event of a partition is ahead of nothing. No other clock is asked, so a pause of the whole input
    that is longer than `future` makes dead letters of all that follows: it must be longer than any pause.
    """

    name: str = "in"
    delay: timedelta | None = field(default=None, kw_only=True)
    late_output: bool = field(default=False, kw_only=True)
    future: timedelta | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise InvalidPipeline(f"An input's name is an identifier, {self.name!r} is none.")
        if self.delay is not None and self.delay < timedelta(0):
            raise InvalidPipeline(f"A watermark cannot run ahead of its input: delay is {self.delay}.")
        if self.delay is None and (self.late_output or self.future is not None):
            raise InvalidPipeline("What is late, or too early, is said by a clock: give the source a delay.")
        if self.future is not None:
            _positive(self.future, "a future guard")


@dataclass(frozen=True, slots=True)
class Filter:
    """Pass on the events for which `where` is true."""

    input: Stream
    where: Expr

    def __post_init__(self) -> None:
        _yields(self.where, Kind.TRUTH, "A filter's condition")


@dataclass(frozen=True, slots=True)
class Select:
    """Replace the event's value by `value`, an integer expression."""

    input: Stream
    value: Expr

    def __post_init__(self) -> None:
        _yields(self.value, Kind.INTEGER, "A value")


@dataclass(frozen=True, slots=True)
class KeyBy:
    """Replace the event's key by `key`, a string expression; what follows is keyed by it."""

    input: Stream
    key: Expr

    def __post_init__(self) -> None:
        _yields(self.key, Kind.TEXT, "A key")


Stream: TypeAlias = Source | Filter | Select | KeyBy


@dataclass(frozen=True, slots=True)
class Tumbling:
    """Windows [k*size + offset, (k+1)*size + offset) since 1970-01-01T00:00:00Z, earlier times too.

    A window is final, and an event late for it, at watermark >= end + grace.
    """

    size: timedelta
    offset: timedelta = field(default=_ZERO, kw_only=True)
    grace: timedelta = field(default=_ZERO, kw_only=True)

    def __post_init__(self) -> None:
        _positive(self.size, "a window's size")
        _within(self.offset, self.size)
        _not_negative(self.grace, "a window's grace")


@dataclass(frozen=True, slots=True)
class Hopping:
    """Windows of `size` that start every `slide`; an event belongs to all that hold it."""

    size: timedelta
    slide: timedelta
    offset: timedelta = field(default=_ZERO, kw_only=True)
    grace: timedelta = field(default=_ZERO, kw_only=True)

    def __post_init__(self) -> None:
        _positive(self.size, "a window's size")
        _positive(self.slide, "a window's slide")
        if self.slide > self.size:
            raise InvalidPipeline(
                f"A slide of {self.slide} leaves holes between windows of {self.size}: events would be lost."
            )
        _within(self.offset, self.slide)
        _not_negative(self.grace, "a window's grace")


@dataclass(frozen=True, slots=True)
class Session:
    """Spans [t, t+gap) of one key that overlap or touch are one session, while the earlier one is not final.

    A session is final at watermark >= end + grace. The gap may be each event's own: an expression that yields seconds.
    A session then ends at the highest t + gap; an event whose gap is not above zero, or null, counts as filtered.
    """

    gap: timedelta | Expr
    grace: timedelta = field(default=_ZERO, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.gap, timedelta):
            _positive(self.gap, "a session's gap")
        else:
            _yields(self.gap, Kind.INTEGER, "A session's gap")
        _not_negative(self.grace, "a session's grace")


Window: TypeAlias = Tumbling | Hopping | Session


class Function(Enum):
    """Aggregate functions; the value is the result's name in rows and notation."""

    COUNT = "n"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    AVG = "avg"
    """The 64-bit float nearest to the exact sum divided by the count: it is rounded once, when it is shown."""
    FIRST = "first"
    """The value of the earliest event; of those at one time, the first to arrive."""
    LAST = "last"
    """The value of the latest event; of those at one time, the last to arrive."""
    COLLECT = "collect"
    """The values in the order of event time, then of arrival: the earliest `Aggregate.at_most`, none after them. So
    what is kept does not depend on the order of arrival, and state is bounded."""

    @property
    def timed(self) -> bool:
        """Return whether it asks when an event was."""
        return self in (Function.FIRST, Function.LAST, Function.COLLECT)


class Emit(Enum):
    """When an aggregate speaks."""

    FINAL = "final"
    """Once, when its window closes."""
    UPDATE = "update"
    """Changed rows as they change; nothing at close."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Group by key (and window) and aggregate. Without a window it runs for ever and speaks in updates."""

    input: Stream
    functions: tuple[Function, ...] = (Function.COUNT,)
    window: Window | None = field(default=None, kw_only=True)
    emit: Emit = field(default=Emit.FINAL, kw_only=True)
    at_most: int = field(default=100, kw_only=True)
    """Of how many events COLLECT shows the values."""

    def __post_init__(self) -> None:
        _stateless(self.input)
        if self.at_most < 1:
            raise InvalidPipeline(f"A collection holds one value or more, not {self.at_most}.")
        if not self.functions or len(set(self.functions)) != len(self.functions):
            raise InvalidPipeline("An aggregate needs at least one function, each once.")
        if self.window is None and self.emit is Emit.FINAL:
            raise InvalidPipeline("An aggregate without a window never closes: say emit=Emit.UPDATE.")
        if self.window is not None and self.emit is Emit.FINAL and clock(self.input) is None:
            raise InvalidPipeline("A window closes by the watermark: give its source a delay.")


class How(Enum):
    """Which unmatched rows of a join come out, padded with nulls."""

    INNER = "inner"
    LEFT = "left"
    RIGHT = "right"
    FULL = "full"
    SEMI = "semi"
    """No pairs: each left event once, as it is, as soon as it has a partner."""
    ANTI = "anti"
    """No pairs: each left event, as it is, once it can have no partner any more."""

    @property
    def pairs(self) -> bool:
        """Return whether rows are pairs; else they are left events."""
        return self not in (How.SEMI, How.ANTI)

    @property
    def keeps_left(self) -> bool:
        """Return whether unmatched left rows come out."""
        return self in (How.LEFT, How.FULL, How.ANTI)

    @property
    def keeps_right(self) -> bool:
        """Return whether unmatched right rows come out."""
        return self in (How.RIGHT, How.FULL)


@dataclass(frozen=True, slots=True)
class Join:
    """Pairs of equal key with lo <= right time - left time <= hi, each once.

    A bound may be open (None) or exclusive; `where` is one more condition, on both sides' fields. Or, with a `window`,
    pairs of events in the same one: an event is late, and an unmatched one comes out, when the window is over. LEFT,
    RIGHT and FULL add the unmatched rows of that side, or of both.
    """

    left: Stream
    right: Stream
    lo: timedelta | None = field(default=None, kw_only=True)
    hi: timedelta | None = field(default=None, kw_only=True)
    how: How = field(default=How.INNER, kw_only=True)
    lo_exclusive: bool = field(default=False, kw_only=True)
    hi_exclusive: bool = field(default=False, kw_only=True)
    where: Expr | None = field(default=None, kw_only=True)
    window: Tumbling | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _stateless(self.left)
        _stateless(self.right)
        first_us, last_us = self.bounds_us
        if first_us is not None and last_us is not None and first_us > last_us:
            raise InvalidPipeline(f"Nothing lies between a join's lower bound {self.lo} and its upper bound {self.hi}.")
        if (self.lo is None and self.lo_exclusive) or (self.hi is None and self.hi_exclusive):
            raise InvalidPipeline("A bound that is open excludes nothing: say where it is, or leave out exclusive.")
        if self.window is not None and (self.lo is not None or self.hi is not None or self.window.grace):
            raise InvalidPipeline("A windowed join's bounds are its windows, without grace: leave out lo and hi.")
        if self.where is not None:
            _yields(self.where, Kind.TRUTH, "A join's condition", {"left", "right"})
        if self.window is None and (
            (self.how.keeps_left and self.hi is None) or (self.how.keeps_right and self.lo is None)
        ):
            raise InvalidPipeline(
                f"With an open bound a partner may always come: no row of a {self.how.value} join is ever unmatched."
            )
        if source(self.left).name == source(self.right).name:
            raise InvalidPipeline(f"Both sides of the join read input {source(self.left).name!r}: name them apart.")
        if (self.how.keeps_left or self.how.keeps_right) and None in (clock(self.left), clock(self.right)):
            raise InvalidPipeline("An unmatched row comes out by the watermark: give both sources a delay.")

    @property
    def bounds_us(self) -> tuple[int | None, int | None]:
        """Return the least and the greatest right time - left time of a pair: next to an exclusive bound, 1 us."""
        lo, hi = (None if bound is None else us(bound) for bound in (self.lo, self.hi))
        return None if lo is None else lo + self.lo_exclusive, None if hi is None else hi - self.hi_exclusive


@dataclass(frozen=True, slots=True)
class Dedup:
    """Pass on the first event to arrive of each (key, id); forget it when watermark > its time + horizon.

    An event with time < watermark is late, and dropped, before it can be a repeat. Repeats do not prolong anything.
    """

    input: Stream
    horizon: timedelta = field(kw_only=True)

    def __post_init__(self) -> None:
        _stateless(self.input)
        _not_negative(self.horizon, "a dedup's horizon")
        if clock(self.input) is None:
            raise InvalidPipeline("What was seen is forgotten by the watermark: give the source a delay.")


Pipeline: TypeAlias = Source | Filter | Select | KeyBy | Aggregate | Dedup | Join


def source(stream: Stream) -> Source:
    """Return the source at the bottom of a stream."""
    while not isinstance(stream, Source):
        stream = stream.input
    return stream


def clock(stream: Stream) -> int | None:
    """Return the delay of the stream's watermark in microseconds, or None without one."""
    delay = source(stream).delay
    return None if delay is None else us(delay)


def sources(pipeline: Pipeline) -> tuple[Source, ...]:
    """Return the pipeline's inputs, left to right."""
    return tuple(source(stream) for stream in streams(pipeline))


def steps(stream: Stream) -> tuple[Filter | Select | KeyBy, ...]:
    """Return the stateless operators of a stream, in the order in which an event meets them."""
    met: list[Filter | Select | KeyBy] = []
    while not isinstance(stream, Source):
        met.append(stream)
        stream = stream.input
    return tuple(reversed(met))


def streams(pipeline: Pipeline) -> tuple[Stream, ...]:
    """Return the pipeline's stateless chains, left to right: one for each input."""
    match pipeline:
        case Join(left, right):
            return left, right
        case Aggregate(stream) | Dedup(stream):
            return (stream,)
        case _:
            return (pipeline,)


def needs_time(pipeline: Pipeline) -> bool:
    """Return whether an event without a time is of no use to what ends the pipeline, clock or not."""
    match pipeline:
        case Aggregate(functions=functions, window=window):
            return window is not None or any(function.timed for function in functions)
        case Join():
            return True
        case _:
            return False


def rekeyed(pipeline: Pipeline) -> bool:
    """Return whether any stream of the pipeline replaces its key."""
    return any(isinstance(step, KeyBy) for stream in streams(pipeline) for step in steps(stream))


def _stateless(stream: object) -> None:
    if not isinstance(stream, Source | Filter | Select | KeyBy):
        raise InvalidPipeline(f"{type(stream).__name__} cannot feed another stateful operator yet; it ends a pipeline.")


def _yields(expression: Expr, wanted: Kind, what: str, of: Collection[str] = ("",)) -> None:
    found = kind(expression)
    if found is not wanted:
        raise InvalidPipeline(f"{what} must be {wanted.value}, and {expression} is {found.value}.")
    if not sides(expression) <= {*of}:
        whose = "says left. or right. before each field" if "left" in of else "has one event to read: no left, no right"
        raise InvalidPipeline(f"{what} {whose}: {expression}.")


def _within(offset: timedelta, period: timedelta) -> None:
    if not _ZERO <= offset < period:
        raise InvalidPipeline(f"A window's offset lies in [0, {period}): {offset} is the same as {offset % period}.")


def _not_negative(duration: timedelta, what: str) -> None:
    if duration < _ZERO:
        raise InvalidPipeline(f"{what} must not be negative, and is {duration}.")


def _positive(duration: timedelta, what: str) -> None:
    if duration <= timedelta(0):
        raise InvalidPipeline(f"{what} must be above zero, not {duration}.")
