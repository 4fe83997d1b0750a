"""Expressions, functions and times as Spark's columns. Runs in the worker: it imports pyspark."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, assert_never

from pyspark.sql import Column
from pyspark.sql import functions as sf

from semantics.expr import Binary, Expr, Field, Literal, Op
from semantics.pipeline import Function
from semantics.time import us

_COLUMN_OF = {"key": "k", "id": "i", "value": "v"}
_OPERATOR = {
    Op.ADD: operator.add,
    Op.SUBTRACT: operator.sub,
    Op.MULTIPLY: operator.mul,
    Op.EQUAL: operator.eq,
    Op.NOT_EQUAL: operator.ne,
    Op.LESS: operator.lt,
    Op.LESS_EQUAL: operator.le,
    Op.GREATER: operator.gt,
    Op.GREATER_EQUAL: operator.ge,
    Op.AND: operator.and_,
    Op.OR: operator.or_,
}


def no_offset() -> Column:
    """Return the offset of what is no record: of such at one time, Spark takes any for the first."""
    return sf.lit(0).cast("bigint")


def gap_of(gap: timedelta | Expr) -> Any:
    """Return what `session_window` takes for a gap."""
    if isinstance(gap, timedelta):
        return interval(gap)
    return sf.concat(column(gap).cast("string"), sf.lit(" seconds"))


def gap_us(gap: timedelta | Expr, longest: timedelta) -> Column:
    """Return a gap in microseconds, zero if null; above `longest` it need not be exact, and must not overflow."""
    if isinstance(gap, timedelta):
        return sf.lit(us(gap)).cast("bigint")
    seconds = sf.greatest(column(gap), sf.lit(0).cast("bigint"))
    return sf.least(seconds, sf.lit(us(longest) // 1_000_000 + 1).cast("bigint")) * 1_000_000


def windows(size: timedelta, slide: timedelta, offset: timedelta) -> Column:
    """Return the windows of an event's time, as `w`."""
    return sf.window("t", interval(size), interval(slide), interval(offset)).alias("w")


def aggregated(function: Function, at_most: int) -> Column:
    """Return an aggregate function; `at_most`: how much is collected."""
    # Ties are broken by the offset: of events at one time Spark would take any.
    order = sf.when(sf.col("t").isNotNull(), sf.struct("t", "o"))
    match function:
        case Function.COUNT:
            return sf.count(sf.lit(1))
        case Function.SUM:
            return sf.sum("v")
        case Function.MIN:
            return sf.min("v")
        case Function.MAX:
            return sf.max("v")
        case Function.AVG:
            return sf.avg("v")
        case Function.FIRST:
            return sf.min_by("v", order)
        case Function.LAST:
            return sf.max_by("v", order)
        case Function.COLLECT:
            all = sf.collect_list(sf.when(sf.col("t").isNotNull(), sf.struct("t", "o", "v")))
            return sf.slice(sf.sort_array(all), 1, at_most)["v"]
        case _:
            assert_never(function)


def column(expression: Expr) -> Column:
    """Return an expression over an event, or over both sides `l` and `r`."""
    match expression:
        case Field(name, side):
            return sf.col(f"{side[0]}.{_COLUMN_OF[name]}" if side else _COLUMN_OF[name])
        case Literal(value):
            return sf.lit(value).cast("bigint") if isinstance(value, int) else sf.lit(value)
        case Binary(op, left, right):
            return _OPERATOR[op](column(left), column(right))
        case _:
            assert_never(expression)


def micros(timestamp: str) -> Column:
    """Return a timestamp's microseconds since 1970."""
    return sf.unix_micros(timestamp)


def interval(duration: timedelta) -> str:
    """Return a duration in Spark's words."""
    return f"{us(duration)} microseconds"


def named(row: Mapping[str, Column]) -> list[Column]:
    """Return columns under their names."""
    return [value.alias(name) for name, value in row.items()]
