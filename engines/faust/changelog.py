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
from functools import partial
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.commit import OffsetFetchRequest

from engines.errors import EngineFailed
from engines.faust.driver import Chunk
from engines.faust.identity import ANEW
from engines.faust.outage import patiently
from engines.faust.store import Store, TaskRecord, damaged

log = logging.getLogger(__name__)
ROW, TASK = b"r", b"t"
POLL_MS = 200
_MAX_FETCH_BYTES = 4 << 20
_SHOWN_BYTES = 60


class ChangelogLost(EngineFailed):
    """The changelog lacks state that was committed: going on would count on from nothing."""


class ForeignRecord(EngineFailed):
    """The changelog has a record that is no row and no commit of the task."""


class Reader:
    """Feeds one changelog partition into one store, commit by commit."""

    def __init__(self, place: TopicPartition, store: Store, *, transactional: bool) -> None:
        self._place, self._store, self._transactional = place, store, transactional
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
            if key == TASK and value is not None:
                record = value
                if not self._transactional:
                    self._check(chunk, record)
                    self._store.restore(self._rows, record, message.offset + 1)
                    self._rows = {}
            elif key is not None and key.startswith(ROW):
                self._rows[key[len(ROW) :]] = value
            else:
                raise self._foreign(message, "no such keys are written")
        self._check(chunk, record)
        if self._transactional:
            self._store.restore(self._rows, record, chunk.end)
            self._rows = {}

    def _check(self, chunk: Chunk, record: bytes | None) -> None:
        """Raise `ForeignRecord` if a row, or the task's last record in the chunk, cannot be decoded."""
        try:
            self._store.rows.check(self._rows)
            if record is not None:
                msgspec.json.decode(record, type=TaskRecord)
        except Exception as error:
            raise self._foreign(next(filter(self._is_damaged, chunk)), str(error)) from error

    def _is_damaged(self, message: Any) -> bool:
        try:
            if message.key == TASK:
                msgspec.json.decode(message.value, type=TaskRecord)
            else:
                self._store.rows.check({message.key[len(ROW) :]: message.value})
        except Exception:
            return True
        return False

    def _foreign(self, message: Any, why: str) -> ForeignRecord:
        return ForeignRecord(
            f"{self._place.topic}/{self._place.partition} has a record at offset {message.offset} that this job did "
            f"not write, or that was damaged: key {_cut(message.key)}, value {_cut(message.value)} ({why}). The state "
            f"cannot be restored. Stop whoever else writes to this topic; then restore the topic from a copy, or "
            f"{ANEW}."
        )

    def is_complete(self) -> bool:
        """Return whether the store holds as many rows as the last commit counted. Condemns as `take` does."""
        with self._condemning():
            return self._store.is_complete()

    @property
    def stale(self) -> set[bytes]:
        """The row keys behind the last whole commit; none if transactional."""
        return set(self._rows)


class InputBounds(NamedTuple):
    """Offsets of one input partition."""

    begin: int
    end: int
    committed: int = 0
    """By the consumer group; 0 where the group has committed nothing."""


async def input_bounds(
    bootstrap: str, group: str, inputs: Sequence[TopicPartition]
) -> dict[TopicPartition, InputBounds]:
    """Return the offsets of inputs. To be called when no writer of these partitions has anything open any more."""
    servers = bootstrap.split(",")
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
    try:
        await asyncio.gather(admin.start(), consumer.start())
        await consumer._client.set_topics([place.topic for place in inputs])
        begins, ends, committed = await asyncio.gather(
            patiently(partial(consumer.beginning_offsets, inputs)),
            patiently(partial(consumer.end_offsets, inputs)),
            patiently(partial(_committed, admin, group, inputs)),
        )
    finally:
        await asyncio.gather(admin.close(), consumer.stop())
    return {place: InputBounds(begins[place], ends[place], committed.get(place, 0)) for place in inputs}


async def _committed(
    admin: AIOKafkaAdminClient, group: str, places: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """Return the group's offsets. aiokafka's own function takes a broker that refuses to answer for one without any."""
    wanted: dict[str, list[int]] = {}
    for place in places:
        wanted.setdefault(place.topic, []).append(place.partition)
    asked = OffsetFetchRequest(group, list(wanted.items()))
    told = await admin._send_request(asked, await admin.find_coordinator(group))
    found = [(TopicPartition(topic, lane), *rest) for topic, lanes in told.topics for lane, *rest in lanes]
    for code in (told.error_code, *(code for *_, code in found)):
        if code:
            raise for_code(code)(f"for the offsets of group {group}")
    return {place: offset for place, offset, *_ in found if offset >= 0}


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
    ids: Mapping[str, str],
    outputs: Sequence[TopicPartition],
    *,
    transactional: bool,
    reader: type[Reader] = Reader,
) -> tuple[dict[TopicPartition, set[bytes]], dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Bring every store up to the end of its changelog partition. `ids`: changelog -> its id (`identity.py`).

    Return what is stale in each, where `outputs` end, and how many records were read for each store. Call it when no
    writer of these partitions has anything open any more.
    """
    consumer = reading(bootstrap)
    await consumer.start()
    try:
        consumer.assign(list(stores))
        # Known beforehand, all at once: `end_offsets` would learn of one topic after the other, a round each.
        await consumer._client.set_topics([place.topic for place in (*stores, *outputs)])
        (begins, ends), output_ends = await asyncio.gather(
            bounds(consumer, stores, ids), patiently(partial(consumer.end_offsets, outputs))
        )
        inherited = {place for place, store in stores.items() if store.read_to}
        readers = {place: reader(place, store, transactional=transactional) for place, store in stores.items()}
        await _read(consumer, stores, stores, readers, ends)
        for place in inherited:
            if not readers[place].is_complete():
                stores[place].forget("with the changelog it has not as many rows as the last commit counted")
                readers[place] = reader(place, stores[place], transactional=transactional)
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


def _cut(data: bytes | None) -> str:
    return repr(data) if data is None or len(data) <= _SHOWN_BYTES else f"{data[:_SHOWN_BYTES]!r}..."


async def bounds(
    consumer: AIOKafkaConsumer, stores: Mapping[TopicPartition, Store], ids: Mapping[str, str]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Return where changelog partitions begin and end; let stores that do not fit them forget their rows."""
    places = list(stores)
    begins, ends = await asyncio.gather(
        patiently(partial(consumer.beginning_offsets, places)), patiently(partial(consumer.end_offsets, places))
    )
    for place, store in stores.items():
        store.follow(place.topic, ids[place.topic])
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
    what = "has lost state" if found < counted else "has rows that no commit wrote"
    lost = (
        f"The changelog {place.topic}/{place.partition} {what}: it restores {found} rows, but the last commit counted "
        f"{counted} (the topic begins at offset {begin}). Restore that topic from a copy, or {ANEW}."
    )
    if not transactional:
        log.warning("%s", lost)
        return
    raise ChangelogLost(lost)
