"""The independent reader: what a consumer at one isolation level sees in exact ranges of offsets."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka import Message as Fetched

from engines.broker.link import Link, coordinates
from engines.contract import Message, Place
from engines.errors import Deadline

_AT_ONCE = 1000
"""Records taken from the client's queue in one call."""


class Reader:
    """One long-lived consumer, assigned by hand: no group, no commits. Safe for threads, one read at a time."""

    def __init__(self, link: Link, *, committed: bool) -> None:
        self._link = link
        self._lock = threading.Lock()
        config = link.config(
            group_id="weir-reader",  # The client wants a name; without subscription and commits it stays one.
            isolation_level="read_committed" if committed else "read_uncommitted",
            auto_offset_reset="error",
            enable_auto_commit="false",
            # How long the broker holds a fetch that finds nothing, so how late the end behind control records is
            # known. Nothing is fetched between reads, so a short hold costs nothing.
            fetch_wait_max_ms=10,
        )
        self._known: set[str] = set()
        self._consumer = Consumer({**config, "enable.partition.eof": True})

    def read(self, ranges: Mapping[Place, tuple[int, int]], within: timedelta) -> Mapping[Place, list[Message]]:
        """Return the records with first <= offset < end of each partition, once the log is seen to have come so far.

        A range may end in control records or aborted ones, which no consumer is given: then the position behind them
        counts, told by the end-of-partition event. Raises `BrokerUnavailable`, `BrokerRefused`, `Deadline`.
        """
        found: dict[Place, list[Message]] = {place: [] for place in ranges}
        positions = {place: first for place, (first, end) in ranges.items() if first < end}
        if not positions:
            return found
        with self._lock:
            # Left to itself, the client looks for the leaders of new topics only once a second.
            self._link.learn(self._consumer, {topic for topic, _ in positions} - self._known, within)
            self._known |= {topic for topic, _ in positions}
            self._consumer.assign([TopicPartition(*place, first) for place, first in positions.items()])
            try:
                for seconds in self._link.slices(within, f"{len(positions)} partitions to be read"):
                    while positions and (batch := self._take(seconds)):
                        for fetched in batch:
                            self._note(fetched, ranges, found, positions)
                    if not positions:
                        break
            except Deadline as error:
                (topic, partition), position = next(iter(positions.items()))
                end = ranges[topic, partition][1]
                raise Deadline(f"{error} {topic}/{partition} stands at {position}, not yet at {end}.") from None
            finally:
                self._consumer.unassign()
        return found

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def _take(self, seconds: float) -> list[Fetched]:
        if batch := self._consumer.consume(_AT_ONCE, 0):
            return batch
        one = self._consumer.poll(seconds)
        return [] if one is None else [one]

    def _note(
        self,
        fetched: Fetched,
        ranges: Mapping[Place, tuple[int, int]],
        found: Mapping[Place, list[Message]],
        positions: dict[Place, int],
    ) -> None:
        """Keep a record of its range, move its partition's position, and forget the partition once it is read."""
        error = fetched.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise self._link.refusal(error, f"reading {fetched.topic()}/{fetched.partition()}")
        place, offset = coordinates(fetched)
        end = ranges[place][1]
        if error is None:
            if offset < end:
                found[place].append(
                    Message(fetched.key(), fetched.value(), fetched.timestamp()[1], offset, _headers(fetched))
                )
            offset += 1
        if offset >= end:
            positions.pop(place, None)
        elif place in positions:
            positions[place] = offset


def _headers(fetched: Fetched) -> tuple[tuple[str, bytes], ...]:
    said = fetched.headers()
    return tuple((name, value) for name, value in said if isinstance(value, bytes)) if isinstance(said, list) else ()
