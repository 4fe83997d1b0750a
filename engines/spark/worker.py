"""The program in the child process: owns the JVM, runs every job as a streaming query, answers requests.

Requests and answers are JSON lines (`engines/process.py`). Each request has a thread of its own, because waiting for a
query blocks; the work itself is in the JVM.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.errors.exceptions.captured import AnalysisException, StreamingQueryException
from pyspark.sql import SparkSession

from engines.codec import from_json
from engines.spark.capability import ticks
from engines.spark.checkpoint import Checkpoint, Journal
from engines.spark.compile import output_mode, sink_frame
from engines.spark.gate import Gate
from engines.spark.progress import Told, told
from engines.spark.sinks import sink_of
from engines.spark.state import live
from engines.spark.variants import SinkKind, Trigger, table_of
from semantics.timeline import CrashPoint

_TICK = "400 milliseconds"
"""Between batches of a job that runs them for ever: a multiple of what an empty one takes."""
_LOOK_EVERY_S = 0.005
_STARTERS = 4
"""Threads that start queries: two fill two cores, the others wait for Kafka meanwhile."""


@dataclass(slots=True)
class _Query:
    """A job.

    `first`: the newest batch that was planned before it started. `ticks`: it runs batches without data for ever.
    `bounded`: it is run anew each time, and ends. `counted`: the last batch whose dropped rows were told.
    """

    writer: Any
    checkpoint: Path
    ticks: bool
    bounded: bool
    first: int = field(init=False)
    stream: Any = field(init=False)
    counted: int = -1
    rows: int | None = None
    """Of state, after the last batch of an earlier run."""
    _reports: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.first = Checkpoint(self.checkpoint).last(Journal.PLANNED)
        self.stream = self.writer.start()
        if self.bounded:
            # It takes up what another process has left. What it fails of, the next run will too, and say so.
            with contextlib.suppress(StreamingQueryException):
                self._ended()

    def _ended(self) -> None:
        """Wait until a run has ended, and note what it reports."""
        self.stream.awaitTermination()
        self._reports += self._recent()

    def _recent(self) -> list[Any]:
        # PySpark's own reading of a report fails where a rate is missing: that of a clock that stands still.
        return [json.loads(report.json()) for report in self.stream._jsq.recentProgress()]

    def told(self) -> Told:
        """Return what is new since it was last asked."""
        reports, self._reports = self._reports if self.bounded else self._recent(), []
        now = told(reports, since=self.counted)
        self.counted = now.last
        self.rows = now.rows if now.rows is not None else self.rows
        return now

    def drained(self, covered: bool) -> None:
        """Wait until there is nothing to do. `covered`: there is no input that was not committed already."""
        if self.bounded:
            self.stream = self.writer.start()
            self._ended()
            return
        log = Checkpoint(self.checkpoint)
        planned, committed = log.last(Journal.PLANNED), log.last(Journal.COMMITTED)
        # After a restart it runs no batch before there is input.
        if self.ticks and not (covered and planned == committed == self.first):
            # The batch that runs now may have begun before it was asked: the one after it has not.
            self.await_batch(planned + 2)
        else:
            self.stream.processAllAvailable()

    def await_batch(self, number: int) -> None:
        """Wait until a batch has been done and reported. Raises `StreamingQueryException`."""
        while self.stream.isActive:
            if self._done() >= number:
                return
            time.sleep(_LOOK_EVERY_S)
        if (error := self.stream.exception()) is not None:
            raise error

    def _done(self) -> int:
        """Return the newest batch that was done and reported in this run; -1 if none was."""
        last = self.stream._jsq.lastProgress()
        return int(last.batchId()) if last is not None and last.durationMs().containsKey("addBatch") else -1

    def stop(self) -> None:
        """Stop the query; one that runs batch after batch in a pause between two, so that none is done again."""
        if self.ticks and self.stream.isActive and self._done() >= 0:
            self.await_batch(self._done() + 1)
        self.stream.stop()


class Worker:
    """The verbs of the protocol; each returns what goes into the answer."""

    def __init__(self) -> None:
        self._spark: Any = None
        self._queries: dict[str, _Query] = {}
        self._failed: dict[str, str] = {}
        """Jobs that Spark could not start, and why; not for what they are, which is a refusal."""
        self._gate = Gate()
        self._clock: Any = None

    def open(self, conf: Mapping[str, str], now_ms: int | None = None) -> dict[str, Any]:
        """Start the JVM with these settings. `now_ms`: processing time, if it is told; None: it is the wall's."""
        builder = SparkSession.builder.appName("weir")
        for name, value in conf.items():
            builder = builder.config(name, value)
        self._spark = builder.getOrCreate()
        if now_ms is not None:
            self._clock = self._spark._jvm.org.apache.spark.sql.weir.Told.to(self._spark._jsparkSession, now_ms)
        return {"jvm": self._spark._jvm.java.lang.ProcessHandle.current().pid()}

    def start(
        self, bootstrap: str, source: dict[str, str], sink: str, strict: bool, trigger: str, jobs: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Start all jobs; tell of the first one that Spark refuses. `source`: options of the Kafka source."""

        def begin(job: Mapping[str, Any]) -> dict[str, str] | None:
            return self._start(bootstrap, source, SinkKind(sink), strict, Trigger(trigger), job)

        with ThreadPoolExecutor(_STARTERS) as pool:
            refusals = [refusal for refusal in pool.map(begin, jobs) if refusal]
        return {"refused": refusals[0] if refusals else None}

    def _start(
        self,
        bootstrap: str,
        source: dict[str, str],
        kind: SinkKind,
        strict: bool,
        trigger: Trigger,
        job: Mapping[str, Any],
    ) -> dict[str, str] | None:
        pipeline = from_json(job["pipeline"])
        name, topic, checkpoint = job["name"], job["output"], Path(job["checkpoint"])
        try:
            options = source | {"kafka.bootstrap.servers": bootstrap}
            topics = {"output": topic, "dead_letters": job["dead_letters"]}
            frame = sink_frame(self._spark, pipeline, job["inputs"], options, strict=strict, **topics)
            writer = frame.writeStream.option("checkpointLocation", str(checkpoint)).outputMode(output_mode(pipeline))
            if kind is SinkKind.NATIVE:
                writer = writer.format("kafka").option("kafka.bootstrap.servers", bootstrap)
                writer = writer if "topic" in frame.columns else writer.option("topic", topic)
            else:
                sink = sink_of(kind, self._gate, job=name, bootstrap=bootstrap, topic=topic, table=table_of(checkpoint))
                writer = writer.foreachBatch(sink)
            runs_on = ticks(pipeline)
            if runs_on:
                writer = writer.trigger(processingTime=_TICK)
            elif trigger is Trigger.AVAILABLE_NOW:
                writer = writer.trigger(availableNow=True)
            elif trigger is Trigger.ONCE:
                writer = writer.trigger(once=True)
            self._queries[name] = _Query(writer.queryName(name), checkpoint, runs_on, trigger.bounded)
        except AnalysisException as error:
            condition = error.getCondition() or type(error).__name__
            return {"job": job["name"], "error": condition, "message": str(error).partition("\n")[0]}
        except (PySparkException, Py4JJavaError) as error:
            # One bad checkpoint must not take the other jobs down.
            self._failed[name] = str(error.java_exception if isinstance(error, Py4JJavaError) else error)
        return None

    def drain(self, job: str, covered: bool) -> dict[str, Any]:
        """Wait until the job has processed what there is, the no-data batch included; tell of it."""
        if job in self._failed:
            return {"failed": self._failed[job]}
        query = self._queries[job]
        try:
            query.drained(covered)
        except StreamingQueryException as error:
            if self._spark.sparkContext._jsc.sc().isStopped():
                raise  # Not this job failed, but Spark.
            return {"failed": str(error).partition("\n=== Streaming Query ===")[0]}
        now = query.told()
        rows = live(self._spark, query.checkpoint)[0] if query.rows is None else query.rows
        return {"late": now.late, "duplicates": now.duplicates, "dead": now.dead, "rows": rows}

    def pass_time(self, ms: int) -> dict[str, Any]:
        """Let processing time pass, where it is told."""
        self._clock.forward(ms)
        return {}

    def state(self, job: str) -> dict[str, Any]:
        """Read the job's committed state back."""
        rows, size = live(self._spark, self._queries[job].checkpoint)
        return {"rows": rows, "live_bytes": size}

    def arm(self, point: str) -> dict[str, Any]:
        """Make the next batch of a sink of ours stand still at this point."""
        self._gate.armed = CrashPoint(point)
        return {}

    def reached(self) -> dict[str, Any]:
        """Wait until a batch stands still; tell which."""
        return asdict(self._gate.parked())

    def stop(self) -> dict[str, Any]:
        """Stop the queries and the JVM, and wait for both."""
        with ThreadPoolExecutor(_STARTERS) as pool:
            list(pool.map(_Query.stop, self._queries.values()))
        jvm = self._spark.sparkContext._gateway.proc
        self._spark.stop()
        jvm.stdin.close()
        jvm.wait()
        return {}


def serve(requests: IO[str], answers: IO[str], worker: Worker) -> None:
    """Answer every line of `requests` until they end, or until `stop` is answered."""
    lock = threading.Lock()

    def say(message: Mapping[str, Any]) -> None:
        with lock:
            print(json.dumps(message), file=answers, flush=True)

    def answer(number: int, do: str, fields: Mapping[str, Any]) -> None:
        try:
            say({"id": number, "ok": getattr(worker, do)(**fields)})
        except PySparkException as error:
            say({"id": number, "class": type(error).__name__, "error": str(error).partition("\n")[0]})
        except Exception as error:
            # Whatever it was, the one who asked must hear of it.
            say({"id": number, "class": type(error).__name__, "error": str(error)})

    say({"ready": {}})
    for line in requests:
        request = json.loads(line)
        number, do = request.pop("id"), request.pop("do")
        if do == "stop":
            # From here on we end by ourselves: a signal must not make that look like a death.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            answer(number, do, request)
            return
        threading.Thread(target=answer, args=(number, do, request), name=f"{do}-{number}", daemon=True).start()


def main(worker: Worker) -> None:
    """Serve on stdin and stdout until stopped or their end. The JVM and all libraries get stderr for both."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, answers, worker)
    # The JVM ends when our end of its pipe closes; threads that wait for a query must not hold us here.
    os._exit(0)


if __name__ == "__main__":
    main(Worker())
