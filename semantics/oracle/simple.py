"""Operators without time: expressions, stateless steps, the event passed through, the running aggregate."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from operator import add, eq, ge, gt, le, lt, mul, ne, sub
from typing import Any, assert_never

from semantics.expr import Binary, Expr, Field, Literal, Op
from semantics.oracle.clocks import Dump
from semantics.oracle.operator import Aggregating, Missed, Numbers, Operator, first_value, thawed, time_of
from semantics.pipeline import Explode, Filter, KeyBy, Select, Step, Watermark
from semantics.rows import EventRow, Row, ValueRow
from semantics.time import T0_US, us
from semantics.timeline import Event, Raw

_OPERATORS: dict[Op, Callable[[Any, Any], Any]] = {
    Op.ADD: add,
    Op.SUBTRACT: sub,
    Op.MULTIPLY: mul,
    Op.EQUAL: eq,
    Op.NOT_EQUAL: ne,
    Op.LESS: lt,
    Op.LESS_EQUAL: le,
    Op.GREATER: gt,
    Op.GREATER_EQUAL: ge,
}
_INT64 = range(-(1 << 63), 1 << 63)


def parse(raw: Raw) -> Event | str:
    """Return the event that a record carries (`engines/wire.py` has the format), or why it cannot be read."""
    try:
        fields = json.loads(raw.value.decode())
    except (ValueError, RecursionError):
        return "bad_record"
    match fields:
        case {"v": int(value)} if value in _INT64 and not isinstance(value, bool):
            key, id, time_us = fields.get("k"), fields.get("i"), fields.get("t")
        case _:
            return "bad_record"
    if not isinstance(key, str | None) or not isinstance(id, str | None) or type(time_us) not in (int, type(None)):
        return "bad_record"
    if time_us is not None and time_us not in _INT64:
        return "bad_record"
    return Event(key, None if time_us is None else time_us - T0_US, id or "", value, raw.input, raw.partition)


def parse_with_nulls(raw: Raw) -> Event:
    """Return the event that a record carries where each field that cannot be read is null.

    Bytes that are not UTF-8 are read as U+FFFD.
    """
    try:
        fields = json.loads(raw.value.decode(errors="replace"))
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        fields = {}
    key, id, value, time_us = (fields.get(name) for name in ("k", "i", "v", "t"))
    time = _integer(time_us)
    since = None if time is None else time - T0_US
    return Event(_text(key), since, _text(id) or "", _integer(value), raw.input, raw.partition)


def _integer(value: object) -> int | None:
    return value if type(value) is int and value in _INT64 else None


def _text(value: object) -> str | None:
    """Return what stands where a text is wanted: JSON of any kind is one."""
    return value if isinstance(value, str | None) else json.dumps(value, separators=(",", ":"))


def evaluate(expression: Expr, event: Event, right_event: Event | None = None) -> Any:
    """Return an expression's value for one event, or for a pair; a comparison with null is false, a sum null."""
    match expression:
        case Field(name, side):
            of = right_event if side == "right" else event
            assert of is not None
            return {"key": of.key, "id": of.id, "value": of.value}[name]
        case Literal(value):
            return value
        case Binary(Op.AND, left, right):
            return evaluate(left, event, right_event) and evaluate(right, event, right_event)
        case Binary(Op.OR, left, right):
            return evaluate(left, event, right_event) or evaluate(right, event, right_event)
        case Binary(op, left, right):
            a, b = evaluate(left, event, right_event), evaluate(right, event, right_event)
            if a is None or b is None:
                return None if op in (Op.ADD, Op.SUBTRACT, Op.MULTIPLY) else False
            return _OPERATORS[op](a, b)
        case _:
            assert_never(expression)


def through(steps: Sequence[Step], event: Event) -> list[Event]:
    """Return what the stateless operators make of an event: nothing, one, or several."""
    if not steps:
        return [event]
    step, *rest = steps
    match step:
        case Filter(_, where):
            events = [event] if evaluate(where, event) else []
        case Select(_, value):
            events = [replace(event, value=evaluate(value, event))]
        case KeyBy(_, key):
            events = [replace(event, key=evaluate(key, event))]
        case Explode(_, most=most):
            parts = range(min(event.value or 0, most))
            events = [replace(event, id=f"{event.id}_{part}", value=part) for part in parts]
        case Watermark():
            events = [event]
        case _:
            assert_never(step)
    return [passed for event in events for passed in through(rest, event)]


class Pass(Operator):
    """The end of a pipeline without a stateful operator: events come out as they are, never late."""

    def take(self, event: Event, before: int, side: int) -> Missed | None:
        del before, side
        self.rows.append(EventRow(event.key, event.id, event.value, event.time_us))
        return None

    def close(self, now: int) -> None:
        pass

    def held(self) -> Iterator[str | None]:
        return iter(())

    def dump(self) -> Dump:
        return ()

    def load(self, dump: Dump) -> None:
        pass


class Running(Aggregating):
    """An aggregate for ever: never late, never evicted, a row for every event."""

    _values: dict[str | None, Numbers]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._values = {}
        self._changes: list[tuple[Event, ValueRow]] = []
        """What each event made, not said yet."""
        self._said: list[tuple[Event, ValueRow]] = []
        ttl = self.pipeline.ttl
        self._ttl_us = None if ttl is None else us(ttl)
        self._last: dict[str | None, int] = {}
        """The time of each key's latest event; only with a ttl."""

    def add(self, event: Event, before: int) -> Missed | None:
        del before
        if self._ttl_us is not None:
            self._last[event.key] = max(self._last.get(event.key, time_of(event)), time_of(event))
        self._values[event.key] = self.raised(event.key, self._values.get(event.key), event)
        self._changes.append((event, ValueRow(event.key, self.named(self._values[event.key]))))
        return None

    def event_of(self, row: Row) -> Event:
        event = next(event for event, made in self._said if made is row)
        assert isinstance(row, ValueRow)
        return replace(event, value=first_value(row.values))

    def is_final(self, end_us: int, watermark: int) -> bool:
        del end_us, watermark
        return False

    def speak(self) -> None:
        self._said, self._changes = self._changes, []
        self.rows += [row for _, row in self._said]

    def close(self, now: int) -> None:
        if self._ttl_us is not None:
            for key in [key for key, last in self._last.items() if now > last + self._ttl_us]:
                del self._values[key], self._last[key]

    def held(self) -> Iterator[str | None]:
        return iter(self._values)

    def dump(self) -> Dump:
        rows = ((key, (self._last.get(key), tuple(values))) for key, values in self._values.items())
        return tuple(sorted(rows, key=repr))

    def load(self, dump: Dump) -> None:
        self._values = {key: thawed(values) for key, (_, values) in dump}
        self._last = {key: last for key, (last, _) in dump if last is not None}
