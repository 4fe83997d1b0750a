"""A broker that does not answer: it is waited for, with back-off, and one log line instead of one per attempt.

aiokafka waits `retry_backoff_ms` between attempts and logs each. That time is 2 ms here, for the sake of commits. Some
of its requests are made once, and some with a time limit: an outage makes them fail, which would end the process.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    NotCoordinatorError,
    NotLeaderForPartitionError,
    RequestTimedOutError,
    StaleMetadata,
    UnknownTopicOrPartitionError,
)
from aiokafka.producer.message_accumulator import MessageBatch
from faust.tables.recovery import Recovery

log = logging.getLogger(__name__)
LONGEST_BACKOFF_S = 0.5
"""Seconds between two attempts, and so the longest delay until a broker that is back is used."""
SAID_EVERY_S = 60.0
ASK_AGAIN_S = 0.05
_LOGGERS = ("aiokafka", "aiokafka.consumer.fetcher", "aiokafka.consumer.group_coordinator", "aiokafka.producer.sender")
_CONNECTING = ("Unable connect to node with id %s: %s", 'Unable connect to "%s:%s": %s')
_UPDATING = "Unable to update metadata from %s"
_UNREACHED = (OSError, KafkaConnectionError, NodeNotReadyError)
_NO_ANSWER = (
    KafkaConnectionError,
    NodeNotReadyError,
    RequestTimedOutError,
    StaleMetadata,
    CoordinatorNotAvailableError,
    CoordinatorLoadInProgressError,
    NotCoordinatorError,
    LeaderNotAvailableError,
    NotLeaderForPartitionError,
    KafkaTimeoutError,
    TimeoutError,
)
"""A connection that broke or is silent, and what a broker says that goes or has just come: ask again."""
_connect = AIOKafkaClient._get_conn
_bootstrap = AIOKafkaClient.bootstrap
_look_up = AIOKafkaClient.coordinator_lookup
_await_topic = AIOKafkaClient._wait_on_metadata
_assign = GroupCoordinator._perform_assignment
_recover = Recovery._wait
T = TypeVar("T")


class Outage(logging.Filter):
    """Brokers that do not answer, for all clients of the process. As a filter, drops aiokafka's lines about them."""

    def __init__(self) -> None:
        super().__init__()
        self._since: dict[Any, float] = {}
        """Broker id -> time of the first failed attempt, in seconds of the monotonic clock."""
        self._said: dict[Any, float] = {}
        self._why: Any = ""
        self.failed_at = -math.inf
        """Time of the last failed attempt to connect."""

    @property
    def lasts(self) -> bool:
        """Whether a broker does not answer."""
        return bool(self._since)

    def failed(self, node: Any) -> float:
        """Note a failed attempt; return the seconds until the next one: half of the outage's duration so far."""
        self.failed_at = now = time.monotonic()
        lasts_s = now - self._since.setdefault(node, now)
        if now - self._said.get(node, -SAID_EVERY_S) >= SAID_EVERY_S:
            self._said[node] = now
            log.warning("Broker %s is unreachable, %.0f s so far (%s). Work waits for it.", node, lasts_s, self._why)
        return min(LONGEST_BACKOFF_S, lasts_s / 2)

    def answered(self, node: Any) -> None:
        """Note a new connection."""
        since = self._since.pop(node, None)
        if since is not None:
            self._said.pop(node, None)
            log.warning("Broker %s answers again, after %.0f s.", node, time.monotonic() - since)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a line that only repeats that a broker does not answer."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        if record.msg in _CONNECTING:
            self._why = arguments[-1]
            return False
        return not self.lasts or not (
            record.msg == _UPDATING or any(isinstance(argument, _UNREACHED) for argument in arguments)
        )


OUTAGE = Outage()


async def patiently(request: Callable[[], Awaitable[T]]) -> T:
    """Make a request, and make it again until a broker answers it. For requests that may be repeated."""
    began = said = time.monotonic()
    while True:
        try:
            return await request()
        except _NO_ANSWER as error:
            now = time.monotonic()
            if now - said >= SAID_EVERY_S:
                said = now
                log.warning("A request has no answer yet, %.0f s so far, and is made again: %r", now - began, error)
            await asyncio.sleep(ASK_AGAIN_S)


async def learn(client: Any) -> None:
    """Wait until a client's metadata is of now."""
    while not await client.force_metadata_update():  # noqa: ASYNC110  (it is a request, not a look)
        await asyncio.sleep(ASK_AGAIN_S)


async def _get_conn(client: Any, node: Any, *, group: Any = ConnectionGroup.DEFAULT, **how: Any) -> Any:
    known = client._conns.get((node, group))
    connection = await _connect(client, node, group=group, **how)
    if connection is None:
        await asyncio.sleep(OUTAGE.failed(node))
    elif connection is not known:
        OUTAGE.answered(node)
    return connection


async def _bootstrap_at_last(client: Any) -> None:
    """Connect for the first time. aiokafka tries once; and a broker that starts may know of no broker yet."""
    where = ",".join(sorted(f"{host}:{port}" for host, port, _ in client.hosts))
    while True:
        try:
            await _bootstrap(client)
        except KafkaConnectionError:
            pass
        else:
            if client.cluster.brokers():
                OUTAGE.answered(where)
                return
            client._conns.pop(("bootstrap", ConnectionGroup.DEFAULT)).close()
        await asyncio.sleep(OUTAGE.failed(where))


async def _coordinator_lookup(client: Any, kind: Any, key: str) -> Any:
    """Ask for a coordinator. That there is no answer is said in the one way that a producer outlives."""
    try:
        return await _look_up(client, kind, key)
    except _NO_ANSWER as error:
        raise NodeNotReadyError(f"No answer to who coordinates {key}: {error}") from error


async def _wait_on_metadata(client: Any, topic: str) -> Any:
    """Wait until a topic is known: aiokafka's limit for that counts only if no broker was away meanwhile."""
    while True:
        began = time.monotonic()
        try:
            return await _await_topic(client, topic)
        except UnknownTopicOrPartitionError:
            if OUTAGE.failed_at < began:
                raise


async def _perform_assignment(coordinator: Any, response: Any) -> Any:
    """Share out the partitions, once they are known. With metadata that failed to come, a topic would be nobody's."""
    client = coordinator._client
    if any(client.cluster.partitions_for_topic(topic) is None for topic in coordinator._subscription.topics):
        await learn(client)
    return await _assign(coordinator, response)


def _expired(batch: Any) -> bool:
    """Return whether a batch has waited too long for a leader since it could have had one."""
    return bool(time.monotonic() - max(batch._ctime, OUTAGE.failed_at) > batch._ttl)


async def _wait(recovery: Any, what: Any, timeout: Any = None) -> None:  # noqa: ARG001, ASYNC109  (Faust's signature)
    """Wait without Faust's limit of 90 s, behind which a worker neither goes on nor ends."""
    await _recover(recovery, what)


def install() -> None:
    """Let all clients of this process wait for a broker that is away, and log an outage once."""
    AIOKafkaClient._get_conn = _get_conn
    AIOKafkaClient.bootstrap = _bootstrap_at_last
    AIOKafkaClient.coordinator_lookup = _coordinator_lookup
    AIOKafkaClient._wait_on_metadata = _wait_on_metadata
    GroupCoordinator._perform_assignment = _perform_assignment
    MessageBatch.expired = _expired
    Recovery._wait = _wait
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(OUTAGE)
