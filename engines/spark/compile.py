"""A pipeline as the streaming DataFrame that a Spark user would write for it: native operators, nothing repaired.

What no native operator does is a recipe: `engines/spark/recipes/`.

Columns of a stream: k (key), i (id), v (value), t (event time, a timestamp), o (offset).
Of what goes to the sink: key, value. Runs in the worker: it imports pyspark.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import reduce
from typing import Any, TypeAlias, assert_never

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from engines.spark.columns import aggregated, column, gap_of, gap_us, interval, micros, named, no_offset, windows
from engines.spark.recipes import frames, letters
from semantics.pipeline import (
    Absence,
    Aggregate,
    Dedup,
    Emit,
    Explode,
    Filter,
    Function,
    Hopping,
    How,
    Join,
    KeyBy,
    Lookup,
    PairTime,
    Pipeline,
    Select,
    Session,
    Source,
    Stream,
    Tumbling,
    Union,
    Upsert,
    Watermark,
    sources,
    timed,
)
from semantics.time import us

Columns: TypeAlias = dict[str, Any]

EVENT_SCHEMA = "k string, i string, v bigint, t bigint"
_HOW = {How.INNER: "inner", How.LEFT: "left_outer", How.RIGHT: "right_outer", How.FULL: "full_outer",
        How.SEMI: "left_semi", How.ANTI: "left_anti"}  # fmt: skip


def sink_frame(
    spark: SparkSession,
    pipeline: Pipeline,
    topics: Mapping[str, str],
    options: Mapping[str, str],
    *,
    output: str,
    dead_letters: str,
    strict: bool,
) -> DataFrame:
    """Return the frame whose `key` and `value` go to the Kafka sink; with dead letters, each row names its `topic`.

    `topics`: input name -> topic. `options`: of the Kafka source. `strict`: a record that cannot be used is a dead
    letter, rather than an event of nulls. Raises pyspark's `AnalysisException`.
    """

    def records(source: Source, *, bad: bool = False) -> DataFrame:
        read = _records(spark, topics[source.name], options, strict=strict)
        if not strict:
            return read
        why = letters.why_bad(source.name in timed(pipeline))
        return read.withColumn("bad", why).where(sf.col("bad").isNotNull() == bad)

    def stream(node: Stream, keep: tuple[str, ...] = ()) -> DataFrame:
        """Return a node's events: its rows, where it is not the last one. `keep`: more columns of a record."""
        match node:
            case Source(delay=delay, future=future):
                read = records(node) if future is None else letters.guarded(records(node), node, future=False)
                events = read.select("k", "i", "v", "t", "o", *keep)
                return events if delay is None else events.withWatermark("t", interval(delay))
            case Filter(input, where):
                return stream(input, keep).where(column(where))
            case Select(input, value):
                return stream(input, keep).withColumn("v", column(value))
            case KeyBy(input, key):
                return stream(input, keep).withColumn("k", column(key))
            case Explode(input, most=most):
                return _exploded(stream(input, keep), most)
            case Union(inputs):
                return reduce(DataFrame.unionByName, map(stream, inputs))
            case Watermark(input, delay):
                return stream(input, keep).withWatermark("t", interval(delay))
            case Dedup(input):
                # Its horizon is the watermark's delay: `declaration.py` lets no other through.
                return stream(input).dropDuplicatesWithinWatermark(["k", "i"])
            case Aggregate(Source(delay=timedelta() as delay) as source, window=None):
                # Each event comes out at once, with its own time: the clock stands behind it as well as before.
                return frames.changes(stream(replace(source, delay=None)), node).withWatermark("t", interval(delay))
            case Aggregate(input, window=None):
                return frames.changes(stream(input), node)
            case Aggregate(input):
                return _events_of_windows(*_aggregate(stream(input), node), node)
            case Join(left, right):
                return _events_of_pairs(*_join(stream(left), stream(right), node), node)
            case Upsert(input, gone=gone):
                return frames.upsert(stream(input), node, None if gone is None else column(gone))
            case Absence(input):
                return frames.absence(stream(input), node)
            case Lookup(input, table, gone=gone):
                return frames.lookup(stream(input), stream(table), node, None if gone is None else column(gone))
            case _:
                assert_never(node)

    match pipeline:
        case Aggregate():
            frame, row = _aggregate(stream(pipeline.input), pipeline)
        case Join():
            frame, row = _join(stream(pipeline.left), stream(pipeline.right), pipeline)
        case _:
            frame, row = stream(pipeline), _event_row()
    results = frame.select(row["k"].alias("key"), sf.to_json(sf.struct(*named(row))).alias("value"))
    dead = [
        (letters.late(stream(read, letters.KEPT), operator), "late", source)
        for operator, read, source in letters.judges(pipeline)
    ]
    for source in sources(pipeline):
        if source.future is not None:
            dead.append((letters.guarded(records(source), source, future=True), "future", source))
        if strict:
            dead.append((records(source, bad=True), "", source))
    if not dead:
        return results
    written = [letters.letters(frame, reason, topics[source.name], dead_letters) for frame, reason, source in dead]
    return letters.beside(results, output, reduce(DataFrame.unionByName, written))


def output_mode(pipeline: Pipeline) -> str:
    """Return Spark's word for how the pipeline speaks. A recipe appends each change."""
    updates = isinstance(pipeline, Aggregate) and pipeline.emit is Emit.UPDATE and pipeline.ttl is None
    return "update" if updates else "append"


def _records(spark: SparkSession, topic: str, options: Mapping[str, str], *, strict: bool) -> DataFrame:
    records = spark.readStream.format("kafka").options(**options).option("subscribe", topic).load()
    text = sf.col("value").cast("string")
    event = sf.from_json(text, EVENT_SCHEMA)
    if strict:
        # Null where it is not UTF-8, which is a null event: from_json alone reads such bytes as U+FFFD.
        torn = {"columnNameOfCorruptRecord": "torn"}
        event = sf.from_json(sf.try_validate_utf8(text), f"{EVENT_SCHEMA}, torn string", torn)
    record = records.select(event.alias("e"), "offset", "partition", "value")
    fields = ("e.k", "e.i", "e.v", sf.timestamp_micros("e.t").alias("t"), sf.col("offset").alias("o"))
    own = (sf.col("partition").alias("p"), sf.col("value").alias("raw"), *(("e.torn",) if strict else ()))
    return record.select(*fields, *own)


def _aggregate(frame: DataFrame, aggregate: Aggregate) -> tuple[DataFrame, Columns]:
    match aggregate.window:
        case Tumbling(size, offset=offset):
            groups = frame.groupBy(windows(size, size, offset), "k")
        case Hopping(size, slide, offset=offset):
            groups = frame.groupBy(windows(size, slide, offset), "k")
        case Session(gap, longest=timedelta() as longest):
            # Between two cuts sessions are apart, as those of two keys are; and each ends at the cut by its own gap.
            left = us(longest) - sf.pmod(micros("t"), sf.lit(us(longest)))
            ends = sf.session_window("t", sf.concat(sf.least(gap_us(gap, longest), left), sf.lit(" microseconds")))
            groups = frame.groupBy(ends.alias("w"), "k", (micros("t") + left).alias("cut"))
        case Session(gap):
            groups = frame.groupBy(sf.session_window("t", gap_of(gap)).alias("w"), "k")
        case None:
            groups = frame.groupBy("k")
        case _:
            assert_never(aggregate.window)
    if aggregate.ttl is not None:
        results = frames.running(frame, aggregate)
    else:
        results = groups.agg(*(aggregated(f, aggregate.at_most).alias(f.value) for f in aggregate.functions))
    if aggregate.top is not None:
        results = _highest(results, aggregate.functions, aggregate.top)
    bounds = {} if aggregate.window is None else {"s": micros("w.start"), "e": micros("w.end")}
    return results, {"k": sf.col("k"), **bounds, **{f.value: sf.col(f.value) for f in aggregate.functions}}


def _highest(windows: DataFrame, functions: tuple[Function, ...], top: int) -> DataFrame:
    """Return the rows of so many keys of each window: a second aggregate, over the window."""
    first = sf.col(functions[0].value)
    falling = sf.negative(first) if functions[0] is Function.AVG else sf.bitwise_not(first)
    order = (first.isNull().alias("none"), falling.alias("falling"), sf.col("k").isNull().alias("keyless"))
    row = sf.struct(*order, "k", *(function.value for function in functions))
    best = sf.slice(sf.sort_array(sf.collect_list(row)), 1, top)
    rows = windows.groupBy("w").agg(best.alias("best")).select("w", sf.explode("best").alias("row"))
    return rows.select("w", "row.k", *(f"row.{function.value}" for function in functions))


def _exploded(frame: DataFrame, most: int) -> DataFrame:
    count = sf.least(sf.col("v"), sf.lit(most).cast("bigint"))
    parts = sf.explode(sf.sequence(sf.lit(0).cast("bigint"), count - 1))
    apart = frame.where(sf.col("v") > 0).select("k", "i", parts.alias("v"), "t", "o")
    return apart.withColumn("i", sf.concat(sf.coalesce("i", sf.lit("")), sf.lit("_"), "v"))


def _events_of_windows(frame: DataFrame, row: Columns, aggregate: Aggregate) -> DataFrame:
    id = sf.concat(row["s"], sf.lit("-"), row["e"])
    # A timestamp computed in any other way has lost its watermark.
    event = {
        "k": row["k"],
        "i": id,
        "v": row[aggregate.functions[0].value],
        "t": sf.window_time("w"),
        "o": no_offset(),
    }
    return frame.select(*named(event))


def _events_of_pairs(frame: DataFrame, row: Columns, join: Join) -> DataFrame:
    if not join.how.pairs:
        return frame.select("l.k", "l.i", "l.v", "l.t", no_offset().alias("o"))
    id = sf.concat(sf.coalesce(row["li"], sf.lit("")), sf.lit(":"), sf.coalesce(row["ri"], sf.lit("")))
    time = {PairTime.LATER: sf.greatest("l.t", "r.t"), PairTime.LEFT: sf.col("l.t"), PairTime.RIGHT: sf.col("r.t")}
    event = {"k": row["k"], "i": id, "v": sf.lit(1).cast("bigint"), "t": time[join.time], "o": no_offset()}
    return frame.select(*named(event))


def _join(left: DataFrame, right: DataFrame, join: Join) -> tuple[DataFrame, Columns]:
    lt, rt = sf.col("l.t"), sf.col("r.t")
    near = [sf.col("l.k") == sf.col("r.k")]
    if join.lo is not None:
        first = lt + sf.lit(join.lo)
        near.append(rt > first if join.lo_exclusive else rt >= first)
    if join.hi is not None:
        last = lt + sf.lit(join.hi)
        near.append(rt < last if join.hi_exclusive else rt <= last)
    if join.window is not None:
        # The window is the stream's event time from here on, and there can be but one: the event's own is a number.
        window = windows(join.window.size, join.window.size, join.window.offset)
        left, right = (side.select("k", "i", "v", window, micros("t").alias("t")) for side in (left, right))
        near.append(sf.col("l.w") == sf.col("r.w"))
    if join.where is not None:
        near.append(column(join.where))
    time = micros if join.window is None else sf.col
    pairs = left.alias("l").join(right.alias("r"), reduce(operator.and_, near), _HOW[join.how])
    if not join.how.pairs:
        return pairs, {"k": sf.col("l.k"), "i": sf.col("l.i"), "v": sf.col("l.v"), "t": time("l.t")}
    key = sf.coalesce("l.k", "r.k") if join.how.keeps_right else sf.col("l.k")
    row = {"k": key, "li": sf.col("l.i"), "lt": time("l.t"), "ri": sf.col("r.i"), "rt": time("r.t")}
    return pairs, row


def _event_row() -> Columns:
    return {"k": sf.col("k"), "i": sf.col("i"), "v": sf.col("v"), "t": micros("t")}
