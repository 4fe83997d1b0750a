"""Records on the log: one canonical JSON for events in and rows out, the same for all engines.

Event: key = UTF-8 key or null; value {"k": key, "i": id, "v": value, "t": microseconds since 1970}; Kafka timestamp =
t in milliseconds where not before 1970. More fields may follow and are ignored. A field left out is null.

Row, by the pipeline's end: event {"k","i","v","t"}; window {"k","s","e", aggregates...}; running {"k", aggregates...};
pair {"k","li","lt","ri","rt"}, ids and times of both sides, all two left out where the side is missing. Aggregates
stand under their names ("n", "sum", "avg", ...; "collect" is an array). The Kafka key of a row is its key.

Dead letter: value = the record as it came, headers `reason`, `topic`, `partition`, `offset`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import msgspec

from engines.contract import Message, Place
from semantics.pipeline import Aggregate, Join, Pipeline
from semantics.rows import EventRow, PairRow, Ref, Row, Value, ValueRow, Values, WindowRow
from semantics.time import T0_US
from semantics.timeline import Event, Raw
from semantics.timeline import sentinel as sentinel

_encode = msgspec.json.Encoder().encode


class _Wire(msgspec.Struct):
    k: str | None = None
    i: str | None = None
    v: int | None = None
    t: int | None = None
    s: int | None = None
    e: int | None = None
    n: int | None = None
    sum: int | None = None
    min: int | None = None
    max: int | None = None
    avg: float | None = None
    first: int | None = None
    last: int | None = None
    collect: tuple[int | None, ...] | None = None
    li: str | None = None
    lt: int | None = None
    ri: str | None = None
    rt: int | None = None


_decode = msgspec.json.Decoder(_Wire).decode


def encode_event(event: Event | Raw) -> Message:
    """Return the record that carries a script's event."""
    if isinstance(event, Raw):
        return Message(None, event.value)
    key = None if event.key is None else event.key.encode()
    if event.time_us is None:
        return Message(key, _encode({"k": event.key, "i": event.id, "v": event.value, "t": None}))
    time_us = T0_US + event.time_us
    value = _encode({"k": event.key, "i": event.id, "v": event.value, "t": time_us})
    return Message(key, value, time_us // 1000 if time_us >= 0 else None)


def encode_row(row: Row) -> Message:
    """Return the record that carries a row; `row_decoder` of its pipeline reads it back."""
    fields: dict[str, str | Value] = {"k": row.key}
    match row:
        case EventRow(_, id, value, time_us):
            fields |= {"i": id, "v": value, "t": None if time_us is None else T0_US + time_us}
        case WindowRow(_, start_us, end_us, values):
            fields |= {"s": T0_US + start_us, "e": T0_US + end_us} | dict(values)
        case ValueRow(_, values):
            fields |= dict(values)
        case PairRow(_, left, right):
            for side, ref in (("l", left), ("r", right)):
                if ref is not None:
                    fields |= {f"{side}i": ref.id, f"{side}t": None if ref.time_us is None else T0_US + ref.time_us}
        case _:
            assert_never(row)
    return Message(None if row.key is None else row.key.encode(), _encode(fields))


def dead_letter(reason: str, place: Place, offset: int, value: bytes) -> Message:
    """Return the record that says of another one why it could not be used."""
    said = {"reason": reason, "topic": place[0], "partition": f"{place[1]}", "offset": f"{offset}"}
    return Message(None, value, headers=tuple((name, word.encode()) for name, word in said.items()))


def row_decoder(pipeline: Pipeline) -> Callable[[bytes], Row]:
    """Return the function that reads this pipeline's rows. It raises `msgspec.DecodeError` on anything else."""
    match pipeline:
        case Aggregate(_, functions, window=window):
            names = [function.value for function in functions]

            def values(wire: _Wire) -> Values:
                return tuple((name, getattr(wire, name)) for name in names)

            def window_row(data: bytes) -> Row:
                wire = _decode(data)
                return WindowRow(wire.k, _present(wire.s, "s") - T0_US, _present(wire.e, "e") - T0_US, values(wire))

            def value_row(data: bytes) -> Row:
                wire = _decode(data)
                return ValueRow(wire.k, values(wire))

            return value_row if window is None else window_row
        case Join(how=how) if how.pairs:

            def pair_row(data: bytes) -> Row:
                wire = _decode(data)
                return PairRow(wire.k, _ref(wire.li, wire.lt), _ref(wire.ri, wire.rt))

            return pair_row
        case _:

            def event_row(data: bytes) -> Row:
                wire = _decode(data)
                return EventRow(wire.k, wire.i or "", wire.v, _offset(wire.t))

            return event_row


def _present(field: int | None, name: str) -> int:
    if field is None:
        raise msgspec.ValidationError(f"a row without {name!r}")
    return field


def _ref(id: str | None, time_us: int | None) -> Ref | None:
    return None if id is None and time_us is None else Ref(id or "", _offset(time_us))


def _offset(time_us: int | None) -> int | None:
    return None if time_us is None else time_us - T0_US
