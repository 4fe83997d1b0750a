"""A broker that does not answer: back-off between attempts to connect, and one log line instead of one per attempt.

aiokafka waits `retry_backoff_ms` between attempts and logs each. That time is 2 ms here, for the sake of commits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError

log = logging.getLogger(__name__)
LONGEST_BACKOFF_S = 0.5
"""Seconds between two attempts, and so the longest delay until a broker that is back is used."""
SAID_EVERY_S = 60.0
_LOGGERS = ("aiokafka", "aiokafka.consumer.fetcher", "aiokafka.consumer.group_coordinator", "aiokafka.producer.sender")
_CONNECTING = "Unable connect to node with id %s: %s"
_UPDATING = "Unable to update metadata from %s"
_UNREACHED = (OSError, KafkaConnectionError, NodeNotReadyError)
_connect = AIOKafkaClient._get_conn


class Outage(logging.Filter):
    """Brokers that do not answer, for all clients of the process. As a filter, drops aiokafka's lines about them."""

    def __init__(self) -> None:
        super().__init__()
        self._since: dict[Any, float] = {}
        """Broker id -> time of the first failed attempt, in seconds of the monotonic clock."""
        self._said: dict[Any, float] = {}
        self._why: Any = ""

    @property
    def lasts(self) -> bool:
        """Whether a broker does not answer."""
        return bool(self._since)

    def failed(self, node: Any) -> float:
        """Note a failed attempt; return the seconds until the next one: half of the outage's duration so far."""
        now = time.monotonic()
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
        if record.msg == _CONNECTING:
            self._why = arguments[-1]
            return False
        return not self.lasts or not (
            record.msg == _UPDATING or any(isinstance(argument, _UNREACHED) for argument in arguments)
        )


OUTAGE = Outage()


async def _get_conn(client: Any, node: Any, *, group: Any = ConnectionGroup.DEFAULT, **how: Any) -> Any:
    known = client._conns.get((node, group))
    connection = await _connect(client, node, group=group, **how)
    if connection is None:
        await asyncio.sleep(OUTAGE.failed(node))
    elif connection is not known:
        OUTAGE.answered(node)
    return connection


def install() -> None:
    """Let all clients of this process back off, and log an outage once."""
    AIOKafkaClient._get_conn = _get_conn
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(OUTAGE)
