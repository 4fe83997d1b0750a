"""Aggregate functions on the tuples in which an operator keeps them: a part each, made of one event, and joined.

COUNT, SUM, MIN and MAX are plain integers, which have no largest value; the others know how a row shows them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from operator import add
from typing import Any, NamedTuple, TypeAlias, assert_never

from engines.faust.operators import Event
from semantics.pipeline import Function

Sums: TypeAlias = tuple[Any, ...]
"""The parts of one row; a session's begins with its end."""


class Mean(NamedTuple):
    """An average."""

    total: int
    events: int

    def __bytes__(self) -> bytes:
        return repr(self.total / self.events).encode()

    def join(self, other: Mean) -> Mean:
        return Mean(self.total + other.total, self.events + other.events)


class Dated(NamedTuple):
    """A value and its time."""

    time_us: int
    value: int

    def __bytes__(self) -> bytes:
        return b"%d" % self.value

    def earlier(self, other: Dated) -> Dated:
        return other if other.time_us < self.time_us else self

    def later(self, other: Dated) -> Dated:
        return other if other.time_us >= self.time_us else self


class Collected(tuple[Dated, ...]):
    """Values in the order of time, then of arrival."""

    __slots__ = ()

    def __bytes__(self) -> bytes:
        return b"[%b]" % b",".join(map(bytes, self))

    def join(self, other: Collected, at_most: int) -> Collected:
        return Collected(sorted([*self, *other], key=lambda one: one.time_us)[:at_most])


class _Kind(NamedTuple):
    """One function: what it makes of an event, how two parts become one, what comes back from a store."""

    make: Callable[[Event], Any]
    together: Callable[[Any, Any], Any]
    load: Callable[[Any], Any] = int
    shown: bytes = b"%b"


def _dated(event: Event) -> Dated:
    assert event.t is not None
    return Dated(event.t, event.v)


def _kind(function: Function, at_most: int) -> _Kind:
    match function:
        case Function.COUNT:
            return _Kind(lambda _: 1, add, shown=b"%d")
        case Function.SUM:
            return _Kind(lambda event: event.v, add, shown=b"%d")
        case Function.MIN:
            return _Kind(lambda event: event.v, min, shown=b"%d")
        case Function.MAX:
            return _Kind(lambda event: event.v, max, shown=b"%d")
        case Function.AVG:
            return _Kind(lambda event: Mean(event.v, 1), Mean.join, Mean._make)
        case Function.FIRST:
            return _Kind(_dated, Dated.earlier, Dated._make)
        case Function.LAST:
            return _Kind(_dated, Dated.later, Dated._make)
        case Function.COLLECT:
            join = partial(Collected.join, at_most=at_most)
            return _Kind(
                lambda event: Collected((_dated(event),)), join, lambda said: Collected(map(Dated._make, said))
            )
        case _:
            assert_never(function)


class Functions:
    """The aggregate functions of a pipeline."""

    def __init__(self, functions: Sequence[Function], at_most: int) -> None:
        kinds = [_kind(function, at_most) for function in functions]
        self._plain = all(kind.load is int for kind in kinds)
        self._count = [function is Function.COUNT for function in functions] if self._plain else []
        self._ones = (1,) * len(functions) if self._plain and all(self._count) else ()
        """What an event adds where all functions count: it need not be made anew."""
        self._makes = [kind.make for kind in kinds]
        self._together = [kind.together for kind in kinds]
        self._loads = [kind.load for kind in kinds]
        self._additive = all(together is add for together in self._together)
        named = zip(functions, kinds, strict=True)
        fields = b"".join(b',"%b":%b' % (function.value.encode(), kind.shown) for function, kind in named)
        self.running_row = b'{"k":%b' + fields + b"}"
        self.window_row = b'{"k":%b,"s":%d,"e":%d' + fields + b"}"

    def first(self, event: Event) -> Sums:
        """Return what one event makes."""
        if self._count:
            value = event.v
            return self._ones or tuple([1 if count else value for count in self._count])
        return tuple([make(event) for make in self._makes])

    def add(self, sums: Sums, event: Event) -> Sums:
        """Return the parts after one more event."""
        return self.merge(sums, self._ones or self.first(event))

    def merge(self, one: Sums, other: Sums) -> Sums:
        """Return two rows' parts as one, of which `other` came last."""
        if self._additive:
            return tuple(map(add, one, other))
        return tuple([together(a, b) for together, a, b in zip(self._together, one, other, strict=True)])

    def number(self, sums: Sums) -> Any:
        """Return the first aggregate as a number."""
        match sums[0]:
            case Mean(total, events):
                return total / events
            case Dated(value=value):
                return value
            case part:
                return part

    def codec(self, *, lead: int) -> tuple[Callable[[Sums], bytes], Callable[[bytes], Sums]]:
        """Return how rows are written and read, exact at any size; before the parts stand `lead` integers."""
        if self._plain:
            return _encode_plain, _decode_plain
        loads = [int] * lead + self._loads
        return _encode, lambda data: tuple([load(part) for load, part in zip(loads, json.loads(data), strict=True)])


def _encode(sums: Sums) -> bytes:
    return json.dumps(sums, separators=(",", ":")).encode()


def _encode_plain(sums: Sums) -> bytes:
    return b" ".join(b"%d" % number for number in sums)


def _decode_plain(data: bytes) -> Sums:
    return tuple(map(int, data.split()))
