"""The log on a real Kafka broker: whole batches in, exact ranges out. The harness's side only; engines have their own.

Input is appended so that no engine can see a part of a step: one produce batch a partition. The offsets come from the
delivery reports, so the end of input is known and never guessed.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from confluent_kafka import IsolationLevel, KafkaError, Producer, TopicCollection, TopicPartition
from confluent_kafka import Message as Delivered
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]

from engines.broker.link import Link, NotLedYet, coordinates
from engines.broker.reader import Reader
from engines.contract import Message, Place
from engines.errors import BrokerRefused, BrokerUnavailable, Deadline, EngineFailed
from semantics.errors import InvalidTimeline

WITHIN = timedelta(seconds=30)
"""For any one request: answers take milliseconds, a transaction's markers some ten; a loaded machine stalls for a
second or two. Above 30 s something is broken."""
LINGER = timedelta(seconds=60)
"""How long the client would wait for more records before it sends what it has; `flush` sends at once. So nothing leaves
before the flush, as long as a step is queued in less than this."""
BATCH_BYTES = 900_000
"""The most that surely fits one produce batch: brokers take 1 MiB by default, overheads included."""
_OVERHEAD_BYTES = 64
_LONGEST = str(2**63 - 1)
TOPIC_SETTINGS = {
    "retention.ms": "-1",
    # Scripts carry event times far from now; by default a broker refuses more than an hour ahead.
    "message.timestamp.before.max.ms": _LONGEST,
    "message.timestamp.after.max.ms": _LONGEST,
}


class KafkaLog:
    """A `Log` over one cluster. A context manager: leaving it deletes the topics that it created, and no others.

    `prefix` is what the caller puts before the names of its topics, so that runs on a shared cluster do not collide.
    """

    def __init__(self, bootstrap: str, prefix: str = "") -> None:
        self.prefix = prefix
        self._link = Link(bootstrap)
        self._admin = AdminClient(self._link.config())
        self._created: dict[str, None] = {}
        self._appending = threading.Lock()
        self._producer: Producer | None = None
        self._known: set[str] = set()
        self._readers: dict[bool, Reader] = {}
        self._opening = threading.Lock()

    @property
    def bootstrap(self) -> str:
        """HOST:PORT of the broker."""
        return self._link.bootstrap

    def create(
        self,
        topics: Mapping[str, int],
        *,
        compact: bool = False,
        settings: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Create topics in one request, and return when every partition of them has a leader.

        Raises `BrokerRefused` if one exists, `BrokerUnavailable`, `Deadline`.
        """
        common = TOPIC_SETTINGS | ({"cleanup.policy": "compact"} if compact else {})
        asked = [
            NewTopic(name, count, config={**common, **(settings or {}).get(name, {})}) for name, count in topics.items()
        ]
        refused: list[BrokerRefused] = []
        for name, future in self._admin.create_topics(asked).items():
            try:
                self._link.result(future, WITHIN, f"topic {name} to be created")
                self._created[name] = None
            except BrokerRefused as error:
                refused.append(error)  # The others were created all the same, and must go in the end.
        if refused:
            raise refused[0]
        self._await_leaders(tuple(topics))

    def append(self, batches: Mapping[Place, Sequence[Message]]) -> Mapping[Place, int]:
        """Append each partition's messages as one produce batch; return the offset after its last one.

        Raises `InvalidTimeline` if one does not fit a batch, `BrokerRefused`, `BrokerUnavailable`, `Deadline`.
        """
        wanted = {place: messages for place, messages in batches.items() if messages}
        for place, messages in wanted.items():
            _fits_one_batch(place, messages)
        if not wanted:
            return {}
        with self._appending:
            try:
                return self._append(wanted)
            except BaseException:
                # What is still queued in it must not go out with a later step.
                self._producer = None
                raise

    def ends(self, places: Sequence[Place], *, committed: bool = True) -> Mapping[Place, int]:
        """Return each partition's last stable offset, or its high watermark if not `committed`; one request."""
        if not places:
            return {}
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(*place): latest for place in places}
        says = "the ends of partitions"
        for _ in self._link.slices(WITHIN, says):
            answers = self._admin.list_offsets(asked, isolation_level=level)
            # A broker names the leader of a new partition before that leader answers.
            with contextlib.suppress(NotLedYet):
                return {
                    (at.topic, at.partition): self._link.result(future, WITHIN, says).offset
                    for at, future in answers.items()
                }
        raise AssertionError("slices end by raising")

    def read(
        self, ranges: Mapping[Place, tuple[int, int]], *, committed: bool = True, within: timedelta = WITHIN
    ) -> Mapping[Place, Sequence[Message]]:
        """Return the messages with first <= offset < end of each partition, waiting until the log has come so far."""
        with self._opening:
            if committed not in self._readers:
                self._readers[committed] = Reader(self._link, committed=committed)
        return self._readers[committed].read(ranges, within)

    def close(self) -> None:
        """Delete the topics that this log created. Raises `BrokerUnavailable` or `BrokerRefused` if one is left."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
        self._producer = None
        if self._created:
            futures = self._admin.delete_topics(list(self._created))
            self._created.clear()
            for name, future in futures.items():
                self._link.result(future, WITHIN, f"topic {name} to be deleted")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        with contextlib.suppress(BrokerUnavailable, BrokerRefused, Deadline):  # The first error tells more.
            self.close()

    def _append(self, batches: Mapping[Place, Sequence[Message]]) -> Mapping[Place, int]:
        offsets: dict[Place, list[int]] = {place: [] for place in batches}
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, message: Delivered) -> None:
            if error is not None:
                failed.append(error)
            else:
                place, offset = coordinates(message)
                offsets[place].append(offset)

        producer = self._open_producer()
        started = time.monotonic()
        with self._link.refusals("records"):
            for (topic, partition), messages in batches.items():
                for message in messages:
                    producer.produce(
                        topic,
                        message.value,
                        message.key,
                        partition,
                        on_delivery=delivered,
                        timestamp=message.timestamp_ms or 0,
                        headers=list(message.headers),
                    )
        # Records of an unknown topic wait aside, and are moved into their partition one by one when its leader is
        # known: were the flush on by then, the sender could take a part of them.
        topics = {topic for topic, _ in batches}
        self._link.learn(producer, topics - self._known, WITHIN)
        self._known |= topics
        took = time.monotonic() - started
        if took > LINGER.total_seconds() / 2:
            raise EngineFailed(
                f"A step took {took:.0f} s to queue, so it may have been cut. Is this machine overloaded?"
            )
        for seconds in self._link.slices(WITHIN, f"{len(producer)} records to be appended"):
            if not producer.flush(seconds):
                break
        if failed:
            raise self._link.refusal(failed[0], "a record")
        ends = {}
        for place, seen in offsets.items():
            if len(seen) != len(batches[place]) or seen != list(range(seen[0], seen[0] + len(seen))):
                raise EngineFailed(f"{place} was appended at offsets {seen}: someone else writes into this topic.")
            ends[place] = seen[-1] + 1
        return ends

    def _open_producer(self) -> Producer:
        if self._producer is None:
            self._known.clear()
            self._producer = Producer(
                self._link.config(
                    enable_idempotence="true",
                    linger_ms=int(LINGER.total_seconds() * 1000),
                    batch_num_messages=1_000_000,
                    batch_size=1_000_000,
                    queue_buffering_max_messages=0,
                )
            )
        return self._producer

    def _await_leaders(self, topics: Sequence[str]) -> None:
        for _ in self._link.slices(WITHIN, f"{len(topics)} topics to have leaders"):
            futures = self._admin.describe_topics(TopicCollection(list(topics)))
            try:
                found = self._link.results(futures, WITHIN, "the new topics")
            except BrokerRefused:
                continue  # Created by the controller, not yet known to the broker.
            if all(partition.leader for topic in found for partition in topic.partitions):
                return


def _fits_one_batch(place: Place, messages: Sequence[Message]) -> None:
    size = sum(len(message.key or b"") + len(message.value or b"") + _OVERHEAD_BYTES for message in messages)
    if size > BATCH_BYTES:
        raise InvalidTimeline(
            f"{len(messages)} events of {size} bytes in one step go into {place[0]}/{place[1]}, but a produce batch"
            f" holds {BATCH_BYTES}: split the step."
        )
