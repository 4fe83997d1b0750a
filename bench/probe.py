"""The probe: a process that reads the output as a user would (read_committed) and notes when each row came.

A process of its own, so that neither the harness nor an engine inside it can delay the clock. It understands nothing of
what it reads: rows are kept as they came, to be judged later. It talks JSON lines
(`engines.process.Child`): `{"do": "until", "ends": {partition: offset}, "within_s": ...}` answers when it has read so
far, or that it has not.
"""

from __future__ import annotations

import gc
import json
import queue
import sys
import threading
import time
from array import array
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from engines.broker.link import Link

ROWS = np.dtype([("received_ns", "i8"), ("partition", "i4"), ("offset", "i8"), ("size", "i8")])
"""One row read: monotonic nanoseconds when `poll` returned it; bytes of its value."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to read. Travels to the child as its one argument, in JSON."""

    bootstrap: str
    topic: str
    partitions: int
    rows: str
    """The file to write: an array of `ROWS`, in the order read."""
    values: str
    """The file to write: their values, one behind the other."""


def main(argument: str) -> None:
    """Read to the end of the empty topic, say so, read on until told where to stop, answer."""
    task = msgspec.json.decode(argument, type=Task)
    columns = {name: array("q") for name in ROWS.names or ()}
    values = bytearray()
    position = dict.fromkeys(range(task.partitions), -1)
    until: dict[int, int] | None = None
    deadline = 0.0
    request: dict[str, Any] = {}

    config = Link(task.bootstrap).config(
        group_id=f"{task.topic}-probe",  # Never joined, never committed: partitions are assigned by hand.
        enable_auto_commit="false",
        isolation_level="read_committed",
        auto_offset_reset="error",
        enable_partition_eof="true",  # Ends of transactions are no records; only this tells that they were read.
        fetch_min_bytes=1,
        fetch_wait_max_ms=5,
    )
    consumer = Consumer(config)
    consumer.assign([TopicPartition(task.topic, number, 0) for number in range(task.partitions)])
    requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), name="requests", daemon=True).start()
    gc.disable()  # Nothing here makes cycles.
    ready = False
    while True:
        message = consumer.poll(0.05)
        received = time.monotonic_ns()
        if not requests.empty():
            asked = requests.get()
            if asked is None:
                break
            request, until = asked, {int(number): end for number, end in asked["ends"].items()}
            deadline = time.monotonic() + asked["within_s"]
        if message is not None:
            error, partition, offset = message.error(), message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            if error is None:
                value = message.value() or b""
                assert isinstance(value, bytes)
                for name, cell in zip(columns, (received, partition, offset, len(value)), strict=True):
                    columns[name].append(cell)
                values += value
                position[partition] = offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                position[partition] = offset
            else:
                raise KafkaException(error)
        if not ready and min(position.values()) >= 0:
            ready = True
            _say({"ready": {}})
        reached = until is not None and all(position[number] >= end for number, end in until.items())
        if until is not None and (reached or time.monotonic() > deadline):
            rows = np.empty(len(columns["size"]), dtype=ROWS)
            for name, cells in columns.items():
                rows[name] = np.frombuffer(cells, dtype=np.int64)
            np.save(Path(task.rows), rows)
            Path(task.values).write_bytes(values)
            _say({"id": request["id"], "ok": {"reached": reached, "position": position}})
            until = None
    consumer.close()


def _listen(requests: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    requests.put(None)


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
