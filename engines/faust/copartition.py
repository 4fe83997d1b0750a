"""The check at start whether each key lies in one partition: a warning, since a sample of old records proves no more.

Inputs with a new key are repartitioned by the engine itself, and are not looked at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from engines.faust.plan import StagePlan
from engines.faust.program import UNREADABLE, Record, decode_event
from semantics.pipeline import Pipeline, Stateful, inputs, sources

log = logging.getLogger(__name__)
OFFSETS = 200
"""Read at the end of each partition: 0.1 ms of decoding."""
WITHIN_S = 5.0
"""It takes 20 ms for 8 partitions, 120 ms for 128; a loaded machine stalls for a second or two."""
BYTES = 8 << 20
"""Of values; reading stops at the fetch that reaches it. Of a fetch, too."""
_POLL_MS = 20
"""So long a partition at whose end no record is (aborted ones are none) waits to be told that it is done."""


class Placement:
    """Where the keys of inputs that meet in one operator were seen."""

    def __init__(self) -> None:
        self._seen: dict[str, TopicPartition] = {}
        self.torn: dict[str, tuple[TopicPartition, TopicPartition]] = {}
        """Key -> two places of different partitions."""

    def take(self, place: TopicPartition, records: Sequence[Record]) -> None:
        """Note the events' keys; what is no event, or has no key, says nothing."""
        for record in records:
            try:
                key = decode_event(record.value).k  # type: ignore[arg-type]  # None, a tombstone, is no JSON either
            except UNREADABLE:
                continue
            if key is not None and (seen := self._seen.setdefault(key, place)).partition != place.partition:
                self.torn.setdefault(key, (seen, place))


def meeting(stage: StagePlan) -> list[list[str]]:
    """Return, for each outermost operator of a stage, the topics of the user's that it reads, with the keys they have.

    Below an operator no stage of several partitions has a new key, so that all that is below meets in it.
    """
    met = [
        [stage.inputs[source.name] for source in sources(operator) if source.name not in stage.feeds]
        for operator in _outermost(stage.compiled())
    ]
    return [topics for topics in met if topics]


def warning(job: str, placements: Sequence[Placement]) -> str:
    """Return the line that says which keys lie in several partitions; empty if none was seen to."""
    torn = [each for placement in placements for each in placement.torn.items()]
    if not torn:
        return ""
    key, (one, other) = torn[0]
    return (
        f"Job {job}: key {repr(key)[:80]} is in {one.topic}/{one.partition} and in {other.topic}/{other.partition}. "
        f"Keys found in several partitions: {len(torn)}, in the last {OFFSETS} offsets of each. What lies in different "
        f"partitions never meets: pairs are missed, and a window has two final rows. Produce all inputs with one "
        f"partitioner. Or put KeyBy(input, KEY) in the pipeline, under another name: the engine then repartitions "
        f"every input itself."
    )


async def check(bootstrap: str, stages: Sequence[StagePlan]) -> None:
    """Log a warning if keys lie in several partitions. Whatever is not read in time is left out."""
    job, partitions = stages[0].job, stages[0].partitions
    met = [(topics, Placement()) for stage in stages for topics in meeting(stage)]
    of = {
        TopicPartition(topic, partition): placement
        for topics, placement in met for topic in topics for partition in range(partitions)
    }  # fmt: skip
    if not of or partitions == 1:
        return
    try:
        async with asyncio.timeout(WITHIN_S):
            await _read(bootstrap, of)
    except (KafkaError, TimeoutError) as error:
        log.warning("Job %s starts, but whether each key lies in one partition was not fully checked: %r", job, error)
    if line := warning(job, [placement for _, placement in met]):
        log.warning("%s", line)


async def _read(bootstrap: str, of: Mapping[TopicPartition, Placement]) -> None:
    """Read the last committed records of each place, to ends that are known beforehand."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap.split(","), isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest", fetch_max_bytes=BYTES,
    )  # fmt: skip
    size = 0
    try:
        await consumer.start()
        await consumer._client.set_topics({place.topic for place in of})
        begins, ends = await asyncio.gather(consumer.beginning_offsets(of), consumer.end_offsets(of))
        pending = {place for place in of if begins[place] < ends[place]}
        consumer.assign(pending)
        for place in pending:  # With no wait before it, or the fetcher would begin elsewhere.
            consumer.seek(place, max(begins[place], ends[place] - OFFSETS))
        while pending and size < BYTES:
            for place, records in (await consumer.getmany(*pending, timeout_ms=_POLL_MS)).items():
                of[place].take(place, records)
                size += sum(len(record.value or b"") for record in records)
            done = {place for place in pending if await consumer.position(place) >= ends[place]}
            consumer.pause(*done)
            pending -= done
    finally:
        await consumer.stop()


def _outermost(node: Pipeline) -> Iterator[Stateful]:
    if isinstance(node, Stateful):
        yield node
    else:
        for below in inputs(node):
            yield from _outermost(below)
