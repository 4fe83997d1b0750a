"""Sinks of ours behind `foreachBatch`, each with what it promises. Spark's own Kafka sink needs none of this.

All write from the driver: the batch's results are collected there, and one transaction holds them all. From the
executors (`foreachPartition`) there would be a transaction a partition, so half a batch could be visible; a transaction
that several processes write and one commits is not to be had from Kafka's clients. The price is that the results of a
batch must fit into the driver: bound them with `maxOffsetsPerTrigger`.

A replay computes its batch again even if it will not be written: Spark commits state as the results are consumed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, assert_never

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from engines.spark.gate import Gate, Parked
from engines.spark.variants import SinkKind
from semantics.timeline import CrashPoint

_WITHIN_S = 30.0
"""For any one answer of the broker: milliseconds, and some ten to abort what a predecessor left open."""
_TRANSACTION_TIMEOUT_MS = 10_000
"""Above the longest write of a batch; without a successor, so long may a dead driver's open transaction hold readers
back."""


class Sink(Protocol):
    """What `foreachBatch` calls, for one query, one batch after the other."""

    def __call__(self, frame: Any, batch: int) -> None: ...


def sink_of(kind: SinkKind, gate: Gate, *, job: str, bootstrap: str, topic: str, table: Path) -> Sink:
    """Return the sink of one query."""
    match kind:
        case SinkKind.TRANSACTIONAL:
            return TransactionalSink(gate, job, bootstrap, topic)
        case SinkKind.FOLKLORE:
            return FolkloreSink(gate, job, bootstrap, topic)
        case SinkKind.UPSERT:
            return UpsertSink(gate, job, table)
        case SinkKind.NATIVE:
            raise AssertionError("Spark's own sink is no foreachBatch")
        case _:
            assert_never(kind)


class TransactionalSink:
    """Writes a batch and its token in one transaction; on a restart reads the token back, and writes no batch twice.

    The token is the position `batch + 1` of a consumer group that nobody consumes with, because Kafka commits positions
    and records together or not at all. The group carries the query's id, which lives and dies with its checkpoint: a
    query that begins anew begins with no token, rather than take another's and stay silent. The transactional.id is the
    job's: whoever opens it aborts what its predecessor left open, and fences it, should it still live. In this order:
    fence, then read the token; so nothing can be committed behind the reading.

    The token goes when the group is idle for the broker's `offsets.retention.minutes` (a week by default).
    """

    def __init__(self, gate: Gate, job: str, bootstrap: str, topic: str) -> None:
        self._gate, self._job, self._bootstrap, self._topic = gate, job, bootstrap, topic
        self._producer: Producer | None = None
        self._group: Any = None
        self._next = 0
        """The batch after the last one that is committed."""

    def __call__(self, frame: Any, batch: int) -> None:
        producer = self._producer or self._open(_lineage(frame))
        rows = frame.collect()
        if batch < self._next or not rows:
            return
        token = TopicPartition(self._topic, 0, batch + 1)

        def seal() -> None:
            producer.send_offsets_to_transaction([token], self._group, _WITHIN_S)

        _write(producer, rows, self._topic, gate=self._gate, job=self._job, batch=batch, seal=seal)
        self._next = batch + 1

    def _open(self, lineage: str) -> Producer:
        producer = _transactional(self._bootstrap, self._job)
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": f"{self._job}-{lineage}",
                "enable.auto.commit": False,
                # Also asks the coordinator for positions that no open transaction can still change.
                "isolation.level": "read_committed",
                "log_level": 2,
            }
        )
        (token,) = consumer.committed([TopicPartition(self._topic, 0)], _WITHIN_S)
        self._next = max(0, token.offset)  # Negative: there is none.
        self._group = consumer.consumer_group_metadata()
        consumer.close()
        self._producer = producer
        return producer


class FolkloreSink:
    """Writes each batch in a transaction of its own id, `job-batch`, as is often advised to make batches idempotent.

    It does not: a transactional.id tells the broker whom to fence, and it remembers nothing of what was committed under
    it. A batch that is replayed after its commit is committed again.
    """

    def __init__(self, gate: Gate, job: str, bootstrap: str, topic: str) -> None:
        self._gate, self._job, self._bootstrap, self._topic = gate, job, bootstrap, topic

    def __call__(self, frame: Any, batch: int) -> None:
        rows = frame.collect()
        if rows:
            producer = _transactional(self._bootstrap, f"{self._job}-{batch}")
            _write(producer, rows, self._topic, gate=self._gate, job=self._job, batch=batch, seal=lambda: None)


class UpsertSink:
    """Upserts rows by their key into a SQLite table, with the batch's number under the query's id beside them.

    An upsert alone is idempotent only as long as a replay brings the same values and none is older than what is there;
    the marker makes a replay a no-op, whatever it brings.
    """

    def __init__(self, gate: Gate, job: str, table: Path) -> None:
        self._gate, self._job, self._table = gate, job, table

    def __call__(self, frame: Any, batch: int) -> None:
        rows = frame.collect()
        lineage = _lineage(frame)
        with contextlib.closing(sqlite3.connect(self._table, isolation_level=None)) as base:
            base.execute("create table if not exists rows (key text primary key not null, value text not null)")
            base.execute("create table if not exists marker (lineage text primary key, batch integer not null)")
            base.execute("begin immediate")
            (last,) = base.execute("select max(batch) from marker where lineage = ?", (lineage,)).fetchone()
            if last is not None and batch <= last:
                return
            stand = _stand(self._gate, self._job, batch, len(rows))
            stand(CrashPoint.AFTER_PROCESS, 0)
            half = _half(self._gate, rows)
            base.executemany(_UPSERT, rows[:half])
            stand(CrashPoint.MID_SINK, half)
            base.executemany(_UPSERT, rows[half:])
            stand(CrashPoint.AFTER_SINK, len(rows))
            base.execute("insert or replace into marker values (?, ?)", (lineage, batch))
            base.execute("commit")
            stand(CrashPoint.AFTER_COMMIT, len(rows))


_UPSERT = "insert into rows values (?, ?) on conflict (key) do update set value = excluded.value"


def _lineage(frame: Any) -> str:
    """Return the query's id: it is kept in the checkpoint, so a new checkpoint has another."""
    lineage: str = frame.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
    return lineage


def _transactional(bootstrap: str, name: str) -> Producer:
    """Return a producer that has fenced every earlier one of this name, and aborted what it left open."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": name,
            "transaction.timeout.ms": _TRANSACTION_TIMEOUT_MS,
            # A key goes where Spark's own sink puts it.
            "partitioner": "murmur2_random",
            "linger.ms": 0,
            "queue.buffering.max.messages": 0,
            "log_level": 2,
        }
    )
    producer.init_transactions(_WITHIN_S)
    return producer


def _write(
    producer: Producer, rows: Sequence[Any], topic: str, *, gate: Gate, job: str, batch: int, seal: Callable[[], None]
) -> None:
    """Write rows of (key, value) in one transaction; `seal` adds to it what must be committed with them."""
    stand = _stand(gate, job, batch, len(rows))
    stand(CrashPoint.AFTER_PROCESS, 0)
    producer.begin_transaction()
    try:
        half = _half(gate, rows)
        _send(producer, topic, rows[:half])
        stand(CrashPoint.MID_SINK, half)
        _send(producer, topic, rows[half:])
        stand(CrashPoint.AFTER_SINK, len(rows))
        seal()
        producer.commit_transaction(_WITHIN_S)
    except BaseException:
        # The query dies of the first error; readers should not wait for the timeout of what it leaves open.
        with contextlib.suppress(KafkaException):
            producer.abort_transaction(_WITHIN_S)
        raise
    stand(CrashPoint.AFTER_COMMIT, len(rows))


def _send(producer: Producer, topic: str, rows: Sequence[Any]) -> None:
    """Write rows of (key, value) to the topic; or of (topic, key, value, headers), some of them dead letters."""
    if rows and "topic" in rows[0]:
        for row in rows:
            headers: dict[str, str | bytes | None] = {h.key: bytes(h.value) for h in row.headers or ()}
            producer.produce(row.topic, row.value, row.key, headers=headers)
    else:
        messages = [{"key": key, "value": value} for key, value in rows]
        if producer.produce_batch(topic, messages) < len(messages):
            raise BufferError(f"{topic}: not every row of the batch was taken: bound it with maxOffsetsPerTrigger.")
    if producer.flush(_WITHIN_S):
        raise TimeoutError(f"{topic}: the broker has not acknowledged the batch in {_WITHIN_S:g} s.")


def _half(gate: Gate, rows: Sequence[Any]) -> int:
    """Return how many rows go out before the middle: none, unless somebody wants to kill us there."""
    return len(rows) // 2 if gate.armed is CrashPoint.MID_SINK else 0


def _stand(gate: Gate, job: str, batch: int, rows: int) -> Callable[[CrashPoint, int], None]:
    def stand(point: CrashPoint, wrote: int) -> None:
        # Half of one row is none: such a batch has no middle.
        if rows and (wrote or point is not CrashPoint.MID_SINK):
            gate.at(point, Parked(job, batch, rows, wrote))

    return stand
