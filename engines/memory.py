"""The log in memory: what Kafka does for the harness, without Kafka. Appended is committed, and visible at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from engines.contract import Message, Place
from engines.errors import BrokerRefused, Deadline

WITHIN = timedelta(seconds=30)
"""How long a read waits; as long as one on a broker may take."""


class MemoryLog:
    """A `Log` of this process alone. Safe for threads."""

    def __init__(self) -> None:
        self._partitions: dict[Place, list[Message]] = {}
        self._grown = threading.Condition()

    @property
    def bootstrap(self) -> str:
        """Empty: there is no broker."""
        return ""

    def create(
        self,
        topics: Mapping[str, int],
        *,
        compact: bool = False,
        settings: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Create topics; all or none. Nothing is ever compacted. Raises `BrokerRefused` if one exists."""
        del compact, settings
        with self._grown:
            for topic, count in topics.items():
                if (topic, 0) in self._partitions:
                    raise BrokerRefused(f"Topic {topic!r} exists already: give each job topics of its own.")
                if count < 1:
                    raise BrokerRefused(f"Topic {topic!r} needs a partition, not {count}.")
            for topic, count in topics.items():
                self._partitions |= {(topic, partition): [] for partition in range(count)}

    def append(self, batches: Mapping[Place, Sequence[Message]]) -> Mapping[Place, int]:
        """Append all batches at once; return the offset after each one's last. Raises `BrokerRefused`."""
        with self._grown:
            logs = {place: self._log(place) for place in batches}
            for place, messages in batches.items():
                log = logs[place]
                log += [replace(message, offset=len(log) + number) for number, message in enumerate(messages)]
            self._grown.notify_all()
            return {place: len(log) for place, log in logs.items()}

    def ends(self, places: Sequence[Place], *, committed: bool = True) -> Mapping[Place, int]:
        """Return each partition's end. Raises `BrokerRefused` for one that does not exist."""
        del committed
        with self._grown:
            return {place: len(self._log(place)) for place in places}

    def read(
        self, ranges: Mapping[Place, tuple[int, int]], *, committed: bool = True, within: timedelta = WITHIN
    ) -> Mapping[Place, Sequence[Message]]:
        """Return the messages of each range, waiting for those to come. Raises `Deadline`, `BrokerRefused`."""
        del committed
        deadline = time.monotonic() + within.total_seconds()
        with self._grown:
            for place, (_, end) in ranges.items():
                log = self._log(place)
                while len(log) < end:
                    if not self._grown.wait(deadline - time.monotonic()):
                        stands = f"{place[0]}/{place[1]} stands at {len(log)}, not yet at {end}"
                        raise Deadline(f"Waited {within.total_seconds():g} s to read: {stands}.")
            return {place: self._log(place)[first:end] for place, (first, end) in ranges.items()}

    def _log(self, place: Place) -> list[Message]:
        if place not in self._partitions:
            raise BrokerRefused(f"There is no partition {place[1]} of a topic {place[0]!r}: create it first.")
        return self._partitions[place]
