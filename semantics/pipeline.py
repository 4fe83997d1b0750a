"""The algebra: what a job computes, as a tree of frozen values.

A stream node passes events on; an aggregate or a join ends the tree. Whatever the contract says of their time,
closing and lateness stands in `semantics/README.md`. Errors: `InvalidPipeline` at construction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TypeAlias

from semantics.errors import InvalidPipeline
from semantics.expr import Expr, Kind, kind
from semantics.time import us


@dataclass(frozen=True, slots=True)
class Source:
    """Events of one input topic. `delay` is the watermark's distance behind the highest time seen; None: no clock."""

    name: str = "in"
    delay: timedelta | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise InvalidPipeline(f"An input's name is an identifier, {self.name!r} is none.")
        if self.delay is not None and self.delay < timedelta(0):
            raise InvalidPipeline(f"A watermark cannot run ahead of its input: delay is {self.delay}.")


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
    """Windows [k*size, (k+1)*size), aligned to 1970-01-01T00:00:00Z, earlier times too."""

    size: timedelta

    def __post_init__(self) -> None:
        _positive(self.size, "a window's size")


@dataclass(frozen=True, slots=True)
class Session:
    """Spans [t, t+gap) of one key that overlap or touch are one session."""

    gap: timedelta

    def __post_init__(self) -> None:
        _positive(self.gap, "a session's gap")


Window: TypeAlias = Tumbling | Session


class Function(Enum):
    """Aggregate functions; the value is the result's name in rows and notation."""

    COUNT = "n"
    SUM = "sum"


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

    def __post_init__(self) -> None:
        _stateless(self.input)
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


@dataclass(frozen=True, slots=True)
class Join:
    """Pairs of equal key with lo <= right time - left time <= hi, each once; LEFT adds unmatched left rows."""

    left: Stream
    right: Stream
    lo: timedelta = field(kw_only=True)
    hi: timedelta = field(kw_only=True)
    how: How = field(default=How.INNER, kw_only=True)

    def __post_init__(self) -> None:
        _stateless(self.left)
        _stateless(self.right)
        if self.lo > self.hi:
            raise InvalidPipeline(f"A join's lower bound {self.lo} is above its upper bound {self.hi}.")
        if source(self.left).name == source(self.right).name:
            raise InvalidPipeline(f"Both sides of the join read input {source(self.left).name!r}: name them apart.")
        if self.how is How.LEFT and (clock(self.left) is None or clock(self.right) is None):
            raise InvalidPipeline("An unmatched row comes out by the watermark: give both sources a delay.")


Pipeline: TypeAlias = Source | Filter | Select | KeyBy | Aggregate | Join


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
    match pipeline:
        case Join(left, right):
            return source(left), source(right)
        case Aggregate(stream):
            return (source(stream),)
        case _:
            return (source(pipeline),)


def steps(stream: Stream) -> tuple[Filter | Select | KeyBy, ...]:
    """Return the stateless operators of a stream, in the order in which an event meets them."""
    met: list[Filter | Select | KeyBy] = []
    while not isinstance(stream, Source):
        met.append(stream)
        stream = stream.input
    return tuple(reversed(met))


def rekeyed(pipeline: Pipeline) -> bool:
    """Return whether any stream of the pipeline replaces its key."""
    streams = (
        (pipeline.left, pipeline.right)
        if isinstance(pipeline, Join)
        else ((pipeline.input,) if isinstance(pipeline, Aggregate) else (pipeline,))
    )
    return any(isinstance(step, KeyBy) for stream in streams for step in steps(stream))


def _stateless(stream: object) -> None:
    if not isinstance(stream, Source | Filter | Select | KeyBy):
        raise InvalidPipeline(f"{type(stream).__name__} cannot feed another stateful operator yet; it ends a pipeline.")


def _yields(expression: Expr, wanted: Kind, what: str) -> None:
    found = kind(expression)
    if found is not wanted:
        raise InvalidPipeline(f"{what} must be {wanted.value}, and {expression} is {found.value}.")


def _positive(duration: timedelta, what: str) -> None:
    if duration <= timedelta(0):
        raise InvalidPipeline(f"{what} must be above zero, not {duration}.")
