"""A pipeline as a Faust user writes it: an agent that reads a topic, changes a Table and sends to another topic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import add, eq, ge, gt, le, lt, mul, ne, sub
from typing import Any, TypeAlias, assert_never

import faust

from engines.faust_stock import functions
from engines.faust_stock.gate import Gate
from engines.faust_stock.plan import JobPlan
from semantics.expr import Binary, Expr, Field, Literal, Op
from semantics.pipeline import (
    Aggregate,
    Dedup,
    Filter,
    Hopping,
    Join,
    KeyBy,
    Select,
    Session,
    Step,
    Tumbling,
    steps,
    timed,
)

Fields: TypeAlias = dict[str, Any]
"""An event or a row, as JSON has it."""
Rows: TypeAlias = Callable[[Any, Fields], Iterator[Fields]]
"""(Faust's event, its fields behind the stateless operators) -> the rows to send."""
_OPERATORS: dict[Op, Callable[[Any, Any], Any]] = {
    Op.ADD: add, Op.SUBTRACT: sub, Op.MULTIPLY: mul, Op.EQUAL: eq, Op.NOT_EQUAL: ne,
    Op.LESS: lt, Op.LESS_EQUAL: le, Op.GREATER: gt, Op.GREATER_EQUAL: ge,
}  # fmt: skip
_NAMES = {"key": "k", "id": "i", "value": "v"}


def agent(app: faust.App, job: JobPlan, gate: Gate) -> Any:
    """Declare a job's agent and Table on the app; return the Table, None if it has none."""
    pipeline = job.compiled()
    inputs = app.topic(job.input, key_serializer="raw", value_serializer="json")
    output = app.topic(job.output, key_serializer="raw", value_serializer="json")
    table = None
    match pipeline:
        case Aggregate(window=None):
            table = app.Table(job.name, default=list, partitions=job.partitions)
            rows = _running(table, pipeline)
        case Aggregate(window=Tumbling(size)):
            table = app.Table(job.name, default=list, partitions=job.partitions).tumbling(size)
            rows = _windowed(table, pipeline)
        case Aggregate(window=Hopping(size, slide)):
            table = app.Table(job.name, default=list, partitions=job.partitions).hopping(size, slide)
            rows = _windowed(table, pipeline)
        case Aggregate(window=Session()) | Join() | Dedup():
            raise AssertionError("declared unsupported, so never deployed")
        case _:
            rows = _passing
    chain = _chain(steps(pipeline.input if isinstance(pipeline, Aggregate) else pipeline))
    needs_time = bool(timed(pipeline))

    async def run(events: Any) -> None:
        async for event in events.events():
            await gate.before(job.name)
            fields = event.value
            if needs_time:
                _ = fields["t"] / 1e6  # As a model with a time would: raises without one, and Faust drops the event.
            if chain(fields):
                for row in rows(event, fields):
                    key = row["k"]
                    sent = await output.send(key=None if key is None else key.encode(), value=row)
                    gate.sent(job.name, sent)
            gate.processed(job.name, event.message)

    app.agent(inputs, name=job.name)(run)
    return table


def _passing(_: Any, fields: Fields) -> Iterator[Fields]:
    yield {"k": fields.get("k"), "i": fields.get("i"), "v": fields["v"], "t": fields.get("t")}


def _running(table: Any, aggregate: Aggregate) -> Rows:
    def rows(_: Any, fields: Fields) -> Iterator[Fields]:
        key = fields.get("k")
        parts = table[key] = functions.raised(aggregate, table[key], fields)
        yield {"k": key, **functions.shown(aggregate, parts)}

    return rows


def _windowed(table: Any, aggregate: Aggregate) -> Rows:
    """Return the rows of the windows that hold an event, by the time in its payload; Faust's own is the record's."""
    by_time = table.relative_to(lambda event: event.value["t"] / 1e6)

    def rows(event: Any, fields: Fields) -> Iterator[Fields]:
        key, window = fields.get("k"), by_time.table.window
        windows = by_time[key].apply(partial(functions.raised, aggregate), fields, event)
        for start, end in window.ranges(fields["t"] / 1e6):
            span = {"s": round(start * 1e6), "e": round((start + window.size) * 1e6)}
            yield {"k": key, **span, **functions.shown(aggregate, windows[start, end])}

    return rows


def _chain(chain: Sequence[Step]) -> Callable[[Fields], bool]:
    """Return the function that changes fields in place as the stateless operators do, and says whether to go on."""
    actions: list[Callable[[Fields], Any]] = []
    for step in chain:
        match step:
            case Filter(_, where):
                actions.append(_expression(where))
            case Select(_, value):
                actions.append(partial(_set, "v", _expression(value)))
            case KeyBy(_, key):
                actions.append(partial(_set, "k", _expression(key)))
            case _:
                raise AssertionError("declared not implemented, so never deployed")
    return lambda fields: all(action(fields) for action in actions)


def _set(name: str, value: Callable[[Fields], Any], fields: Fields) -> bool:
    fields[name] = value(fields)
    return True


def _expression(expression: Expr) -> Callable[[Fields], Any]:
    """Return the function that evaluates an expression; an operation on null is false."""
    match expression:
        case Field(name):
            short = _NAMES[name]
            return lambda fields: fields.get(short)
        case Literal(value):
            return lambda _: value
        case Binary(op, left, right):
            a, b = _expression(left), _expression(right)
            if op is Op.AND:
                return lambda fields: a(fields) and b(fields)
            if op is Op.OR:
                return lambda fields: a(fields) or b(fields)
            return partial(_apply, _OPERATORS[op], a, b)
        case _:
            assert_never(expression)


def _apply(op: Callable[[Any, Any], Any], a: Callable[[Fields], Any], b: Callable[[Fields], Any], on: Fields) -> Any:
    x, y = a(on), b(on)
    return False if x is None or y is None else op(x, y)
