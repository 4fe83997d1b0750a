"""The changelog: one compacted topic a job, from which a task's store can be rebuilt.

A row's record has key `r` + row key, null where deleted; the task's record has key `t` and comes last in every commit.
Recovery reads to an end that is known beforehand (the last stable offset, after the predecessor's transaction is over),
with one consumer for all tasks. It never guesses from silence that it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from engines.faust.driver import Chunk
from engines.faust.store import Store, damaged

ROW, TASK = b"r", b"t"
POLL_MS = 200
_MAX_FETCH_BYTES = 4 << 20


class Reader:
    """Feeds one changelog partition into one store, commit by commit."""

    def __init__(self, store: Store, *, transactional: bool) -> None:
        self._store, self._transactional = store, transactional
        self._rows: dict[bytes, bytes | None] = {}
        self.read = 0
        """Records so far."""

    def take(self, chunk: Chunk) -> None:
        """Apply a chunk: all of it if transactional (what was aborted is not in it), else up to the last commit.

        A store whose files are damaged is condemned, and the error goes on.
        """
        try:
            self._apply(chunk)
        except Exception as error:
            if damaged(error):
                self._store.condemn()
            raise

    def _apply(self, chunk: Chunk) -> None:
        record: bytes | None = None
        self.read += len(chunk)
        for message in chunk:
            key, value = message.key, message.value
            if key == TASK:
                record = value
                if not self._transactional:
                    self._store.restore(self._rows, record, message.offset + 1)
                    self._rows = {}
            else:
                self._rows[key[len(ROW) :]] = value
        if self._transactional:
            self._store.restore(self._rows, record, chunk.end)
            self._rows = {}

    @property
    def stale(self) -> set[bytes]:
        """The row keys behind the last whole commit; none if transactional."""
        return set(self._rows)


async def input_bounds(
    bootstrap: str, group: str, inputs: Sequence[TopicPartition]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Return the offsets at which the inputs begin, and those that the group has committed, where it has.

    Call it when no writer of these partitions has anything open any more.
    """
    servers = bootstrap.split(",")
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
    try:
        await asyncio.gather(admin.start(), consumer.start())
        await consumer._client.set_topics([place.topic for place in inputs])
        begins, found = await asyncio.gather(
            consumer.beginning_offsets(inputs), admin.list_consumer_group_offsets(group, partitions=list(inputs))
        )
    finally:
        await asyncio.gather(admin.close(), consumer.stop())
    return dict(begins), {place: at.offset for place, at in found.items() if at.offset >= 0}


def reading(bootstrap: str) -> AIOKafkaConsumer:
    """Return a consumer, not started, that reads changelogs as they were committed."""
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap.split(","),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=_MAX_FETCH_BYTES,
    )


async def recover(
    bootstrap: str,
    stores: Mapping[TopicPartition, Store],
    outputs: Sequence[TopicPartition],
    *,
    transactional: bool,
    reader: type[Reader] = Reader,
) -> tuple[dict[TopicPartition, set[bytes]], dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Bring every store up to the end of its changelog partition.

    Return what is stale in each, where `outputs` end, and how many records were read for each store. Call it when no
    writer of these partitions has anything open any more.
    """
    consumer = reading(bootstrap)
    await consumer.start()
    try:
        consumer.assign(list(stores))
        # Known beforehand, all at once: `end_offsets` would learn of one topic after the other, a round each.
        await consumer._client.set_topics([place.topic for place in (*stores, *outputs)])
        ends = await consumer.end_offsets([*stores, *outputs])
        readers = {place: reader(store, transactional=transactional) for place, store in stores.items()}
        pending = set()
        for place, store in stores.items():
            if store.read_to > ends[place]:
                # It has more than its changelog: it is of another life, when the topic had the same name.
                store.forget()
            if store.read_to < ends[place]:
                consumer.seek(place, store.read_to)
                pending.add(place)
            else:
                consumer.pause(place)
        while pending:
            for place, chunk in (await consumer.getmany(*pending, timeout_ms=POLL_MS)).items():
                readers[place].take(chunk)
            done = {place for place in pending if await consumer.position(place) >= ends[place]}
            if done:
                consumer.pause(*done)
                pending -= done
    finally:
        await consumer.stop()
    return (
        {place: read.stale for place, read in readers.items()},
        {place: ends[place] for place in outputs},
        {place: read.read for place, read in readers.items()},
    )
