"""How the questions of `facts.py` are answered, each by a few rows. Runs in the child: it imports pyspark."""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, GroupedData, SparkSession
from pyspark.sql import functions as sf

from engines.spark.checkpoint import Checkpoint, Journal
from engines.spark.probe_stream import START_S, Stream, batch_reports, dropped, listed, rows_out, state_rows

Found = tuple[bool, str]
"""Yes or no, and what that rests on."""

_SLOW_MS = 20_000
"""How long a batch takes that is to be stopped."""
_FAR = ((1.0,), (1000.0,), (2000.0,), (3000.0,))
"""Four events, each far behind the watermark of the next."""


def _forgets(dedup: Callable[[DataFrame], DataFrame], delay: str = "0 seconds") -> Callable[[Stream], Found]:
    def find(stream: Stream) -> Found:
        sizes = [state_rows(report) for report in stream.play(dedup(stream.frame(delay)), *_FAR, mode="append")]
        return sizes[-1] < len(_FAR), f"rows of state after each batch of four far apart: {listed(sizes)}"

    return find


def _dedup_passes_late(stream: Stream) -> Found:
    reports = stream.play(stream.frame().dropDuplicates(["i"]), (1000.0,), (1.0,), mode="append")
    passed = sum(map(rows_out, reports))
    return passed == 2, f"{dropped(reports)} dropped as late, {passed} of 2 passed"


def _dedup_in_foreach_batch(stream: Stream) -> Found:
    passed: list[int] = []

    def write(frame: DataFrame, _batch: int) -> None:
        passed.append(frame.withWatermark("t", "1 hour").dropDuplicates(["i"]).count())

    query = stream.frame("").writeStream.foreachBatch(write).start()
    try:
        for t in (1.0, 2.0):
            stream.add(t, i="same")
            query.processAllAvailable()
    finally:
        query.stop()
    return sum(passed) == 1, f"one id in two batches passed {sum(passed)} times"


def _complete_drops_late(stream: Stream) -> Found:
    reports = stream.play(_windows(stream), (1000.0,), (1.0,), mode="complete")
    return dropped(reports) > 0, f"{dropped(reports)} dropped, {state_rows(reports[-1])} windows in the state"


def _windows(stream: Stream, size: str = "10 seconds") -> DataFrame:
    return stream.frame().groupBy(sf.window("t", size), "k").count()


def _shuffle_partitions(stream: Stream) -> Found:
    frame = stream.frame("").groupBy("k").count
    counts = []
    for wanted in ("2", "5"):
        stream.spark.conf.set("spark.sql.shuffle.partitions", wanted)
        counts.append(stream.play(frame(), (1.0,))[-1]["stateOperators"][0]["numShufflePartitions"])
    return counts[1] == 5, f"2 at first, 5 asked for at the restart, {counts[1]} used"


def _change(before: Callable[[Stream], DataFrame], after: Callable[[Stream], DataFrame]) -> Callable[[Stream], Found]:
    def find(stream: Stream) -> Found:
        stream.play(before(stream), (1.0, 12.0))
        try:
            stream.play(after(stream), (2.0,))
        except PySparkException as error:
            return True, _condition(error)
        return False, "it ran on, on the state of the other"

    return find


def _condition(error: PySparkException) -> str:
    """Return the condition that the message names last: outer ones only wrap it."""
    words = [word.strip("[]:.") for word in str(error).split() if word.startswith("[") and word.upper() == word]
    return words[-1] if words else type(error).__name__


def _keyed(aggregate: Callable[[], Any], *more: Any) -> Callable[[Stream], DataFrame]:
    return lambda stream: stream.frame("").groupBy("k").agg(aggregate(), *more)


def _more_aggregates(stream: Stream) -> DataFrame:
    return stream.frame("").groupBy("k").agg(sf.sum("v").alias("x"), sf.max("v").alias("y"))


def _name_change(stream: Stream) -> Found:
    read = []
    for name, times in (("one", (1.0, 2.0)), ("two", (3.0,))):
        query = stream.start(stream.frame(""), "append", queryName=name)
        stream.add(*times)
        query.processAllAvailable()
        read.append(sum(report["numInputRows"] for report in batch_reports(query)))
        query.stop()
    return read[1] != 1, f"{read[0]} rows under the first name, {read[1]} new under the second"


def _batch_ids(stream: Stream) -> Found:
    ids = []
    for number in range(2):
        fresh = Stream(stream.spark, stream.folder / str(number))
        ids.append([report["batchId"] for report in fresh.play(fresh.frame(""), (1.0,), (2.0,), mode="append")])
    return ids[0] == ids[1], f"batches {listed(ids[0])}, and {listed(ids[1])} with a new checkpoint"


def _location_required(stream: Stream) -> Found:
    try:
        writer = stream.frame("").groupBy("k").count().writeStream.format("noop").outputMode("update")
        query = writer.start()
    except PySparkException as error:
        return True, _condition(error)
    query.stop()
    return False, "it ran on a temporary one"


def _checkpoint_tree(stream: Stream) -> Found:
    stream.play(_windows(stream), (1.0,))
    names = sorted(path.name for path in (stream.folder / "checkpoint").iterdir() if not path.name.startswith("."))
    return bool({"progress", "sinks"} & set(names)), listed(names)


def _stop_waits(stream: Stream) -> Found:
    sleeping = f"reflect('java.lang.Thread', 'sleep', {_SLOW_MS}L)"
    query = stream.start(stream.frame("").withColumn("slept", sf.expr(sleeping)), "append")
    stream.add(1.0)
    begun = stream.folder / "checkpoint" / "offsets" / "0"
    while not begun.exists():
        query.awaitTermination(0.05)
    before = time.monotonic()
    query.stop()
    took, committed = time.monotonic() - before, (stream.folder / "checkpoint" / "commits" / "0").exists()
    early = "before" if took * 1000 < _SLOW_MS else "after"
    return (
        committed,
        f"it returned {early} the batch's {_SLOW_MS // 1000} s were over, commit {'' if committed else 'not '}written",
    )


def _second_run(stream: Stream) -> Found:
    first = stream.start(stream.frame(""), "append")
    second = stream.start(stream.frame(""), "append")
    try:
        first.awaitTermination(10)
        return not first.isActive and second.isActive, f"first active: {first.isActive}, second: {second.isActive}"
    finally:
        first.stop()
        second.stop()


def _closes(**trigger: Any) -> Callable[[Stream], Found]:
    def find(stream: Stream) -> Found:
        stream.add(1.0, 100.0)
        came = stream.once(_windows(stream), **trigger)
        return came > 0, f"{came} of 1 closed windows came out"

    return find


def _closes_running(stream: Stream) -> Found:
    came = sum(map(rows_out, stream.play(_windows(stream), (1.0, 100.0), mode="append")))
    return came > 0, f"{came} of 1 closed windows came out"


def _keeps_limit(**trigger: Any) -> Callable[[Stream], Found]:
    def find(stream: Stream) -> Found:
        source = stream.folder / "in"
        source.mkdir()
        for number in range(3):
            (source / f"{number}.txt").write_text("x\n")
        read = stream.spark.readStream.option("maxFilesPerTrigger", 1).text(str(source))
        writer = read.writeStream.format("noop").option("checkpointLocation", str(stream.folder / "checkpoint"))
        query = writer.trigger(**trigger).start()
        query.awaitTermination()
        sizes = [report["numInputRows"] for report in batch_reports(query)]
        return max(sizes) == 1, f"3 files of a row, 1 a trigger: batches of {listed(sizes)}"

    return find


def _trigger_change(stream: Stream) -> Found:
    frame, read = stream.frame(""), []
    triggers: list[dict[str, Any]] = [{"processingTime": "0 seconds"}, {"availableNow": True}, {"once": True}]
    for number, trigger in enumerate(triggers):
        stream.add(float(number))
        query = stream.start(frame, "append", trigger)
        query.processAllAvailable() if number == 0 else query.awaitTermination()
        read.append(sum(report["numInputRows"] for report in batch_reports(query)))
        query.stop()
    return read != [1, 1, 1], f"one new row each under processing time, available-now and once: {listed(read)} read"


def _adaptive(frame: Callable[[Stream], DataFrame]) -> Callable[[Stream], Found]:
    def find(stream: Stream) -> Found:
        query = stream.start(frame(stream))
        try:
            stream.add(1.0)
            query.processAllAvailable()
            plan = query._jsq.streamingQuery().lastExecution().executedPlan().toString()
        finally:
            query.stop()
        adaptive = "AdaptiveSparkPlan" in plan
        return adaptive, f"{'an' if adaptive else 'no'} AdaptiveSparkPlan in the plan that was executed"

    return find


def _reported(*words: str) -> Callable[[Stream], Found]:
    def find(stream: Stream) -> Found:
        report = stream.play(_windows(stream), (1.0,))[0]
        return any(word in json.dumps(report) for word in words), f"durationMs: {listed(sorted(report['durationMs']))}"

    return find


def _udf_time(stream: Stream) -> Found:
    same = sf.udf(lambda t: t, "timestamp")
    frame = stream.frame("").withColumn("t", same("t")).withWatermark("t", "0 seconds")
    counted = frame.groupBy(sf.window("t", "10 seconds")).count()
    stream.play(counted, (1.0,), (100.0,))
    log = Checkpoint(stream.folder / "checkpoint")
    mark = log.watermark_us(log.last(Journal.COMMITTED))
    moved = (
        "no watermark" if mark is None else f"watermark at {mark // 1_000_000 - START_S} s after events at 1 and 100"
    )
    return mark is None, moved


def _value(expression: str) -> Callable[[Stream], Any]:
    def find(stream: Stream) -> Any:
        first = stream.spark.range(1).select(sf.expr(expression).alias("x")).first()
        return None if first is None else first.x

    return find


def _taken(expression: str) -> Callable[[Stream], Found]:
    def find(stream: Stream) -> Found:
        try:
            return True, f"{_value(expression)(stream)}"
        except PySparkException as error:
            return False, error.getCondition() or type(error).__name__

    return find


def _true(expression: str, shown: str) -> Callable[[Stream], Found]:
    return lambda stream: (bool(_value(expression)(stream)), str(_value(shown)(stream)))


def _bad_cast(stream: Stream) -> Found:
    yes, saw = _taken("cast('x' as int)")(stream)
    return yes and saw == "None", saw


def _filters(stream: Stream) -> Found:
    rows = stream.spark.sql("select * from values (true), (false), (null) as t(ok)")
    passed = rows.where("ok").count() + rows.where("not ok").count()
    return passed == rows.count(), f"{passed} of {rows.count()} rows pass one of them"


def _has(holder: Any, name: str) -> Callable[[Stream], Found]:
    return lambda _: (hasattr(holder, name), f"{holder.__name__}.{name}")


def _avro(stream: Stream) -> Found:
    try:
        stream.spark.read.format("avro").load(os.devnull)
    except PySparkException as error:
        return False, error.getCondition() or type(error).__name__
    return True, ""


def _setting(name: str) -> Callable[[Stream], Found]:
    return lambda stream: (stream.spark.conf.isModifiable(name), name)


_JSON = "from_json('{\"a\":', 'a int')"
FACTS: dict[str, Callable[[Stream], Found]] = {
    "dedup-by-id-forgets": _forgets(lambda f: f.dropDuplicates(["i"])),
    "dedup-by-id-and-time-forgets": _forgets(lambda f: f.dropDuplicates(["i", "t"])),
    "dedup-before-watermark-forgets": _forgets(
        lambda f: f.dropDuplicates(["i", "t"]).withWatermark("t", "0 seconds"), delay=""
    ),
    "dedup-passes-late-id": _dedup_passes_late,
    "dedup-in-foreach-batch-remembers": _dedup_in_foreach_batch,
    "complete-drops-late": _complete_drops_late,
    "shuffle-partitions-change": _shuffle_partitions,
    "window-length-change-refused": _change(_windows, lambda stream: _windows(stream, "20 seconds")),
    "aggregate-swap-refused": _change(_keyed(lambda: sf.sum("v").alias("x")), _keyed(lambda: sf.max("v").alias("x"))),
    "aggregate-added-refused": _change(_keyed(lambda: sf.sum("v").alias("x")), _more_aggregates),
    "column-rename-refused": _change(_keyed(lambda: sf.sum("v").alias("x")), _keyed(lambda: sf.sum("v").alias("y"))),
    "name-change-reprocesses": _name_change,
    "batch-ids-restart": _batch_ids,
    "checkpoint-location-required": _location_required,
    "checkpoint-has-progress": _checkpoint_tree,
    "stop-waits": _stop_waits,
    "second-run-stops-first": _second_run,
    "once-closes-windows": _closes(once=True),
    "available-now-closes-windows": _closes(availableNow=True),
    "processing-time-closes-windows": _closes_running,
    "once-keeps-rate-limit": _keeps_limit(once=True),
    "available-now-keeps-rate-limit": _keeps_limit(availableNow=True),
    "trigger-change-reprocesses": _trigger_change,
    "adaptive-stateful": _adaptive(lambda stream: stream.frame("").groupBy("k").count()),
    "adaptive-stateless": _adaptive(lambda stream: stream.frame("").repartition(2, "k")),
    "progress-has-scheduling-delay": _reported("schedulingDelay", "totalDelay", "processingDelay"),
    "progress-has-observed-watermark": _reported("observedWatermark"),
    "udf-time-stops-watermark": _udf_time,
    "malformed-json-is-null": _true(f"{_JSON} is null", _JSON),
    "corrupt-column-by-itself": _taken(f"{_JSON}._corrupt_record"),
    "from-json-dropmalformed": _taken("from_json('{\"a\":', 'a int', map('mode', 'DROPMALFORMED'))"),
    "bad-cast-is-null": _bad_cast,
    "from-unixtime-keeps-millis": _true(
        "date_format(from_unixtime(1767225600123 div 1000), 'SSS') = '123'", "from_unixtime(1767225600123 div 1000)"
    ),
    "slice-takes-binary": _taken("slice(unhex('0001020304'), 2, 3)"),
    "filters-cover-all": _filters,
    "python-has-map-groups": _has(GroupedData, "mapGroupsWithState"),
    "python-has-flat-map-groups": _has(GroupedData, "flatMapGroupsWithState"),
    "python-has-transform-with-state": _has(GroupedData, "transformWithState"),
    "testing-has-memory-stream": _has(importlib.import_module("pyspark.testing"), "MemoryStream"),
    "avro-included": _avro,
    "setting-state-retention": _setting("spark.sql.streaming.stateRetentionDuration"),
    "setting-adaptive-join": _setting("spark.sql.adaptive.join.enabled"),
    "setting-multiple-watermark-policy": _setting("spark.sql.streaming.multipleWatermarkPolicy"),
}


def find(name: str, spark: SparkSession, folder: Path) -> Found:
    """Answer one question. Raises what pyspark raises where the answer does not rest on it."""
    return FACTS[name](Stream(spark, folder))
