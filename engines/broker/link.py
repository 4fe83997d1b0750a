"""What every client of a broker shares: how to reach it, and how a dead one is told from a slow one.

librdkafka retries for minutes, which is right for a service and wrong for a test: so whoever waits, waits in slices,
and between two slices knocks at the broker's port. A port that nobody listens on ends the waiting at once.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from datetime import timedelta
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from engines.contract import Place
from engines.errors import BrokerRefused, BrokerUnavailable, Deadline

SLICE_S = 0.2
"""How long one wait lasts before the knock: short for a human, long beside the milliseconds of an answer."""
KNOCK_S = 2.0
"""How long a port may take to accept: a SYN that a full backlog drops is sent again after one second."""

_T = TypeVar("_T")


_NOT_LED = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
)
"""Errors that Kafka's protocol calls retriable: metadata is newer or older than the leader that answers."""


class NotLedYet(BrokerRefused):
    """A partition has no leader at this moment: its topic is new, or its broker has just started."""


class Link:
    """The way to one cluster: client settings, the last error that a client reported, and the knock."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._last_error = ""

    def config(self, **settings: str | int) -> dict[str, Any]:
        """Return a client's settings; `linger_ms=5` becomes `linger.ms`."""
        own = {name.replace("_", "."): value for name, value in settings.items()}
        return {
            "bootstrap.servers": self.bootstrap,
            "client.id": "weir",
            "reconnect.backoff.max.ms": 500,
            # A topic that was just created is known at once: `KafkaLog.create` waits for that. So an unknown one is
            # an error soon, and not after 30 s.
            "topic.metadata.propagation.max.ms": 3000,
            # What goes wrong is raised as our own error, not printed by a thread in the background.
            "log_level": 2,
            "error_cb": self._remember,
            **own,
        }

    def knock(self) -> None:
        """Return if any of the addresses accepts a connection. Raises `BrokerUnavailable`."""
        why = ""
        for address in self.bootstrap.split(","):
            host, _, port = address.strip().rpartition(":")
            try:
                with socket.create_connection((host, int(port)), timeout=KNOCK_S):
                    return
            except (OSError, ValueError) as error:
                why = str(error)
        raise BrokerUnavailable(
            f"No broker answers at {self.bootstrap} ({why}). Check the address, and its log if it is ours."
        )

    def meet(self, within: timedelta) -> None:
        """Return once a broker has answered as one. Raises `BrokerUnavailable` in at most `within`."""
        self.knock()
        try:
            AdminClient(self.config()).list_topics(timeout=max(SLICE_S, within.total_seconds() - KNOCK_S))
        except KafkaException as error:
            why = self._last_error or error.args[0].str()
            raise BrokerUnavailable(
                f"Something listens at {self.bootstrap}, but did not answer as a Kafka broker ({why})."
                " Check the port, and whether it wants TLS or a login."
            ) from error

    def slices(self, within: timedelta, says: str) -> Iterator[float]:
        """Yield the seconds to wait next, again and again. Raises `BrokerUnavailable`, or `Deadline` at the end."""
        deadline = time.monotonic() + within.total_seconds()
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                last = f" The client last said: {self._last_error}." if self._last_error else ""
                raise Deadline(f"Waited {within.total_seconds():g} s for {says} at {self.bootstrap}.{last}")
            yield min(SLICE_S, left)
            self.knock()

    def result(self, future: Future[_T], within: timedelta, says: str) -> _T:
        """Wait for one answer of the admin client. Raises `BrokerRefused`, `BrokerUnavailable`, `Deadline`."""
        for seconds in self.slices(within, says):
            with contextlib.suppress(TimeoutError), self.refusals(says):
                return future.result(seconds)
        raise AssertionError("slices end by raising")

    def results(self, futures: Mapping[Any, Future[_T]], within: timedelta, says: str) -> Iterable[_T]:
        """Wait for all answers of one request."""
        return [self.result(future, within, says) for future in futures.values()]

    def learn(self, client: Producer | Consumer, topics: Iterable[str], within: timedelta) -> None:
        """Make a client know where these topics are led. Raises `BrokerRefused` if one does not exist."""
        for topic in topics:
            says = f"the partitions of {topic}"
            for seconds in self.slices(within, says):
                with contextlib.suppress(BrokerUnavailable), self.refusals(says):
                    found = client.list_topics(topic, timeout=seconds).topics[topic]
                    break
            if found.error is not None:
                raise self.refusal(found.error, says)

    @contextlib.contextmanager
    def refusals(self, says: str) -> Iterator[None]:
        """Turn the client's exceptions into ours."""
        try:
            yield
        except KafkaException as error:
            raise self.refusal(error.args[0], says) from error

    def refusal(self, error: KafkaError, says: str) -> BrokerRefused | BrokerUnavailable:
        """Return the error of ours that says the same. A client that has lost its broker words that in many ways."""
        try:
            self.knock()
        except BrokerUnavailable as gone:
            return gone
        if error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT):
            return BrokerUnavailable(f"The broker stopped answering while it was asked for {says}: {error.str()}.")
        kind = NotLedYet if error.code() in _NOT_LED else BrokerRefused
        return kind(f"The broker refused {says}: {error.str()} ({error.name()}).")

    def _remember(self, error: KafkaError) -> None:
        self._last_error = error.str()


def coordinates(message: Message) -> tuple[Place, int]:
    """Return where a fetched or delivered record stands."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return (topic, partition), offset
