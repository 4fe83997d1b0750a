"""The streaming frame that a probe asks about, by the names in `probes.py`. Runs in the child: it imports pyspark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.window import Window

from engines.spark.probes import BOTH, DEFINED, LEFT, RANGE, RIGHT, STATIC, WINDOW, WINDOW_AND_TIME

ROWS = 4
_DELAY, _WINDOW, _SLIDE, _GAP = "1 second", "10 seconds", "5 seconds", "2 seconds"
_START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: watermarks start at 1970."""


def frame_of(spark: SparkSession, area: str, operator: str, form: str, watermark: str) -> DataFrame:
    """Return the frame of a probe. Raises what pyspark raises; some refusals come here already."""
    marked = source(spark, marked=watermark == DEFINED)
    match area:
        case "pass":
            return marked.where("v >= 0").select("k", "t")
        case "aggregation":
            return AGGREGATIONS[operator](marked)
        case "dedup":
            return DEDUPS[operator](marked)
        case "join":
            left = source(spark, marked=watermark in (LEFT, BOTH))
            right = source(spark, marked=watermark in (RIGHT, BOTH))
            return join(left, right, operator, form)
        case "static":
            table, on = rows(spark), ["k"]
            stream = source(spark).select("k", "t")
            return stream.join(table, on, operator) if form == STATIC[0] else table.join(stream, on, operator)
        case "chain":
            return CHAINS[operator](marked, source(spark, marked=watermark == DEFINED))
        case "operation":
            return OPERATIONS[operator](spark, source(spark))
        case "watermark":
            return WATERMARKS[operator](source(spark))
        case _:
            raise ValueError(f"No frame for {area}.")


def source(spark: SparkSession, *, marked: bool = False) -> DataFrame:
    """Return a stream of `ROWS` events: k (key), t (event time), v (number)."""
    rate = spark.readStream.format("rate-micro-batch")
    limited = rate.options(rowsPerBatch=ROWS, numPartitions=1, startTimestamp=_START_MS)
    frame = _named(limited.load())
    return frame.withWatermark("t", _DELAY) if marked else frame


def ticking(spark: SparkSession) -> DataFrame:
    """Return an endless stream of the same columns, which the continuous trigger can read."""
    return _named(spark.readStream.format("rate").options(rowsPerSecond=10, numPartitions=1).load())


def rows(spark: SparkSession) -> DataFrame:
    """Return a table of keys."""
    return spark.range(2).select(sf.col("id").cast("string").alias("k"), sf.col("id").alias("n"))


def _named(frame: DataFrame) -> DataFrame:
    return frame.select(
        (sf.col("value") % 2).cast("string").alias("k"), sf.col("timestamp").alias("t"), "value"
    ).select("k", "t", sf.col("value").alias("v"))


def join(left: DataFrame, right: DataFrame, how: str, form: str) -> DataFrame:
    """Return a join on the key and a time bound; of the times the left one stays, so that a row has one."""
    condition, columns = "l.k = r.k", "l.k AS k, l.t AS t"
    if form == RANGE:
        condition += f" AND r.t BETWEEN l.t AND l.t + INTERVAL {_SLIDE}"
    if form in (WINDOW, WINDOW_AND_TIME):
        condition += " AND l.w = r.w"
        left, right = (side.withColumn("w", sf.window("t", _WINDOW)) for side in (left, right))
    if form == WINDOW:
        left, right = (side.drop("t") for side in (left, right))
        columns = "l.k AS k, l.w AS w"
    return left.alias("l").join(right.alias("r"), sf.expr(condition), how).selectExpr(*columns.split(", "))


def tumbling(frame: DataFrame, column: str = "t") -> DataFrame:
    """Return a count by key and tumbling window."""
    return frame.groupBy(sf.window(column, _WINDOW), "k").count()


def _session(frame: DataFrame) -> DataFrame:
    return frame.groupBy(sf.session_window("t", _GAP), "k").count()


def _again(counted: DataFrame) -> DataFrame:
    """Return what windows sum up to, in windows over their windows' time."""
    return counted.groupBy(sf.window(sf.window_time("window"), "20 seconds")).agg(sf.sum("count"))


def _sessions_again(counted: DataFrame) -> DataFrame:
    return counted.groupBy(sf.window(sf.col("session_window.end"), "20 seconds")).agg(sf.sum("count"))


_Unary = Callable[[DataFrame], DataFrame]
AGGREGATIONS: dict[str, _Unary] = {
    "by key": lambda f: f.groupBy("k").count(),
    "of everything": lambda f: f.groupBy().count(),
    "by event time": lambda f: f.groupBy("t").count(),
    "tumbling window": tumbling,
    "hopping window": lambda f: f.groupBy(sf.window("t", _WINDOW, _SLIDE), "k").count(),
    "session window": _session,
    "session window without key": lambda f: f.groupBy(sf.session_window("t", _GAP)).count(),
    "two windows": lambda f: f.groupBy(sf.window("t", _WINDOW).alias("a"), sf.window("t", _SLIDE).alias("b")).count(),
    "count distinct": lambda f: f.groupBy(sf.window("t", _WINDOW)).agg(sf.count_distinct("k")),
    "approximate count distinct": lambda f: f.groupBy(sf.window("t", _WINDOW)).agg(sf.approx_count_distinct("k")),
    "cube": lambda f: f.cube("k").count(),
    "pivot": lambda f: f.groupBy(sf.window("t", _WINDOW)).pivot("k").count(),
}
DEDUPS: dict[str, _Unary] = {
    "distinct": lambda f: f.distinct(),
    "dropDuplicates key": lambda f: f.dropDuplicates(["k"]),
    "dropDuplicates key and time": lambda f: f.dropDuplicates(["k", "t"]),
    "dropDuplicatesWithinWatermark": lambda f: f.dropDuplicatesWithinWatermark(["k"]),
}


def _joined(left: DataFrame, right: DataFrame, how: str = "inner") -> DataFrame:
    return join(left, right, how, RANGE)


CHAINS: dict[str, Callable[[DataFrame, DataFrame], DataFrame]] = {
    "key count then key count": lambda a, _: a.groupBy("k", "v").count().groupBy("k").agg(sf.sum("count")),
    "window then window": lambda a, _: _again(tumbling(a)),
    "session then window": lambda a, _: _again(_session(a).withColumnRenamed("session_window", "window")),
    "dedup then window": lambda a, _: tumbling(a.dropDuplicates(["k", "t"])),
    "window then dedup": lambda a, _: tumbling(a).dropDuplicates(["k", "window"]),
    "join then window": lambda a, b: tumbling(_joined(a, b)),
    "left join then window": lambda a, b: tumbling(_joined(a, b, "left_outer")),
    "window then join": lambda a, b: tumbling(a).join(tumbling(b), ["window", "k"]),
    "join then join": lambda a, b: _joined(_joined(a, b), b),
    "dedup then join": lambda a, b: _joined(a.dropDuplicates(["k", "t"]), b),
    "join then dedup": lambda a, b: _joined(a, b).dropDuplicates(["k", "t"]),
}
OPERATIONS: dict[str, Callable[[SparkSession, DataFrame], DataFrame]] = {
    "sort": lambda _, f: f.orderBy("t"),
    "sort after aggregation": lambda _, f: f.groupBy("k").count().orderBy("count"),
    "limit": lambda _, f: f.limit(2),
    "limit after aggregation": lambda _, f: f.groupBy("k").count().limit(2),
    "offset": lambda _, f: f.offset(1),
    "row_number": lambda _, f: f.withColumn("n", sf.row_number().over(Window.partitionBy("k").orderBy("t"))),
    "union of streams": lambda spark, f: f.union(source(spark)),
    "union with a table": lambda spark, f: f.select("k").union(rows(spark).select("k")),
    "intersect": lambda spark, f: f.intersect(source(spark)),
    "except": lambda spark, f: f.subtract(source(spark)),
    "sample": lambda _, f: f.sample(0.5, seed=1),
    "explode": lambda _, f: f.withColumn("x", sf.explode(sf.array("k", "v"))),
    "rand": lambda _, f: f.withColumn("x", sf.rand()),
    "monotonically_increasing_id": lambda _, f: f.withColumn("x", sf.monotonically_increasing_id()),
    "repartition": lambda _, f: f.repartition(2, "k"),
    "watermark without use": lambda _, f: f.withWatermark("t", _DELAY),
}


def _delayed(delay: str) -> _Unary:
    return lambda f: tumbling(f.withWatermark("t", delay))


WATERMARKS: dict[str, _Unary] = {
    "negative delay": _delayed("-1 second"),
    "delay without unit": _delayed("5"),
    "delay of a month": _delayed("1 month"),
    "delay of half a millisecond": _delayed("0.5 milliseconds"),
    "nested column": lambda f: f.select("k", sf.struct("t").alias("s")).withWatermark("s.t", _DELAY),
    "string column": lambda f: f.withColumn("t", sf.col("t").cast("string")).withWatermark("t", _DELAY),
    "timestamp_ntz column": lambda f: tumbling(
        f.withColumn("t", sf.col("t").cast("timestamp_ntz")).withWatermark("t", _DELAY)
    ),
    "defined twice": lambda f: tumbling(f.withWatermark("t", _DELAY).withWatermark("t", _WINDOW)),
    "after the aggregation": lambda f: f.groupBy("t").count().withWatermark("t", _DELAY),
    "on another column than the window's": lambda f: tumbling(
        f.withColumn("u", sf.col("t")).withWatermark("u", _DELAY)
    ),
}


def acted(operator: str, frame: DataFrame) -> Any:
    """Do the action of a probe on a streaming frame. Raises what pyspark raises."""
    match operator:
        case "count":
            return frame.count()
        case "collect":
            return frame.collect()
        case "show":
            return frame.show()
        case "foreach":
            return frame.foreach(print)
        case "write":
            return frame.write.format("noop").mode("overwrite").save()
        case "cache":
            return frame.cache().count()
        case _:
            return frame.toLocalIterator()
