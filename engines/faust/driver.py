"""The transport driver: hands whole batches of raw records to partition tasks, with the positions they span.

Faust keeps what it is good at: the consumer thread, the group, the assignor, the rebalance. What it would do to every
single record (an event object, a queue, an acknowledgement) is replaced by one call a batch. Registered under the URL
scheme `weir`, Faust's own way to add a transport.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from aiokafka import TopicPartition
from aiokafka.consumer import consumer, fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError
from faust.transport.drivers import TRANSPORTS, aiokafka

SCHEME = "weir"
FETCH_MAX_WAIT_MS = 50
"""A partition that was just drained joins the next fetch, so a fetch that waits for others delays it: hence not
Faust's 1500. Below some 20 an idle worker with many partitions would burn a core."""
FETCH_EVERY_S = 0.005
"""A fetch of single records costs as much as one of thousands, and was most of a worker's cost under little load. What
comes within this time is fetched together; it waits half of it on average, an eighth of a commit interval or less."""


_NOT_KNOWN = 0.0, 1 << 62
"""Before the broker has said anything: an end that nobody reaches."""


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


class _Gathering(fetcher.Fetcher):  # type: ignore[misc]  # untyped base
    """Once at the end of the log, lets records gather before it asks again; whoever lags behind never waits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._asks_at: dict[int, float] = {}
        super().__init__(*args, **kwargs)

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> Any:
        loop = asyncio.get_running_loop()
        ahead_s = self._asks_at.get(node_id, 0.0) - loop.time()
        try:
            if ahead_s > 0 and not self._behind(assignment, request):
                await asyncio.sleep(ahead_s)
            has_new_data = await super()._proc_fetch_request(assignment, node_id, request)
        except asyncio.CancelledError:
            # As the fetcher itself answers, except while it waits after an error: then it could not be closed.
            return False
        self._asks_at[node_id] = loop.time() + FETCH_EVERY_S
        return has_new_data

    def _behind(self, assignment: Any, request: Any) -> bool:
        """Return whether more was there when a partition was last fetched."""
        return any(
            offset < (assignment.state_value(TopicPartition(topic, partition)).highwater or 0)
            for topic, partitions in request.topics
            for partition, offset, _ in partitions
        )


def _refused(coordinator: Any, error: Exception) -> NoReturn:  # noqa: ARG001  (the signature is aiokafka's)
    """End the member's routine. aiokafka would wait until somebody asks for the error, and here nobody would."""
    raise error


async def _end_with(routine: asyncio.Task[None]) -> None:
    """End the process if the group refuses this member: else it would wait for work for ever."""
    from engines.faust.task import die  # It knows what a chunk is, from here.

    try:
        await asyncio.shield(routine)
    except KafkaError:
        await die()


class _Thread(aiokafka.AIOKafkaConsumerThread):  # type: ignore[misc]  # untyped base
    async def on_start(self) -> None:
        await super().on_start()
        self._ending = asyncio.create_task(_end_with(self._consumer._coordinator._coordination_task))

    def _create_worker_consumer(self, transport: Any) -> Any:
        made = super()._create_worker_consumer(transport)
        # Faust reads uncommitted unless it manages the transactions; ours are stronger, and sources may have theirs.
        made._isolation_level = "read_committed"
        made._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return made

    async def on_thread_stop(self) -> None:
        # A member with a name of its own never says goodbye, so that nobody takes its work while it starts again. Ours
        # has the name for the case that it is killed; who ends in peace leaves at once.
        if self._consumer is not None:
            self._consumer._coordinator._group_instance_id = None
        await super().on_thread_stop()


class Consumer(aiokafka.Consumer):  # type: ignore[misc]  # untyped base
    """Gives every batch to the app's `deliver`."""

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    def rejoin(self) -> None:
        """Ask the group whose the partitions are: a rebalance follows, of this member at least."""
        coordinator = self._thread._ensure_consumer()._coordinator
        self._thread.thread_loop.call_soon_threadsafe(coordinator.request_rejoin)

    def end(self, place: TopicPartition) -> tuple[float, int]:
        """Return when the broker last said where a partition ends, in seconds since 1970, and that offset."""
        state = self._state(place)
        return _NOT_KNOWN if state is None or state.highwater is None else (state.timestamp / 1000, state.highwater)

    def past(self, place: TopicPartition, offset: int) -> int:
        """Return the first offset from there on at which there may be a record: markers are passed over in silence."""
        state = self._state(place)
        first, end = (-1, -1) if state is None else getattr(state, "weir_skipped", (-1, -1))
        return end if first == offset else offset

    def _state(self, place: TopicPartition) -> Any:
        subscription = self._thread._ensure_consumer()._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        return None if assignment is None or place not in assignment.tps else assignment.state_value(place)

    async def _drain_messages(self, fetcher: Any) -> None:
        deliver: Callable[[Any, Chunk], Awaitable[None]] = self.app.deliver
        try:
            while not (self.should_stop or fetcher.should_stop):
                batches, _ = await self._wait_next_records(1.0)
                generation = self.app.consumer_generation_id
                if not self.flow_active:
                    # Fetched for an assignment that is over: go back to what is committed. If the next one ends while
                    # the broker is asked for that (aiokafka asserts that there is one), its successor begins there.
                    with contextlib.suppress(IllegalStateError, AssertionError):
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
        except asyncio.CancelledError:
            # During a rebalance Faust takes a stopped fetcher for a crashed one, and the worker ends with 1.
            if not fetcher.should_stop:
                raise


class Transport(aiokafka.Transport):  # type: ignore[misc]  # untyped base
    """Faust's aiokafka transport with our consumer."""

    Consumer = Consumer


def install() -> None:
    """Make the scheme known, aiokafka's fetcher gather and yield raw records, and a refusal by the group end us."""
    GroupCoordinator._push_error_to_user = _refused
    fetcher.PartitionRecords = _RawRecords
    fetcher.FetchResult = _Custody
    consumer.Fetcher = _Gathering
    TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
