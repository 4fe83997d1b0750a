"""The program in the probing child: one JVM that is asked one combination after another."""

from __future__ import annotations

import json
import logging
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.errors.exceptions.captured import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.streaming import DataStreamWriter, StreamingQuery

from engines.spark import probe_facts
from engines.spark.checkpoint import Checkpoint, Journal
from engines.spark.probe_frames import ROWS, acted, frame_of, source, ticking, tumbling
from engines.spark.probes import FACTS
from engines.spark.worker import Worker, main

_WITHIN_S = 60
"""A batch of four rows takes half a second, several at once on a busy machine ten."""
_POLL_S = 0.1
_LONGEST = 200
"""Characters of a refusal that are kept."""
_SHAPES: dict[str, Callable[[DataFrame], DataFrame]] = {
    "pass": lambda f: f,
    "by key": lambda f: f.groupBy("k").count(),
    "tumbling window": lambda f: tumbling(f.withWatermark("t", "1 second")),
    "dropDuplicates key": lambda f: f.dropDuplicates(["k"]),
}


@dataclass(slots=True)
class _Refused(Exception):
    """The running query died."""

    error: str
    message: str


class ProbeWorker(Worker):
    """Answers `probe` beside `open` and `stop`."""

    def probe(self, area: str, operator: str, form: str, watermark: str, mode: str) -> dict[str, Any]:
        """Return the fields of an `Answer`."""
        spark = self._spark.newSession()
        with tempfile.TemporaryDirectory(dir=self._spark.conf.get("spark.local.dir")) as folder:
            asked = _Asked(spark, Path(folder), operator, form, mode)
            if area == FACTS:
                yes, saw = probe_facts.find(operator, spark, Path(folder))
                return {"yes": yes, "saw": saw}
            try:
                match area:
                    case "action":
                        acted(operator, source(spark))
                    case "sink":
                        asked.into()
                    case "trigger":
                        asked.triggered()
                    case _:
                        asked.run(frame_of(spark, area, operator, form, watermark))
            except _Refused as refused:
                return {"yes": False, "when": "run", "error": refused.error, "saw": refused.message}
            except PySparkException as error:
                condition = error.getCondition() or type(error).__name__
                return {"yes": False, "when": "start", "error": condition, "saw": _first(str(error))}
        return {"yes": True}


@dataclass(slots=True)
class _Asked:
    """One combination on its way to a query."""

    spark: SparkSession
    folder: Path
    operator: str
    form: str
    mode: str

    def run(self, frame: DataFrame) -> None:
        """Run the frame to its end into nothing."""
        self._finish(self._writer(frame).format("noop").trigger(availableNow=True))

    def into(self) -> None:
        """Run windowed counts, which know every output mode, into the sink."""
        writer = self._writer(tumbling(source(self.spark, marked=True))).trigger(availableNow=True)
        match self.operator:
            case "foreach":
                writer = writer.foreach(lambda _row: None)
            case "foreachBatch":
                writer = writer.foreachBatch(lambda frame, _batch: frame.count())
            case "memory":
                writer = writer.format("memory").queryName(f"t{abs(hash(self.folder))}")
            case sink:
                writer = writer.format(sink).option("path", str(self.folder / "out"))
        self._finish(writer)

    def triggered(self) -> None:
        """Run a query shape under the trigger until it has worked, or refused to."""
        shape = _SHAPES[self.form]
        match self.operator:
            case "continuous":
                query = self._writer(shape(ticking(self.spark))).format("noop").trigger(continuous="1 second").start()
                self._until_commit(query)
            case "realTime":
                frame = self._low_latency()
                query = self._writer(shape(frame)).format("console").trigger(realTime="5 seconds").start()
                self._until_commit(query)
            case "processingTime":
                query = (
                    self._writer(shape(source(self.spark))).format("noop").trigger(processingTime="1 second").start()
                )
                self._until_commit(query)
            case trigger:
                self._finish(self._writer(shape(source(self.spark))).format("noop").trigger(**{trigger: True}))

    def _writer(self, frame: DataFrame) -> DataStreamWriter:
        writer: DataStreamWriter = frame.writeStream.outputMode(self.mode)
        return writer.option("checkpointLocation", str(self.folder / "checkpoint"))

    def _finish(self, writer: DataStreamWriter) -> None:
        query = writer.start()
        try:
            if not query.awaitTermination(_WITHIN_S):
                raise TimeoutError(f"The query runs on after {_WITHIN_S} s.")
        except StreamingQueryException:
            raise _died(query) from None
        finally:
            query.stop()

    def _until_commit(self, query: StreamingQuery) -> None:
        """Wait for the first commit of a query that does not end; continuous ones report no progress."""
        commits = Checkpoint(self.folder / "checkpoint")
        deadline = time.monotonic() + _WITHIN_S
        try:
            while commits.last(Journal.COMMITTED) < 0:
                if query.awaitTermination(_POLL_S):
                    raise TimeoutError("The query ended before its first commit.")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"The query has committed nothing in {_WITHIN_S} s.")
        except StreamingQueryException:
            raise _died(query) from None
        finally:
            query.stop()

    def _low_latency(self) -> DataFrame:
        """Return the same columns from the memory stream with which Spark tests the real-time trigger."""
        jvm = self.spark._jvm
        sources = jvm.org.apache.spark.sql.execution.streaming.sources
        module = getattr(getattr(sources, "LowLatencyMemoryStream$"), "MODULE$")
        stream = module.apply(self.spark._jsparkSession, 1, jvm.org.apache.spark.sql.Encoders.STRING())
        lines = jvm.java.util.ArrayList()
        for n in range(ROWS):
            lines.add(json.dumps({"k": str(n % 2), "t": f"2026-01-01T00:00:0{n}Z", "v": n}))
        stream.addData(jvm.scala.jdk.javaapi.CollectionConverters.asScala(lines).toSeq())
        parsed = DataFrame(stream.toDF(), self.spark).select(
            sf.from_json("value", "k string, t timestamp, v long").alias("e")
        )
        return parsed.select("e.*")


def _died(query: StreamingQuery) -> _Refused:
    """Return why a query died: the deepest cause that has a condition, or else the deepest cause."""
    cause = query._jsq.exception().get().cause()
    error, message = "", ""
    while cause is not None:
        condition = _condition(cause)
        if condition or not error:
            error, message = condition or cause.getClass().getSimpleName(), cause.getMessage() or ""
        cause = cause.getCause()
    return _Refused(error, _first(message))


def _condition(cause: Any) -> str:
    try:
        return cause.getCondition() or ""
    except Py4JError:  # It is no SparkThrowable.
        return ""


def _first(message: str) -> str:
    """Return the first line, without its condition and its state, and without the numbers of columns."""
    line = re.sub(r"^\[[\w.]+\] ", "", message.partition("\n")[0]).rstrip("; ")
    line = re.sub(r"#\d+L?(-T\d+ms)?", "", re.sub(r" SQLSTATE: \w+$", "", line)).rstrip(". ")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST].rstrip()} ..."


if __name__ == "__main__":
    # Half of what is asked is refused: PySpark would write every refusal's stack to the log, 20 kB a line.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    main(ProbeWorker())
