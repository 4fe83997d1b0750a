"""A stateful node as its operator, and the tables in which it keeps its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, assert_never

import msgspec

from engines.faust.aggregates import Expiring, Running, Session, Span, Windows, expiry
from engines.faust.base import SAVED_EVERY_S
from engines.faust.dedup import Dedup, forgotten_at
from engines.faust.functions import Functions
from engines.faust.join import Condition, Interval, IntervalJoin, JoinRow
from engines.faust.keys import Names
from engines.faust.latest import Absence, Gone, Kept, LookupByArrival, LookupByTime, Upsert, silent_at
from engines.faust.operators import Emit, Event, Operator, Passing
from engines.faust.steps import evaluate
from engines.faust.store import Caches, Store, open_store
from engines.faust.table import Table
from engines.faust.tables import Layout, Tables
from engines.faust.timers import Heard, Listening, Wall, heard_until
from semantics import pipeline as algebra
from semantics.expr import Expr, own_conditions
from semantics.pipeline import (
    Aggregate,
    AsOf,
    How,
    Join,
    Pipeline,
    Stateful,
    Timer,
    clock,
    nodes,
)
from semantics.time import us

_encode_row: Callable[[JoinRow], bytes] = msgspec.json.Encoder().encode
_encode_heard: Callable[[Heard], bytes] = msgspec.json.Encoder().encode
_decode_heard: Callable[[bytes], Heard] = msgspec.json.Decoder(Heard).decode
_encode_kept: Callable[[Kept], bytes] = msgspec.json.Encoder().encode
_decode_kept: Callable[[bytes], Kept] = msgspec.json.Decoder(Kept).decode
_decode_row: Callable[[bytes], JoinRow] = msgspec.json.Decoder(JoinRow).decode


def store_for(pipeline: Pipeline, path: Path, caches: Caches, *, saved_every_s: float = SAVED_EVERY_S) -> Store:
    """Open the store in which a task of this pipeline keeps its rows."""
    return open_store(path, caches, _layouts(pipeline), saved_every_s=saved_every_s)


def memory_for(pipeline: Pipeline) -> Tables:
    """Return empty tables in memory for a program of this pipeline."""
    return Tables(_layouts(pipeline))


def _layouts(pipeline: Pipeline) -> list[Layout]:
    return [_layout(node) for node in nodes(pipeline) if isinstance(node, Stateful)]


def _layout(node: Stateful) -> Layout:
    match node:
        case Join():
            return Layout(_encode_row, _decode_row, _interval(node).due_of, moves=False, group_of=IntervalJoin.group_of)
        case algebra.Dedup(horizon=horizon):
            return Layout(b"%d".__mod__, int, partial(forgotten_at, horizon_us=us(horizon)))
        case algebra.Upsert():
            return Layout(_encode_kept, _decode_kept, Upsert.due_of)
        case algebra.Absence(after=after, timer=Timer.PROCESSING_TIME):
            return Layout(_encode_heard, _decode_heard, partial(heard_until, after_us=us(after)))
        case algebra.Absence(after=after):
            return Layout(_encode_kept, _decode_kept, partial(silent_at, after_us=us(after)))
        case algebra.Lookup(as_of=as_of):
            if as_of is AsOf.ARRIVAL:
                return Layout(_encode_kept, _decode_kept)
            return Layout(_encode_kept, _decode_kept, LookupByTime.due_of, group_of=LookupByTime.group_of)
        case Aggregate(ttl=timedelta() as ttl):
            encode, decode = _sums(node).codec(lead=1)
            return Layout(encode, decode, partial(expiry, ttl_us=us(ttl)))
        case Aggregate(window=window):
            session = isinstance(window, algebra.Session)
            encode, decode = _sums(node).codec(lead=int(session))
            if session:
                return Layout(encode, decode, Session.due_of, group_of=Session.group_of)
            return Layout(encode, decode, by_time=window is not None)
        case _:
            assert_never(node)


def operator_of(node: Pipeline, tables: Sequence[Table[Any]], emit: Emit, wall: Wall) -> Operator:
    """Return the operator of a node. `tables`: the one in which it keeps its rows, if it keeps any."""
    names = Names()
    if not isinstance(node, Stateful):
        return Passing(names, emit)
    (rows,) = tables
    match node:
        case Join(how=how, where=where):
            return IntervalJoin(_interval(node), how, _condition(where), rows, names, emit)
        case algebra.Dedup(horizon=horizon):
            return Dedup(us(horizon), rows, names, emit)
        case algebra.Upsert(stream, gone=gone):
            return Upsert(_gone(gone), rows, names, emit, clocked=clock(stream) is not None)
        case algebra.Absence(after=after, timer=Timer.PROCESSING_TIME):
            return Listening(us(after), rows, names, emit, wall)
        case algebra.Absence(after=after):
            return Absence(us(after), rows, names, emit)
        case algebra.Lookup(as_of=as_of, how=how, gone=gone):
            lookup = LookupByTime if as_of is AsOf.EVENT_TIME else LookupByArrival
            return lookup(_gone(gone), rows, names, emit, left=how is How.LEFT)
        case Aggregate(ttl=timedelta() as ttl):
            return Expiring(us(ttl), _sums(node), rows, names, emit)
        case Aggregate(window=window, emit=when, top=top):
            final, sums = when is algebra.Emit.FINAL, _sums(node)
            match window:
                case None:
                    return Running(sums, rows, names, emit)
                case algebra.Tumbling(size, offset=offset, grace=grace):
                    span = Span(us(size), us(size), us(offset), us(grace))
                    return Windows(span, sums, rows, names, emit, final=final, top=top)
                case algebra.Hopping(size, slide, offset=offset, grace=grace):
                    span = Span(us(size), us(slide), us(offset), us(grace))
                    return Windows(span, sums, rows, names, emit, final=final, top=top)
                case algebra.Session(gap, grace=grace, longest=longest):
                    longest_us = None if longest is None else us(longest)
                    return Session(_gap_us(gap), us(grace), sums, rows, names, emit, final=final, longest_us=longest_us)
                case unknown:
                    assert_never(unknown)
        case _:
            assert_never(node)


def _gone(gone: Expr | None) -> Gone:
    return None if gone is None else evaluate(gone)


def _gap_us(gap: timedelta | Expr) -> int | Callable[[Event], int]:
    if isinstance(gap, timedelta):
        return us(gap)
    seconds = evaluate(gap)
    return lambda event: 1_000_000 * seconds(event)


def _sums(aggregate: Aggregate) -> Functions:
    return Functions(aggregate.functions, aggregate.at_most)


def _interval(join: Join) -> Interval:
    clocked = clock(join.left) is not None, clock(join.right) is not None
    window = None if join.window is None else (us(join.window.size), us(join.window.offset))
    return Interval(*join.bounds_us, clocked, window)


def _condition(where: Expr | None) -> Condition | None:
    if where is None:
        return None

    def own(side: str) -> Callable[[Any], Any]:
        conditions = [evaluate(condition) for condition in own_conditions(where, side)]
        return lambda pair: all(condition(pair) for condition in conditions)

    return Condition(evaluate(where), (own("left"), own("right")))
