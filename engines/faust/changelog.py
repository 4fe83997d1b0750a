"""The changelog: one compacted topic a job, from which a task's store can be rebuilt.

A row's record has key `r` + row key, null where deleted; the task's record has key `t` and comes last in every commit.
Recovery reads to an end that is known beforehand (the last stable offset, after the predecessor's transaction is over),
with one consumer for all tasks. It never guesses from silence that it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from engines.errors import EngineFailed
from engines.faust.driver import Chunk
from engines.faust.store import Store, damaged

log = logging.getLogger(__name__)
ROW, TASK = b"r", b"t"
POLL_MS = 200
_MAX_FETCH_BYTES = 4 << 20


class ChangelogLost(EngineFailed):
    """The changelog lacks state that was committed: going on would count on from nothing."""


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
        with self._condemning():
            self._apply(chunk)

    @contextlib.contextmanager
    def _condemning(self) -> Iterator[None]:
        try:
            yield
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

    def is_complete(self) -> bool:
        """Return whether the store holds as many rows as the last commit counted. Condemns as `take` does."""
        with self._condemning():
            return self._store.is_complete()

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
        (begins, ends), output_ends = await asyncio.gather(bounds(consumer, stores), consumer.end_offsets(outputs))
        inherited = {place for place, store in stores.items() if store.read_to}
        readers = {place: reader(store, transactional=transactional) for place, store in stores.items()}
        await _read(consumer, stores, stores, readers, ends)
        for place in inherited:
            if not readers[place].is_complete():
                stores[place].forget("with the changelog it has not as many rows as the last commit counted")
                readers[place] = reader(stores[place], transactional=transactional)
        await _read(consumer, [place for place in inherited if not stores[place].read_to], stores, readers, ends)
    finally:
        await consumer.stop()
    for place, read in readers.items():
        if not read.is_complete():
            _refuse(place, stores[place], begins[place], transactional=transactional)
    return (
        {place: read.stale for place, read in readers.items()},
        output_ends,
        {place: read.read for place, read in readers.items()},
    )


async def bounds(
    consumer: AIOKafkaConsumer, stores: Mapping[TopicPartition, Store]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Return where changelog partitions begin and end; let stores that do not fit them forget their rows."""
    begins, ends = await asyncio.gather(consumer.beginning_offsets(list(stores)), consumer.end_offsets(list(stores)))
    for place, store in stores.items():
        if store.read_to > ends[place]:
            store.forget(f"it is ahead of its changelog, which ends at {ends[place]}: the topic was made anew")
        elif 0 < store.read_to < begins[place]:
            store.forget(f"its changelog begins at {begins[place]} only, and the store at {store.read_to} needs more")
    return begins, ends


async def _read(
    consumer: AIOKafkaConsumer,
    places: Collection[TopicPartition],
    stores: Mapping[TopicPartition, Store],
    readers: Mapping[TopicPartition, Reader],
    ends: Mapping[TopicPartition, int],
) -> None:
    """Read changelog partitions from where their stores are to their ends."""
    pending = {place for place in places if stores[place].read_to < ends[place]}
    consumer.pause(*(set(consumer.assignment()) - pending))
    consumer.resume(*pending)
    for place in pending:
        consumer.seek(place, stores[place].read_to)
    while pending:
        for place, chunk in (await consumer.getmany(*pending, timeout_ms=POLL_MS)).items():
            readers[place].take(chunk)
        done = {place for place in pending if await consumer.position(place) >= ends[place]}
        if done:
            consumer.pause(*done)
            pending -= done


def _refuse(place: TopicPartition, store: Store, begin: int, *, transactional: bool) -> None:
    """Raise `ChangelogLost` for a changelog read from its beginning that has not the rows of the last commit.

    Without transactions two workers may have written at once, and the count proves nothing: log a warning then.
    """
    found, counted = store.count(), store.record.rows
    lost = (
        f"The changelog {place.topic}/{place.partition} has lost state: it restores {found} rows, but the last commit "
        f"counted {counted} (the topic begins at offset {begin}). Restore that topic, or begin anew with another "
        f"group, which reads its inputs from the start."
    )
    if not transactional:
        log.warning("%s", lost)
        return
    raise ChangelogLost(lost)
