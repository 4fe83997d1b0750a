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
import os
import sys
import time
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
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


@dataclass(frozen=True, slots=True)
class Packed:
    """Messages end to end in one block of memory. Separate objects would take three times as much."""

    data: bytes
    bounds: array[int]
    """Start of the first key, then the ends of each message's key and value."""
    stamps: array[int]
    """Milliseconds."""

    def __len__(self) -> int:
        return len(self.stamps)

    def at(self, number: int) -> tuple[bytes, bytes, int]:
        """Return a message's key, value and timestamp in milliseconds."""
        start, middle, end = self.bounds[2 * number : 2 * number + 3]
        return self.data[start:middle], self.data[middle:end], self.stamps[number]


def prepare(work: Scenario, events: Iterable[Event], seed: int) -> Packed:
    """Return the events as they will lie on the log, each padded to the scenario's size."""
    longest, random, pads = work.event_bytes, work.padding(seed), b""
    data, bounds, stamps = BytesIO(), array("q", [0]), array("q")
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
        for part in (key, value):
            bounds.append(bounds[-1] + data.write(part))
        stamps.append(message.timestamp_ms or 0)
    return Packed(data.getvalue(), bounds, stamps)


@dataclass(slots=True)
class Unsure:
    """Events that the broker did not acknowledge, counted by key. Called for failed deliveries alone."""

    events: dict[str, int] = field(default_factory=dict)

    def note(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            return
        key = message.key()
        name = key.decode() if isinstance(key, bytes) else str(key)
        self.events[name] = self.events.get(name, 0) + 1


def send(
    producer: Producer, topic: str, messages: Packed, due_ns: NDArray[np.int64], start_ns: int
) -> NDArray[np.int64]:
    """Send everything on schedule; return when each event was handed to the client."""
    count = len(messages)
    sent = np.zeros(count, dtype=np.int64)
    # Per event: two slices, one call, one look at the clock. All names are local.
    data, bounds, noted, due = messages.data, messages.bounds, sent.data, due_ns.data
    clock, produce = time.monotonic_ns, producer.produce
    upcoming = zip(range(count), bounds[1::2], bounds[2::2], messages.stamps, strict=True)
    done = start = 0
    while done < count:
        ready = bisect_right(due, clock() - start_ns, done)
        for number, middle, end, stamp in islice(upcoming, ready - done):
            while True:
                noted[number] = clock() - start_ns
                try:
                    produce(topic, data[middle:end], data[start:middle], timestamp=stamp)
                    break
                except BufferError:
                    producer.poll(0.001)  # The client's queue is full: the broker lags. The slip will show it.
            start = end
        done = ready
        producer.poll(0)
        ahead = TICK_NS - (clock() - start_ns) % TICK_NS
        time.sleep(ahead / 1e9)
    drain(producer)
    return sent


def drain(producer: Producer, within_s: float = FLUSH_S) -> None:
    """Wait until every event is acknowledged. Give up the rest, so that each is reported as failed."""
    if producer.flush(within_s):
        producer.purge()
        producer.flush(FLUSH_S)


def flush(producer: Producer, task: Task, input: str, time_us: int) -> None:
    """Send an event of our own into every partition, to close the windows there."""
    for partition in range(task.partitions):
        message = encode_event(sentinel(input, partition, time_us))
        producer.produce(task.topic, message.value, message.key, partition, timestamp=message.timestamp_ms or 0)
    drain(producer)


def connect(bootstrap: str, unsure: Unsure) -> Producer:
    """Return the generator's producer, which reports failed deliveries to `unsure`."""
    config = Link(bootstrap).config(
        acks="all",
        enable_idempotence="true",  # Else a retry could put an event on the log twice, or out of order.
        # The default of librdkafka, and of Kafka's own producer since 4.0. With 1 ms the median is 2.5 ms lower, but at
        # 20,000/s half of the requests' cost falls on generator and broker for nothing, and p99 rises.
        linger_ms=5,
        partitioner="murmur2",  # As Java clients and Kafka Streams place keys; null keys go to one partition.
        queue_buffering_max_messages=1_000_000,
        delivery_timeout_ms=int(FLUSH_S * 1000),
    )
    # A call of ours for each acknowledged event would cost more than the event itself.
    return Producer({**config, "on_delivery": unsure.note, "delivery.report.only.error": True})


def prefer() -> bool:
    """Run this thread before all other processes, where the system permits it; return whether it does.

    The generator stands for producers on other machines, which never wait for a core of this one. Without it, three
    busy processes on two cores made it 14 to 63 ms late. Not the client's threads: they would starve the broker.
    """
    if sys.platform != "linux":
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_min(os.SCHED_FIFO)))
    except OSError:
        return False
    return True


def main(argument: str) -> None:
    """Prepare, say so, wait for the word, send, answer."""
    task = msgspec.json.decode(argument, type=Task)
    work = scenario(task.scenario)
    due = intended_ns(task.count, task.rate)
    watch, unsure = Watch(), Unsure()
    messages = prepare(work, watch.over(work.generate(task.seed, due_us(due))), task.seed)
    producer = connect(task.bootstrap, unsure)
    try:
        producer.list_topics(task.topic, timeout=10)
    except KafkaException as error:
        sys.exit(f"The generator cannot reach the broker: {error}")
    gc.collect()
    gc.freeze()
    gc.disable()  # A collection would stall the schedule.
    _say({"ready": {"preferred": prefer()}})
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        if request["do"] == "flush":
            flush(producer, task, work.input.name, flush_us(work, watch.highest_us))
        else:
            np.save(Path(task.sent), send(producer, task.topic, messages, due, request["start_ns"]))
        result = Sent(unsure=unsure.events, digest=watch.digest)
        _say({"id": request["id"], "ok": msgspec.to_builtins(result, str_keys=True)})


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
