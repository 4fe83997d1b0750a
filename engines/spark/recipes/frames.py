"""The recipes as frames: what goes into a stateful processor, and what comes out of it. Runs in the worker.

Columns of an event are those of `engines/spark/compile.py`. A frame that loses its time here has no watermark behind.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf

from engines.spark.columns import no_offset
from semantics.pipeline import Absence, Aggregate, AsOf, How, Lookup, Timer, Upsert, clocked
from semantics.time import us

_TIMELESS = -(2**63)
"""Stands for the time of an event that has none, where nobody asks for it."""


def upsert(events: DataFrame, node: Upsert, gone: Column | None) -> DataFrame:
    """Return the events that are not older than what has passed of their key."""
    return _said(call(events, "upsert", _timed(events, gone=gone), clocked(node.input)))


def absence(events: DataFrame, node: Absence) -> DataFrame:
    """Return a row for each silence."""
    if node.timer is Timer.PROCESSING_TIME:
        return _said(call(events, "listening", _timeless(events), us(node.after)))
    return _said(call(events, "absence", _timed(events), us(node.after)))


def lookup(events: DataFrame, table: DataFrame, node: Lookup, gone: Column | None) -> DataFrame:
    """Return each event with its version's value."""
    versions = _timed(table, gone=gone, table=True).where(sf.col("k").isNotNull())
    both = _timed(events).unionByName(versions)
    return _said(call(events, "lookup", both, node.as_of is AsOf.ARRIVAL, node.how is How.LEFT))


def changes(events: DataFrame, node: Aggregate) -> DataFrame:
    """Return each change of a running aggregate as an event, with its first function's value."""
    rows = running(events, node)
    return _said(rows.withColumn("v", sf.col(node.functions[0].value)))


def running(events: DataFrame, node: Aggregate) -> DataFrame:
    """Return a row for each change: id `i` and time `us` of the event that made it, and every aggregate by its name."""
    if node.ttl is None:
        return call(events, "running", _timeless(events), -1, node.at_most)
    # Without its column of event time the operator has timers, and drops nothing as late: no running aggregate does.
    return call(events, "running", _timed(events).drop("t"), us(node.ttl), node.at_most)


def _timed(events: DataFrame, *, gone: Column | None = None, table: bool = False) -> DataFrame:
    """Return the columns of `weir.Event`, beside the event time. No comparison with a null time is true."""
    deletes = sf.lit(False) if gone is None else sf.coalesce(gone, sf.lit(False))
    columns = (sf.unix_micros("t").alias("us"), deletes.alias("gone"), sf.lit(table).alias("table"))
    return events.where(sf.col("t").isNotNull()).select("k", "i", "v", "t", "o", *columns)


def _timeless(events: DataFrame) -> DataFrame:
    """Return the columns of `weir.Event` where an event without a time is like any other."""
    return _timed(events.withColumn("t", sf.coalesce("t", sf.timestamp_micros(sf.lit(_TIMELESS)))))


def call(frame: DataFrame, recipe: str, *arguments: Any) -> DataFrame:
    """Return what a recipe makes of its arguments."""
    spark: SparkSession = frame.sparkSession
    recipes = spark._jvm.weir.Recipes
    plain = [argument._jdf if isinstance(argument, DataFrame) else argument for argument in arguments]
    return DataFrame(getattr(recipes, recipe)(*plain), spark)


def _said(frame: DataFrame) -> DataFrame:
    time = sf.when(sf.col("us") != _TIMELESS, sf.timestamp_micros("us"))
    return frame.select("k", "i", "v", time.alias("t"), no_offset().alias("o"))
