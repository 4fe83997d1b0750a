"""The generator: a process that sends prepared events on schedule and never waits for anybody.

Event `seq` is due at start + seq / rate, and is sent at the first tick (1 ms) after. How late it really went out is
recorded; latency is counted from when it was due, so that a generator held up hides nothing (an open loop).

It talks JSON lines (`engines.process.Child`): `{"do": "run", "start_ns": ...}` on the monotonic clock; then, to close
all windows, `{"do": "flush"}`.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from numpy.typing import NDArray

from bench.plan import due_us, intended_ns, scenario
from engines.broker.link import Link
from engines.wire import encode_event
from scenarios.scenario import Scenario
from scenarios.truth import flush_us
from semantics.timeline import Event, sentinel

TICK_NS = 1_000_000
FLUSH_S = 30.0
"""Above librdkafka's retries of a broker that comes back, below the bench's own patience."""
_PADDED_AT_ONCE = 10_000


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to send. Travels to the child as its one argument, in JSON."""

    bootstrap: str
    topic: str
    partitions: int
    scenario: str
    """Its name, or the file it is in."""
    seed: int
    rate: float
    count: int
    sent: str
    """The file to write: nanoseconds from the start at which each event was really sent, int64."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it."""

    ends: dict[int, int]
    """Partition -> the offset after the last acknowledged event."""
    unsure: dict[str, int]
    """Key -> how many of its events were never acknowledged."""
    digest: str
    """Of all events (`Watch`): whether who judges has the same ones before it."""


@dataclass(slots=True)
class Watch:
    """Looks at events as they go by: two who drew the same have the same digest."""

    highest_us: int = 0
    """The highest event time, as an offset from T0."""
    _hash: Any = field(default_factory=hashlib.sha256)

    def over(self, events: Iterable[Event]) -> Iterator[Event]:
        """Pass the events on."""
        for event in events:
            self._hash.update(repr((event.key, event.id, event.value, event.time_us)).encode())
            self.highest_us = max(self.highest_us, event.time_us or 0)
            yield event

    @property
    def digest(self) -> str:
        return str(self._hash.hexdigest())


@dataclass(slots=True)
class Packed:
    """Messages one behind the other in one piece of memory: as objects they would take three times as much."""

    _data: bytearray = field(default_factory=bytearray)
    _ends: array[int] = field(default_factory=lambda: array("q"))
    """Where each message's key ends, and where its value does."""
    _stamps: array[int] = field(default_factory=lambda: array("q"))
    """Milliseconds."""

    def append(self, key: bytes, value: bytes, timestamp_ms: int) -> None:
        for part in (key, value):
            self._data += part
            self._ends.append(len(self._data))
        self._stamps.append(timestamp_ms)

    def __len__(self) -> int:
        return len(self._stamps)

    def at(self, number: int) -> tuple[bytes, bytes, int]:
        """Return a message's key, value and timestamp in milliseconds."""
        start = self._ends[2 * number - 1] if number else 0
        middle, end = self._ends[2 * number], self._ends[2 * number + 1]
        return bytes(self._data[start:middle]), bytes(self._data[middle:end]), self._stamps[number]


def prepare(work: Scenario, events: Iterable[Event], seed: int) -> Packed:
    """Return the events as they will lie on the log, each padded to the scenario's size."""
    longest, random, pads = work.event_bytes, work.padding(seed), b""
    packed = Packed()
    for number, event in enumerate(events):
        message = encode_event(event)
        key, value = message.key, message.value
        assert key is not None
        assert value is not None
        if longest:
            start = number % _PADDED_AT_ONCE * longest
            if not start:
                pads = random.bytes(_PADDED_AT_ONCE * longest // 2 + longest).hex().encode()
            room = longest - len(value) - len(b',"pad":""')
            value = value[:-1] + b',"pad":"' + pads[start : start + max(room, 0)] + b'"}'
        packed.append(key, value, message.timestamp_ms or 0)
    return packed


@dataclass(slots=True)
class _Account:
    """What the broker said to each event."""

    ends: dict[int, int] = field(default_factory=dict)
    unsure: dict[str, int] = field(default_factory=dict)

    def note(self, error: KafkaError | None, message: Message) -> None:
        key, partition, offset = message.key(), message.partition(), message.offset()
        if error is None and partition is not None and offset is not None:
            self.ends[partition] = max(self.ends.get(partition, 0), offset + 1)
        else:
            name = key.decode() if isinstance(key, bytes) else str(key)
            self.unsure[name] = self.unsure.get(name, 0) + 1


def send(
    producer: Producer,
    topic: str,
    messages: Packed,
    due_ns: NDArray[np.int64],
    start_ns: int,
    account: _Account,
) -> NDArray[np.int64]:
    """Send everything on schedule; return when each event was handed to the client."""
    sent = np.zeros(len(messages), dtype=np.int64)
    due, at = due_ns.data, 0
    while at < len(messages):
        now = time.monotonic_ns() - start_ns
        while at < len(messages) and due[at] <= now:
            key, value, timestamp_ms = messages.at(at)
            sent[at] = time.monotonic_ns() - start_ns
            try:
                producer.produce(topic, value, key, on_delivery=account.note, timestamp=timestamp_ms)
            except BufferError:
                producer.poll(0.001)  # The client's queue is full: the broker lags. The slip will show it.
                continue
            at += 1
        producer.poll(0)
        ahead = TICK_NS - (time.monotonic_ns() - start_ns) % TICK_NS
        time.sleep(ahead / 1e9)
    producer.flush(FLUSH_S)
    return sent


def flush(producer: Producer, task: Task, input: str, time_us: int, account: _Account) -> None:
    """Send an event of our own into every partition, to close the windows there."""
    for partition in range(task.partitions):
        message = encode_event(sentinel(input, partition, time_us))
        producer.produce(
            task.topic,
            message.value,
            message.key,
            partition,
            on_delivery=account.note,
            timestamp=message.timestamp_ms or 0,
        )
    producer.flush(FLUSH_S)


def main(argument: str) -> None:
    """Prepare, say so, wait for the word, send, answer."""
    task = msgspec.json.decode(argument, type=Task)
    work = scenario(task.scenario)
    due = intended_ns(task.count, task.rate)
    watch, account = Watch(), _Account()
    messages = prepare(work, watch.over(work.generate(task.seed, due_us(due))), task.seed)
    config = Link(task.bootstrap).config(
        acks="all",
        enable_idempotence="true",  # Else a retry could put an event on the log twice, or out of order.
        linger_ms=1,
        partitioner="murmur2",  # As Java clients and Kafka Streams place keys; null keys go to one partition.
        queue_buffering_max_messages=1_000_000,
        delivery_timeout_ms=int(FLUSH_S * 1000),
    )
    producer = Producer(config)
    try:
        producer.list_topics(task.topic, timeout=10)
    except KafkaException as error:
        sys.exit(f"The generator cannot reach the broker: {error}")
    gc.collect()
    gc.freeze()
    gc.disable()  # A collection would stall the schedule.
    _say({"ready": {}})
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        if request["do"] == "flush":
            flush(producer, task, work.input.name, flush_us(work, watch.highest_us), account)
        else:
            np.save(Path(task.sent), send(producer, task.topic, messages, due, request["start_ns"], account))
        result = Sent(ends=account.ends, unsure=account.unsure, digest=watch.digest)
        _say({"id": request["id"], "ok": msgspec.to_builtins(result, str_keys=True)})


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
