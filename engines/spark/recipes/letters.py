"""Dead letters as recipes: what is late, from the future or not to be used has a topic of its own. Runs in the worker.

Spark has one sink a query, but a record may say to which topic it goes: so results and dead letters are one frame. The
branch that finds dead letters is planned beside the one that computes results, and reads the input once more.

Columns of a record are those of an event, with p (its partition) and raw (its value as it came).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sf

from engines.spark.progress import DEAD
from engines.spark.recipes.frames import call
from semantics.pipeline import (
    Aggregate,
    Hopping,
    Pipeline,
    Session,
    Source,
    Stateful,
    Stream,
    Tumbling,
    inputs,
    nodes,
    origin,
)
from semantics.time import us

KEPT = ("p", "raw")
"""What a dead letter needs of its record."""


def why_bad(timed: bool) -> Column:
    """Return why a record cannot be used, null if it can. `timed`: its time is needed."""
    bad = sf.when(sf.col("torn").isNotNull() | sf.col("v").isNull(), "bad_record")
    return bad.when(sf.col("t").isNull(), "no_time") if timed else bad


def guarded(records: DataFrame, source: Source, *, future: bool) -> DataFrame:
    """Return the records that are, or are not, from the future."""
    assert source.future is not None
    judged = call(records, "guard", _records(records), us(source.future)).where(sf.col("future") == future)
    return judged.withColumn("t", sf.timestamp_micros("us")).select("k", "i", "v", "t", "o", "p", "raw")


def judges(pipeline: Pipeline) -> Iterator[tuple[Stateful, Stream, Source]]:
    """Yield each operator with an input of it whose late events are kept, and where they come from."""
    for node in nodes(pipeline):
        if isinstance(node, Stateful):
            for stream in inputs(node):
                source = origin(stream)
                if isinstance(source, Source) and source.late_output:
                    yield node, stream, source


def late(records: DataFrame, operator: Stateful) -> DataFrame:
    """Return the records that an operator drops as late."""
    until = _until(operator)
    assert until is not None
    return call(records, "late", _records(records).withColumn("untilUs", until).drop("t"))


def letters(records: DataFrame, reason: str, topic: str, dead_letters: str) -> DataFrame:
    """Return records as dead letters: topic, key, value, headers. Without a `reason`, it is in their column `bad`."""
    why = sf.lit(reason) if reason else sf.col("bad")
    said = {"reason": why, "topic": sf.lit(topic), "partition": sf.col("p"), "offset": sf.col("o")}
    headers = [
        sf.struct(sf.lit(name).alias("key"), value.cast("string").cast("binary").alias("value"))
        for name, value in said.items()
    ]
    key = sf.lit(None).cast("string").alias("key")
    written = (
        sf.lit(dead_letters).alias("topic"),
        key,
        sf.col("raw").alias("value"),
        sf.array(*headers).alias("headers"),
    )
    return records.select(*written)


def beside(results: DataFrame, topic: str, dead: DataFrame) -> DataFrame:
    """Return results (key, value) and dead letters as what goes to the sink; the dead ones are counted."""
    none = sf.lit(None).cast(dead.schema["headers"].dataType)
    living = results.select(
        sf.lit(topic).alias("topic"), "key", sf.col("value").cast("binary").alias("value"), none.alias("headers")
    )
    return living.unionByName(dead.observe(DEAD, sf.count(sf.lit(1)).alias("rows")))


def _until(operator: Stateful) -> Column | None:
    """Return the watermark from which on an event at `us` is late; None: it never is."""
    at = sf.col("us")
    match operator:
        case Aggregate(window=Tumbling(size, offset=offset)):
            return at - sf.pmod(at - us(offset), sf.lit(us(size))) + us(size)
        case Aggregate(window=Hopping(size, slide, offset=offset)):
            return at - sf.pmod(at - us(offset), sf.lit(us(slide))) + us(size)
        case Aggregate(window=Session(timedelta() as gap)):
            return at + us(gap)
        case Aggregate(window=None):
            return None
        case _:
            return at


def _records(records: DataFrame) -> DataFrame:
    unknown = (sf.lit(None).cast("bigint").alias("untilUs"), sf.lit(False).alias("future"))
    return records.select("k", "i", "v", "t", sf.unix_micros("t").alias("us"), "o", "p", "raw", *unknown)
