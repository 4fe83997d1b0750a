"""How a task writes: one Kafka transaction a commit, or, at least once, in an order that keeps the state exact.

aiokafka's producer, tuned: batches are filled directly and handed over whole, since its way record by record costs
more than the rest of the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidProducerEpoch, InvalidProducerIdMapping, KafkaError, ProducerFenced, UnknownError
from aiokafka.producer import sender

from engines.errors import EngineFailed
from engines.faust import outage

BATCH_BYTES = 1_000_000
"""A batch at most; the broker refuses above 1 048 588 by default."""
RETRY_BACKOFF_MS = 2
"""After a commit its markers are written behind our back, and the next transaction is told to come again: with
aiokafka's 20 and 100 ms that wait would be most of a short commit. Where no broker answers, `outage` waits longer."""
TRANSACTION_TIMEOUT_MS = 10_000
"""Above the longest commit; without a successor, so long may a dead worker's open transaction hold readers back."""
ABORT_WITHIN_S = 1.0
_NO_HEADERS: list[tuple[str, bytes]] = []


class Migrated(EngineFailed):
    """The group has moved on without this worker."""


_FENCED = (ProducerFenced, InvalidProducerEpoch, InvalidProducerIdMapping, UnknownError, Migrated)
"""Errors after which the task is opened again. `UnknownError` (UNKNOWN_SERVER_ERROR): a coordinator that is about to
abort an expired transaction answers EndTxn so (Kafka 4.3.1 logs IllegalStateException, "pending state
PREPARE_EPOCH_FENCE")."""


class Outbox:
    """Records on their way to one partition of one topic, in batches ready to send."""

    def __init__(self, producer: Any, topic: str, partition: int) -> None:
        self._producer = producer
        self.topic, self.partition = topic, partition
        self.place = f"{topic}/{partition}"
        self.now_ms = 0
        self.one_by_one = False
        """Make a batch of every record, so that a part of them can be sent."""
        self._full: list[Any] = []
        self._builder: Any = None
        self._append: Any = None
        self._count = 0

    def stamp(self) -> None:
        """Take the time with which records are stamped from now on."""
        self.now_ms = time.time_ns() // 1_000_000

    def append(self, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]] = _NO_HEADERS) -> None:
        """Add a record."""
        append = self._append
        if append is None or append(self._count, self.now_ms, key, value, headers) is None:
            self.seal()
            self._builder = self._producer.create_batch()
            self._append = self._builder._builder.append
            self._append(0, self.now_ms, key, value, headers)
        self._count += 1
        if self.one_by_one:
            self.seal()

    def extend(self, prefix: bytes, rows: Iterable[tuple[bytes, bytes | None]]) -> int:
        """Add many records, their keys behind a prefix; return their bytes, keys and values alone."""
        size, append, count, now_ms = 0, self._append, self._count, self.now_ms
        for key, value in rows:
            whole = prefix + key
            size += len(whole) + (len(value) if value else 0)
            if append is None or append(count, now_ms, whole, value, _NO_HEADERS) is None:
                self._count = count
                self.append(whole, value)
                append, count = self._append, self._count
            else:
                count += 1
        self._count = count
        return size

    def seal(self) -> None:
        """End the batch that is being filled."""
        if self._builder is not None:
            # `append` of the public builder counts; filled directly, it has to be told.
            self._builder._relative_offset = self._count
            self._builder.close()
            self._full.append(self._builder)
            self._builder, self._append, self._count = None, None, 0

    @property
    def waiting(self) -> int:
        """How many records are in full batches that nobody has taken."""
        return sum(batch.record_count() for batch in self._full)

    def full(self, *, most: int | None = None) -> list[Any]:
        """Take the batches that are full, `most` of them."""
        taken, self._full = self._full[:most], [] if most is None else self._full[most:]
        return taken


class Writer(Protocol):
    """What a task needs of a producer. `ends`: place -> the offset after our last acknowledged record there."""

    ends: dict[str, int]

    async def start(self, topics: Iterable[str]) -> None:
        """Connect, and end what a predecessor left open."""
        ...

    def outbox(self, topic: str, partition: int) -> Outbox: ...
    async def send(self, outbox: Outbox, batches: Iterable[Any]) -> None:
        """Hand over batches; `acknowledged` waits for them."""
        ...

    async def acknowledged(self) -> dict[str, int]:
        """Wait for all that was sent; return, by place, the offset after the last record sent since the last call."""
        ...

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None: ...
    async def abort(self) -> None: ...
    async def stop(self) -> None: ...
    def fenced(self, error: Exception) -> bool:
        """Return whether an error comes of the broker's word that what we write is another's to write by now."""
        ...


class _Producing:
    """What both ways to write share."""

    def __init__(self, bootstrap: str, **settings: Any) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap.split(","),
            linger_ms=0,
            retry_backoff_ms=RETRY_BACKOFF_MS,
            max_batch_size=BATCH_BYTES,
            **settings,
        )
        self._sent: list[tuple[str, int, asyncio.Future[Any]]] = []
        self.ends: dict[str, int] = {}

    async def start(self, topics: Iterable[str]) -> None:
        await self._producer.start()
        # Known beforehand, all at once: else the first batch to each topic waits for a round of its own.
        if not await self._producer.client.set_topics(list(topics)):
            await outage.learn(self._producer.client)

    def outbox(self, topic: str, partition: int) -> Outbox:
        return Outbox(self._producer, topic, partition)

    async def send(self, outbox: Outbox, batches: Iterable[Any]) -> None:
        for batch in batches:
            count = batch.record_count()
            future = await self._producer.send_batch(batch, outbox.topic, partition=outbox.partition)
            self._sent.append((outbox.place, count, future))

    async def acknowledged(self) -> dict[str, int]:
        sent, self._sent = self._sent, []
        wrote: dict[str, int] = {}
        for place, count, future in sent:
            wrote[place] = (await future).offset + count
        self.ends.update(wrote)
        return wrote

    async def stop(self) -> None:
        # What the broker refuses now was lost before: whatever was open is committed, or nobody's.
        with contextlib.suppress(KafkaError):
            await self._producer.stop()
        await self._producer.client.close()

    def fenced(self, error: Exception) -> bool:
        # Once refused, the producer's sender is dead, and whoever uses it again is told something else.
        sending = self._producer._sender.sender_task
        cause = sending.exception() if sending is not None and sending.done() and not sending.cancelled() else None
        return any(isinstance(each, _FENCED) for each in (error, cause, cause and cause.__cause__))


class Transactions(_Producing):
    """Outputs, dead letters, changelog and positions in one transaction. Its id is the task's: a successor fences."""

    def __init__(self, bootstrap: str, transactional_id: str, group: str) -> None:
        super().__init__(bootstrap, transactional_id=transactional_id, transaction_timeout_ms=TRANSACTION_TIMEOUT_MS)
        self._group = group
        self._open = False

    async def send(self, outbox: Outbox, batches: Iterable[Any]) -> None:
        await self._begin()
        await super().send(outbox, batches)

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        await self._begin()
        # All sends are acknowledged by now: offered earlier, the offsets only collide with them on the broker.
        await self._producer.send_offsets_to_transaction(positions, self._group)
        await self._producer.commit_transaction()
        self._open = False

    async def abort(self) -> None:
        """Abort what is open, if the broker still answers; else the successor or the time-out does."""
        if self._open:
            async with asyncio.timeout(ABORT_WITHIN_S):
                await self._producer.abort_transaction()

    async def _begin(self) -> None:
        if not self._open:
            await self._producer.begin_transaction()
            self._open = True


class Plain(_Producing):
    """No transaction: what is sent is visible at once. Idempotent, so that a retry neither repeats nor reorders."""

    def __init__(self, bootstrap: str, commit_offsets: Any) -> None:
        super().__init__(bootstrap, enable_idempotence=True)
        self._commit_offsets = commit_offsets

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        await self._commit_offsets(positions)

    async def abort(self) -> None:
        pass


def _told(record: logging.LogRecord) -> bool:
    """Return False for a line on a refusal that nobody waited for: the task waits for one, and says so itself."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, _FENCED) and record.getMessage().startswith("Future exception was never retrieved"))


def tune() -> None:
    """Set aiokafka's module constant, wait where a broker does not answer, and log a refusal once, in this process."""
    logging.getLogger("asyncio").addFilter(_told)
    sender.BACKOFF_OVERRIDE = RETRY_BACKOFF_MS / 1000
    outage.install()
