"""The nodes: what reads what, and what they refuse at construction.

Any node may feed any other: a row that feeds one is an event to it. Whatever the contract says of time, closing and
lateness, and of the event that a row makes, stands in `semantics/README.md`. Errors: `InvalidPipeline` at construction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

from semantics.errors import InvalidPipeline
from semantics.expr import Expr, Kind
from semantics.pipeline.checks import not_negative, positive, yields
from semantics.pipeline.choices import AsOf, Emit, Function, How, PairTime, Timer
from semantics.pipeline.windows import Hopping, Tumbling, Window
from semantics.time import us


@dataclass(frozen=True, slots=True)
class Source:
    """Events of one input topic. `delay` is the watermark's distance behind the highest time seen; None: no clock.

    `late_output`: late events are dead letters too, with reason `late`: counted as late and as dead. `future`: an event
    more than that ahead of the highest time seen in its partition is a dead letter, with reason `future`, and moves no
    clock; the first event of a partition is ahead of nothing. No other clock is asked, so a pause of the whole input
    that is longer than `future` makes dead letters of all that follows: it must be longer than any pause.

    `idle_after`: a partition from which no record has come for so long, in processing time, is left out where the
    lowest of several watermarks counts, until its next record; of what is left out altogether the highest counts. No
    watermark falls when it is back: what it then brings may be late.
    """

    name: str = "in"
    delay: timedelta | None = field(default=None, kw_only=True)
    late_output: bool = field(default=False, kw_only=True)
    future: timedelta | None = field(default=None, kw_only=True)
    idle_after: timedelta | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise InvalidPipeline(f"An input's name is an identifier, {self.name!r} is none.")
        if self.delay is not None and self.delay < timedelta(0):
            raise InvalidPipeline(f"A watermark cannot run ahead of its input: delay is {self.delay}.")
        if self.delay is None and (self.late_output or self.future is not None):
            raise InvalidPipeline("What is late, or too early, is said by a clock: give the source a delay.")
        if self.idle_after is not None:
            positive(self.idle_after, "the time after which an input is idle")
            if self.delay is None:
                raise InvalidPipeline("Without a clock an input holds nobody back: leave out idle_after.")
        if self.future is not None:
            positive(self.future, "a future guard")


@dataclass(frozen=True, slots=True)
class Filter:
    """Pass on the events for which `where` is true."""

    input: Stream
    where: Expr

    def __post_init__(self) -> None:
        _reads(self.input)
        yields(self.where, Kind.TRUTH, "A filter's condition")


@dataclass(frozen=True, slots=True)
class Select:
    """Replace the event's value by `value`, an integer expression."""

    input: Stream
    value: Expr

    def __post_init__(self) -> None:
        _reads(self.input)
        yields(self.value, Kind.INTEGER, "A value")


@dataclass(frozen=True, slots=True)
class KeyBy:
    """Replace the event's key by `key`, a string expression; what follows is keyed by it."""

    input: Stream
    key: Expr

    def __post_init__(self) -> None:
        _reads(self.input)
        yields(self.key, Kind.TEXT, "A key")


@dataclass(frozen=True, slots=True)
class Explode:
    """Pass on v events for one of value v, of the same key and time: values 0 to v - 1, ids `id_0` to `id_(v-1)`.

    One of value 0, below, or null is gone, as if filtered. `most` bounds what one event can become: above it, v counts
    as `most`. The values tell the parts apart, so that whatever follows can show which of them it got.
    """

    input: Stream
    most: int = field(default=100, kw_only=True)

    def __post_init__(self) -> None:
        _reads(self.input)
        if self.most < 1:
            raise InvalidPipeline(f"An event becomes at least one: most is {self.most}.")


@dataclass(frozen=True, slots=True)
class Union:
    """The events of all inputs as one stream; its watermark is the lowest of theirs."""

    inputs: tuple[Stream, ...]

    def __post_init__(self) -> None:
        if len(self.inputs) < 2:
            raise InvalidPipeline("A union has two inputs or more.")
        _apart(self.inputs, "A union's inputs")
        if len({clocked(stream) for stream in self.inputs}) > 1:
            raise InvalidPipeline(
                "A watermark speaks for all inputs of a union: give every source a delay, or none and the union a"
                " Watermark."
            )


@dataclass(frozen=True, slots=True)
class Watermark:
    """A clock here instead of at the sources: it sees what has come this far, and nothing that was filtered before."""

    input: Stream
    delay: timedelta

    def __post_init__(self) -> None:
        not_negative(self.delay, "a watermark's delay")
        if clocked(self.input):
            raise InvalidPipeline("There is a clock already: leave out the sources' delay, or this Watermark.")
        for node in nodes(self.input):
            if not isinstance(node, Source | Filter | Select | Explode | Union):
                raise InvalidPipeline(
                    f"A clock stands before the first {type(node).__name__}: behind it, time is what that says."
                )


Stream: TypeAlias = "Source | Filter | Select | KeyBy | Explode | Union | Watermark | Stateful"
"""Any node: what another one reads."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Group by key (and window) and aggregate. Without a window it runs for ever and speaks in updates.

    To the next operator a row is an event of its key, whose value is the first aggregate. That of a window has time
    end - 1 us and id `start-end`, both in microseconds since 1970; that of a running aggregate has time and id of the
    event that changed it.
    """

    input: Stream
    functions: tuple[Function, ...] = (Function.COUNT,)
    window: Window | None = field(default=None, kw_only=True)
    emit: Emit = field(default=Emit.FINAL, kw_only=True)
    at_most: int = field(default=100, kw_only=True)
    """Of how many events COLLECT shows the values."""
    top: int | None = field(default=None, kw_only=True)
    """Of each fixed window, only the rows of so many keys: those whose first aggregate is highest, at equal ones in the
    order of the keys, null last. Of one partition's keys: each task has its own."""
    ttl: timedelta | None = field(default=None, kw_only=True)
    """Without a window: a key is forgotten, in silence, when watermark > the time of its latest event + ttl."""

    def __post_init__(self) -> None:
        _reads(self.input)
        if self.at_most < 1:
            raise InvalidPipeline(f"A collection holds one value or more, not {self.at_most}.")
        if not self.functions or len(set(self.functions)) != len(self.functions):
            raise InvalidPipeline("An aggregate needs at least one function, each once.")
        if self.top is not None:
            fixed = isinstance(self.window, Tumbling | Hopping) and self.emit is Emit.FINAL
            if self.top < 1 or not fixed or self.functions[0] is Function.COLLECT:
                raise InvalidPipeline("The top ones, at least one, are of a fixed window's final rows, by a number.")
        if self.ttl is not None:
            not_negative(self.ttl, "a ttl")
            if self.window is not None or not clocked(self.input):
                raise InvalidPipeline("A ttl ends what has no window, by the watermark: give the source a delay.")
        if self.window is None and self.emit is Emit.FINAL:
            raise InvalidPipeline("An aggregate without a window never closes: say emit=Emit.UPDATE.")
        if self.window is not None and self.emit is Emit.FINAL and not clocked(self.input):
            raise InvalidPipeline("A window closes by the watermark: give its source a delay.")


@dataclass(frozen=True, slots=True)
class Join:
    """Pairs of equal key with lo <= right time - left time <= hi, each once.

    A bound may be open (None) or exclusive; `where` is one more condition, on both sides' fields. Or, with a `window`,
    pairs of events in the same one: an event is late, and an unmatched one comes out, when the window is over. LEFT,
    RIGHT and FULL add the unmatched rows of that side, or of both.

    To the next operator a pair is an event of its key, with value 1, since neither side's value is the pair's, and id
    `left:right`, where a missing side is empty; one of a window has time end - 1 us.
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
    time: PairTime = field(default=PairTime.LATER, kw_only=True)

    def __post_init__(self) -> None:
        first_us, last_us = self.bounds_us
        if first_us is not None and last_us is not None and first_us > last_us:
            raise InvalidPipeline(f"Nothing lies between a join's lower bound {self.lo} and its upper bound {self.hi}.")
        if (self.lo is None and self.lo_exclusive) or (self.hi is None and self.hi_exclusive):
            raise InvalidPipeline("A bound that is open excludes nothing: say where it is, or leave out exclusive.")
        if self.window is not None and (self.lo is not None or self.hi is not None or self.window.grace):
            raise InvalidPipeline("A windowed join's bounds are its windows, without grace: leave out lo and hi.")
        if self.where is not None:
            yields(self.where, Kind.TRUTH, "A join's condition", {"left", "right"})
        if self.window is None and (
            (self.how.keeps_left and self.hi is None) or (self.how.keeps_right and self.lo is None)
        ):
            raise InvalidPipeline(
                f"With an open bound a partner may always come: no row of a {self.how.value} join is ever unmatched."
            )
        _apart((self.left, self.right), "Both sides of a join")
        if self.time is not PairTime.LATER and (self.window is not None or not self.how.pairs):
            raise InvalidPipeline("Only a pair within bounds has the time of one of its sides: leave out time.")
        if (self.how.keeps_left or self.how.keeps_right) and not (clocked(self.left) and clocked(self.right)):
            raise InvalidPipeline("An unmatched row comes out by the watermark: give both sources a delay.")
        missing = {PairTime.LEFT: self.how.keeps_right, PairTime.RIGHT: self.how.keeps_left}
        if missing.get(self.time):
            raise InvalidPipeline(f"Not every row of a {self.how.value} join has a {self.time.value} time.")

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
        _reads(self.input)
        not_negative(self.horizon, "a dedup's horizon")
        if not clocked(self.input):
            raise InvalidPipeline("What was seen is forgotten by the watermark: give the source a delay.")


@dataclass(frozen=True, slots=True)
class Upsert:
    """Pass on an event if none of its key with a later time has passed: the latest by version, whatever arrives after.

    Of events at one time the last to arrive is the latest. `gone`: an event for which it is true deletes its key; it is
    passed on too, and remembered as the version that it is, so that an older one brings nothing back. With a clock an
    event with time < watermark is late, and a deletion is forgotten when watermark > its time: what could come back is
    late then. Without one, nothing is late, and nothing forgotten. What is older than what has passed is filtered.
    """

    input: Stream
    gone: Expr | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _reads(self.input)
        if self.gone is not None:
            yields(self.gone, Kind.TRUTH, "What deletes a key")


@dataclass(frozen=True, slots=True)
class Absence:
    """Say that a key has been silent: `after` its latest event by event time, a row with that event's id and value.

    The row's time is the latest event's + after; it comes out when the watermark reaches that, and the key is gone.
    An event with time < watermark is late; one older than the key's latest changes nothing.

    By processing time the latest is the last to arrive, nothing is late, and the row is that event, time and all: when
    it comes out says nothing of event time, so that there is no watermark behind. It comes out only when all that had
    come by then has been processed: what a worker was too slow to read, or away for, was no silence.
    """

    input: Stream
    after: timedelta = field(kw_only=True)
    timer: Timer = field(default=Timer.EVENT_TIME, kw_only=True)

    def __post_init__(self) -> None:
        _reads(self.input)
        positive(self.after, "how long a key is silent")
        if self.timer is Timer.EVENT_TIME and not clocked(self.input):
            raise InvalidPipeline("That nothing came is said by the watermark: give the source a delay.")


@dataclass(frozen=True, slots=True)
class Lookup:
    """Give each event of `input` the value that `table` has for its key; LEFT: null where it has none, INNER: no row.

    The table's events are versions, of which the last to arrive of one key and time counts; `gone` says which of them
    delete their key. By arrival, a version older than the key's latest changes nothing. Null keys have no version.
    """

    input: Stream
    table: Stream
    as_of: AsOf = field(kw_only=True)
    how: How = field(default=How.INNER, kw_only=True)
    gone: Expr | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _apart((self.input, self.table), "An event and the table in which it is looked up")
        if self.how not in (How.INNER, How.LEFT):
            raise InvalidPipeline(f"A lookup is inner or left, not {self.how.value}: a table's rows do not come out.")
        if self.gone is not None:
            yields(self.gone, Kind.TRUTH, "What deletes a key")
        if self.as_of is AsOf.ARRIVAL and clocked(self.table):
            raise InvalidPipeline("By arrival, no version is late: leave out the table's delay.")
        if self.as_of is AsOf.EVENT_TIME and not (clocked(self.input) and clocked(self.table)):
            raise InvalidPipeline("Which version was valid is known by the watermark: give both sources a delay.")


Stateful: TypeAlias = Aggregate | Dedup | Join | Upsert | Absence | Lookup
"""Operators: nodes with a memory."""
Pipeline: TypeAlias = Source | Filter | Select | KeyBy | Explode | Union | Watermark | Stateful
"""A whole tree, by its last node. That says in which shape rows come out: an aggregate's, a join's, or else events."""
Step: TypeAlias = Filter | Select | KeyBy | Explode | Watermark
"""Nodes without one, of one input."""


def inputs(node: Pipeline) -> tuple[Pipeline, ...]:
    """Return the nodes that a node reads, left to right."""
    match node:
        case Source():
            return ()
        case Union(streams):
            return streams
        case Join(left, right):
            return left, right
        case Lookup(stream, table):
            return stream, table
        case _:
            return (node.input,)


def nodes(pipeline: Pipeline) -> Iterator[Pipeline]:
    """Yield all nodes, each after those that it reads: the order in which operators close."""
    for node in inputs(pipeline):
        yield from nodes(node)
    yield pipeline


def sources(pipeline: Pipeline) -> tuple[Source, ...]:
    """Return the pipeline's inputs, left to right."""
    return tuple(node for node in nodes(pipeline) if isinstance(node, Source))


def clocked(node: Pipeline) -> bool:
    """Return whether there is a watermark behind this node."""
    match node:
        case Source(delay=delay):
            return delay is not None
        case Watermark():
            return True
        case Lookup(stream, as_of=AsOf.ARRIVAL):
            return clocked(stream)
        case Absence(timer=Timer.PROCESSING_TIME):
            return False
        case Join(how=how, time=time, window=None, lo=lo, hi=hi) if (
            hi is None and (how is How.SEMI or time is PairTime.LEFT)
        ) or (lo is None and time is PairTime.RIGHT):
            # Rows may be as old as the oldest that is kept, and an open bound keeps them for ever.
            return False
        case _:
            # With one clock only, a pair can be as old as what comes in on the other side: nothing can be promised.
            return all(map(clocked, inputs(node)))


def _reads(stream: Pipeline) -> None:
    match stream:
        case Aggregate(functions=(Function.AVG | Function.COLLECT as first, *_)):
            raise InvalidPipeline(
                f"An event's value is an integer, and {first.value!r} yields none: name another function first."
            )
        case Lookup(how=How.LEFT):
            raise InvalidPipeline(
                "An event's value is an integer, and what is not found has none: make the lookup inner."
            )


def _apart(streams: tuple[Pipeline, ...], what: str) -> None:
    for stream in streams:
        _reads(stream)
    names = [source.name for stream in streams for source in sources(stream)]
    for name in names:
        if names.count(name) > 1:
            raise InvalidPipeline(f"{what} read input {name!r}: name them apart.")
