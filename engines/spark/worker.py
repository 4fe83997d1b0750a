"""The program in the child process: owns the JVM, runs every job as a streaming query, answers requests.

Requests and answers are JSON lines (`engines/process.py`). Each request has a thread of its own, because waiting for a
query blocks; the work itself is in the JVM.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.errors.exceptions.captured import AnalysisException, StreamingQueryException
from pyspark.sql import SparkSession

from engines.codec import from_json
from engines.spark.compile import output_mode, sink_frame
from engines.spark.gate import Gate
from engines.spark.progress import told
from engines.spark.sinks import sink_of
from engines.spark.state import live
from engines.spark.variants import SinkKind, table_of
from semantics.timeline import CrashPoint

_STARTERS = 4
"""Threads that start queries: two fill two cores, the others wait for Kafka meanwhile."""


@dataclass(slots=True)
class _Query:
    """A running job. `counted`: the last batch whose dropped rows were told."""

    stream: Any
    checkpoint: Path
    counted: int = -1


class Worker:
    """The verbs of the protocol; each returns what goes into the answer."""

    def __init__(self) -> None:
        self._spark: Any = None
        self._queries: dict[str, _Query] = {}
        self._failed: dict[str, str] = {}
        """Jobs that Spark could not start, and why; not for what they are, which is a refusal."""
        self._gate = Gate()

    def open(self, conf: Mapping[str, str]) -> dict[str, Any]:
        """Start the JVM with these settings."""
        builder = SparkSession.builder.appName("weir")
        for name, value in conf.items():
            builder = builder.config(name, value)
        self._spark = builder.getOrCreate()
        return {"jvm": self._spark._jvm.java.lang.ProcessHandle.current().pid()}

    def start(
        self, bootstrap: str, source: dict[str, str], sink: str, strict: bool, jobs: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Start all jobs; tell of the first one that Spark refuses. `source`: options of the Kafka source."""

        def begin(job: Mapping[str, Any]) -> dict[str, str] | None:
            return self._start(bootstrap, source, SinkKind(sink), strict, job)

        with ThreadPoolExecutor(_STARTERS) as pool:
            refusals = [refusal for refusal in pool.map(begin, jobs) if refusal]
        return {"refused": refusals[0] if refusals else None}

    def _start(
        self, bootstrap: str, source: dict[str, str], kind: SinkKind, strict: bool, job: Mapping[str, Any]
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
            self._queries[name] = _Query(writer.queryName(name).start(), checkpoint)
        except AnalysisException as error:
            condition = error.getCondition() or type(error).__name__
            return {"job": job["name"], "error": condition, "message": str(error).partition("\n")[0]}
        except (PySparkException, Py4JJavaError) as error:
            # One bad checkpoint must not take the other jobs down.
            self._failed[name] = str(error.java_exception if isinstance(error, Py4JJavaError) else error)
        return None

    def drain(self, job: str) -> dict[str, Any]:
        """Wait until the job has processed what there is, the no-data batch included; tell of it."""
        if job in self._failed:
            return {"failed": self._failed[job]}
        query = self._queries[job]
        try:
            query.stream.processAllAvailable()
        except StreamingQueryException as error:
            if self._spark.sparkContext._jsc.sc().isStopped():
                raise  # Not this job failed, but Spark.
            return {"failed": str(error).partition("\n=== Streaming Query ===")[0]}
        now = told([json.loads(report.json) for report in query.stream.recentProgress], since=query.counted)
        query.counted = now.last
        rows = live(self._spark, query.checkpoint)[0] if now.rows is None else now.rows
        return {"late": now.late, "duplicates": now.duplicates, "dead": now.dead, "rows": rows}

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
            list(pool.map(lambda query: query.stream.stop(), self._queries.values()))
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
