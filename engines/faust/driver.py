"""The transport driver: hands whole batches of raw records to partition tasks, with the positions they span.

Faust keeps what it is good at: the consumer thread, the group, the assignor, the rebalance. What it would do to every
single record (an event object, a queue, an acknowledgement) is replaced by one call a batch. Registered under the URL
scheme `weir`, Faust's own way to add a transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import ConsumerStoppedError
from faust.transport.drivers import TRANSPORTS, aiokafka

SCHEME = "weir"
FETCH_MAX_WAIT_MS = 50
"""A partition that was just drained joins the next fetch, so a fetch that waits for others delays it: hence not
Faust's 1500. Below some 20 an idle worker with many partitions would burn a core."""


class Chunk(list[Any]):
    """Raw records of one partition, and the positions that they span: the custody of [first, end) goes with them."""

    __slots__ = ("end", "first", "generation")

    def __init__(self, records: list[Any], first: int, end: int, generation: int = -1) -> None:
        super().__init__(records)
        self.first, self.end, self.generation = first, end, generation


class _RawRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # untyped base
    """Yields aiokafka's records as they come out of the batch: the copy into a `ConsumerRecord` costs 0.6 us."""

    def _consumer_record(self, tp: Any, record: Any) -> Any:  # noqa: ARG002
        return record


class _Custody(fetcher.FetchResult):  # type: ignore[misc]  # untyped base
    """Says which positions a batch spans. What holds no record (transaction markers) is added to the next batch."""

    def getall(self, max_records: int | None = None) -> Chunk:
        pending, tp = self._partition_records, self._topic_partition
        if pending is None:
            return Chunk([], -1, -1)
        first = pending.next_fetch_offset
        chunk = Chunk(super().getall(max_records), first, pending.next_fetch_offset)
        if not self._assignment.active:
            return chunk
        state = self._assignment.state_value(tp)
        skipped_first, skipped_end = getattr(state, "weir_skipped", (-1, -1))
        if skipped_end == first:
            chunk.first = skipped_first
        state.weir_skipped = (chunk.first, chunk.end) if not chunk else (-1, -1)
        return chunk


class _Thread(aiokafka.AIOKafkaConsumerThread):  # type: ignore[misc]  # untyped base
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust reads uncommitted unless it manages the transactions; ours are stronger, and sources may have theirs.
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer


class Consumer(aiokafka.Consumer):  # type: ignore[misc]  # untyped base
    """Gives every batch to the app's `deliver`."""

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:
        deliver: Callable[[Any, Chunk], Awaitable[None]] = self.app.deliver
        try:
            while not (self.should_stop or fetcher.should_stop):
                batches, _ = await self._wait_next_records(1.0)
                generation = self.app.consumer_generation_id
                if not self.flow_active:
                    # Fetched for an assignment that is over: go back to what is committed.
                    await self.perform_seek()
                    continue
                for place, chunk in (batches or {}).items():
                    chunk.generation = generation
                    await deliver(place, chunk)
                if not batches:
                    await asyncio.sleep(0)
        except ConsumerStoppedError:
            if not self.app.should_stop:
                raise


class Transport(aiokafka.Transport):  # type: ignore[misc]  # untyped base
    """Faust's aiokafka transport with our consumer."""

    Consumer = Consumer


def install() -> None:
    """Make the scheme known and aiokafka's fetcher yield raw records, in this process."""
    fetcher.PartitionRecords = _RawRecords
    fetcher.FetchResult = _Custody
    TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
