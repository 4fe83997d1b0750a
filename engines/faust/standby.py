"""Standbys: copies of the state that other workers own, kept up to date from their changelogs.

Whoever takes over a partition then has only the rest to read. A copy holds nothing but what was committed, and says up
to where: to make it the state, one reads on, as after any restart.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from engines.faust.changelog import POLL_MS, Reader, bounds, reading
from engines.faust.driver import Chunk
from engines.faust.store import Store, damaged
from engines.faust.task import die


class Standbys:
    """The copies of one worker."""

    def __init__(self, bootstrap: str, ids: Mapping[str, str]) -> None:
        """`ids`: changelog -> its id (`identity.py`)."""
        self._bootstrap, self._ids = bootstrap, ids
        self._open: Mapping[TopicPartition, Callable[[], Store]] = {}
        self._stores: dict[TopicPartition, Store] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._following: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """Stop following and close the copies, so that they can be opened as stores."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        if self._consumer is not None:
            await self._consumer.stop()
        for store in self._stores.values():
            store.close()
        self._stores, self._consumer, self._following = {}, None, None

    async def follow(self, places: Mapping[TopicPartition, Callable[[], Store]]) -> None:
        """Open the copies of these changelog partitions, and follow them from now on."""
        if not places:
            return
        self._open = places
        opened = await asyncio.gather(*(asyncio.to_thread(opening) for opening in places.values()))
        self._stores = dict(zip(places, opened, strict=True))
        self._consumer = consumer = reading(self._bootstrap)
        await consumer.start()
        consumer.assign(list(places))
        await bounds(consumer, self._stores, self._ids)
        for place, store in self._stores.items():
            consumer.seek(place, store.read_to)
        self._following = asyncio.create_task(self._follow(consumer), name="standbys")

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        readers = {place: Reader(place, store, transactional=True) for place, store in self._stores.items()}
        try:
            while True:
                for place, chunk in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                    if not _took(readers[place], chunk):
                        readers[place] = Reader(place, self._anew(place), transactional=True)
                        consumer.seek(place, self._stores[place].read_to)
        except Exception:
            await die()

    def _anew(self, place: TopicPartition) -> Store:
        """Replace a condemned copy by an empty one. At once: were this cut short, nobody would know who has it open."""
        self._stores.pop(place).close()
        self._stores[place] = again = self._open[place]()
        again.follow(place.topic, self._ids[place.topic])
        return again


def _took(reader: Reader, chunk: Chunk) -> bool:
    """Apply a chunk; return False where the copy's files are damaged. Then nobody holds on to them any more."""
    try:
        reader.take(chunk)
    except Exception as error:
        if not damaged(error):
            raise
        return False
    return True
