"""A memory stream and queries on it, step by step, for `probe_facts.py`. Runs in the child: it imports pyspark.

The memory stream is that of Spark's own tests, because a fact needs exact batches; it is reached through the gateway,
as PySpark has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

START_S = 1_767_225_600
"""2026-01-01T00:00:00Z: watermarks start at 1970."""


@dataclass(slots=True)
class Stream:
    """A memory stream of k, i, v, t (seconds from a start), and queries on it with one checkpoint."""

    spark: SparkSession
    folder: Path
    _feed: Any = field(init=False)

    def __post_init__(self) -> None:
        jvm = self.spark._jvm
        module = getattr(getattr(jvm.org.apache.spark.sql.execution.streaming.runtime, "MemoryStream$"), "MODULE$")
        self._feed = module.apply(self.spark._jsparkSession, 1, jvm.org.apache.spark.sql.Encoders.STRING())

    def frame(self, delay: str = "0 seconds") -> DataFrame:
        """Return the stream behind a watermark; without one if `delay` is empty."""
        raw = DataFrame(self._feed.toDF(), self.spark)
        events = raw.select(sf.from_json("value", "k string, i string, v long, t double").alias("e")).select("e.*")
        timed = events.withColumn("t", sf.timestamp_seconds(sf.col("t") + START_S))
        return timed.withWatermark("t", delay) if delay else timed

    def add(self, *times: float, i: str = "") -> None:
        """Append events of key a at these seconds, each with its time as id unless told, and value 1, as one batch."""
        lines = self.spark._jvm.java.util.ArrayList()
        for t in times:
            lines.add(json.dumps({"k": "a", "i": i or str(t), "v": 1, "t": t}))
        self._feed.addData(self.spark._jvm.scala.jdk.javaapi.CollectionConverters.asScala(lines).toSeq())

    def start(
        self, frame: DataFrame, mode: str = "update", trigger: Mapping[str, Any] | None = None, **options: str
    ) -> Any:
        """Start a query into nothing, on the folder's checkpoint."""
        writer = frame.writeStream.format("noop").outputMode(mode).options(**options)
        writer = writer if trigger is None else writer.trigger(**trigger)
        return writer.option("checkpointLocation", str(self.folder / "checkpoint")).start()

    def play(self, frame: DataFrame, *batches: tuple[float, ...], mode: str = "update") -> list[dict[str, Any]]:
        """Run the frame over these batches, each to its end; return the reports of the batches that were run."""
        query = self.start(frame, mode)
        try:
            for batch in batches:
                self.add(*batch)
                query.processAllAvailable()
            return batch_reports(query)
        finally:
            query.stop()

    def once(self, frame: DataFrame, **trigger: Any) -> int:
        """Run the frame under a trigger that ends by itself; return how many rows came out."""
        query = self.start(frame, "append", trigger)
        query.awaitTermination()
        return sum(map(rows_out, batch_reports(query)))


def batch_reports(query: Any) -> list[dict[str, Any]]:
    """Return the reports of batches; those of idling say nothing."""
    reports = [json.loads(report.json) for report in query.recentProgress]
    return [report for report in reports if "addBatch" in report["durationMs"]]


def rows_out(report: dict[str, Any]) -> int:
    """Return how many rows a batch gave out."""
    return int(report["sink"]["numOutputRows"])


def state_rows(report: dict[str, Any]) -> int:
    """Return how many rows of state there were after a batch."""
    return sum(int(operator["numRowsTotal"]) for operator in report["stateOperators"])


def dropped(reports: list[dict[str, Any]]) -> int:
    """Return how many rows these batches dropped as late."""
    return sum(
        int(operator["numRowsDroppedByWatermark"]) for report in reports for operator in report["stateOperators"]
    )


def listed(values: Any) -> str:
    """Return values in a line."""
    return ", ".join(map(str, values))
