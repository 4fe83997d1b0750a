"""One measurement: a fresh worker on fresh topics, warmed up, then a backlog that becomes visible at one instant.

The backlog is written in one Kafka transaction, so that a worker which reads committed data sees nothing of it before
the commit: its CPU is taken there, and again when the group has committed all of it. Then the whole output is read and
compared, row by row, with what is right; without that there is no figure.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from confluent_kafka import Producer

from bench import busy
from bench.busy import Others
from bench.micro.peers import Peer, Running
from bench.micro.work import PARTITIONS, Work
from engines.broker.link import Link
from engines.contract import Job, Log, Message, Place, RunDirs
from engines.errors import Deadline, EngineFailed
from engines.process import remove_dir, scratch_dir
from engines.wire import encode_event, row_decoder
from semantics.errors import WeirError
from semantics.notation import print_row
from semantics.pipeline import sources
from semantics.rows import Row, ValueRow
from semantics.timeline import SENTINEL_KEY, Event, sentinel

EVENT_BYTES = 100
_ROOM: dict[str, str | int] = {"queue_buffering_max_messages": 2_000_000, "queue_buffering_max_kbytes": 1_000_000}
DONE_WITHIN = timedelta(minutes=5)
"""Twenty thousand events take plain Faust some ten seconds, and two million commits of a loaded broker no longer."""
_FLUSH_S = 60.0
_STABLE_WITHIN_S = 15.0
_MARGIN_US = 60_000_000
"""Event time of the sentinels behind everything that is to close."""


class WrongAnswer(WeirError):
    """The rows that came out are not those that should have: there is no figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one run showed."""

    cpu_us: float
    """CPU microseconds an event, of the worker's whole process group."""
    events_s: float
    """Events a second of wall time, on a machine that others may use."""
    rows: int
    others: Others
    """Other processes, while the backlog was worked off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """A work's events: those of the warm-up, those that are measured and end in the sentinels; and all rows due."""

    warmup: Sequence[Event]
    measured: Sequence[Event]
    rows: Counter[Row]


def backlog(work: Work, peer: Peer, seed: int) -> Backlog:
    """Draw a peer's events, and say what is due for them."""
    events = work.events(peer.warmup + peer.events, seed)
    far = max(event.time_us or 0 for event in events) + 1000 * (work.span_ms + work.delay_ms) + _MARGIN_US
    ends = [sentinel(source.name, lane, far) for source in sources(work.pipeline) for lane in range(PARTITIONS)]
    return Backlog(
        warmup=events[: peer.warmup], measured=[*events[peer.warmup :], *ends], rows=Counter(work.truth(events))
    )


async def measure(work: Work, peer: Peer, due: Backlog, log: Log, logs: Path) -> Figure:
    """Run it once. Raises `WrongAnswer`, `EngineFailed`, `Deadline`, `UnsupportedPipeline`."""
    name = f"weir-micro-{secrets.token_hex(4)}"
    inputs = {input: f"{name}-{input}" for input in work.inputs}
    job = Job(name, work.pipeline, inputs, f"{name}-out", f"{name}-dead", PARTITIONS)
    await asyncio.to_thread(log.create, dict.fromkeys((*inputs.values(), job.output, job.dead_letters), PARTITIONS))
    scratch = scratch_dir("micro")
    try:
        dirs = RunDirs(logs=logs / name, durable=scratch / "durable", state=scratch / "state")
        for path in (dirs.logs, dirs.durable, dirs.state):
            path.mkdir(parents=True)
        async with peer.start(work, job, log, dirs) as running:
            await running.settle(await asyncio.to_thread(_warm_up, log, job, due.warmup), within=DONE_WITHIN)
            held = await asyncio.to_thread(_Held, log, job)
            await asyncio.to_thread(held.encode, due.measured)
            machine, before, started = busy.usage(), _cpu_s(running), time.monotonic()
            ends = await asyncio.to_thread(held.send)
            if not peer.reads_uncommitted:
                machine, before, started = busy.usage(), _cpu_s(running), time.monotonic()
            await asyncio.to_thread(held.commit)
            await running.settle(ends, within=DONE_WITHIN)
            spent, elapsed = _cpu_s(running) - before, time.monotonic() - started
            others = busy.between(machine, busy.usage())
        rows = await asyncio.to_thread(_rows, work, job, log)
        judge(due.rows, rows, coalesced=peer.coalesces)
    finally:
        await asyncio.to_thread(remove_dir, scratch)
    count = len(due.measured)
    return Figure(cpu_us=spent / count * 1e6, events_s=count / elapsed, rows=rows.total(), others=others)


class _Held:
    """A backlog that nobody who reads committed data sees before its commit."""

    def __init__(self, log: Log, job: Job) -> None:
        self._log, self._job = log, job
        self._producer = producer(log, transactional_id=f"{job.name}-backlog")
        self._producer.init_transactions(_FLUSH_S)
        self._messages: list[tuple[Place, Message]] = []

    def encode(self, events: Sequence[Event]) -> None:
        self._messages = messages(self._job, events)

    def send(self) -> Mapping[Place, int]:
        """Write it all; return where its records end."""
        self._producer.begin_transaction()
        produce(self._producer, self._messages)
        return self._log.ends(inputs_of(self._job), committed=False)

    def commit(self) -> None:
        self._producer.commit_transaction(_FLUSH_S)


def _warm_up(log: Log, job: Job, events: Sequence[Event]) -> Mapping[Place, int]:
    produce(producer(log), messages(job, events))
    return log.ends(inputs_of(job), committed=False)


def producer(log: Log, **settings: str) -> Producer:
    """Return a producer that takes a whole backlog."""
    return Producer(Link(log.bootstrap).config(linger_ms=5, enable_idempotence="true", **_ROOM, **settings))


def produce(by: Producer, messages: Iterable[tuple[Place, Message]]) -> None:
    """Send messages, and wait until the broker has them. Raises `EngineFailed`."""
    for (topic, partition), message in messages:
        by.produce(topic, message.value, message.key, partition, timestamp=message.timestamp_ms or 0)
    if by.flush(_FLUSH_S):
        raise EngineFailed("The broker did not take the backlog in time.")


def messages(job: Job, events: Sequence[Event]) -> list[tuple[Place, Message]]:
    """Return events as the job's input is to hold them, each of `EVENT_BYTES`."""
    return [((job.inputs[event.input], event.partition), _padded(encode_event(event))) for event in events]


def _padded(message: Message) -> Message:
    """Return the message with a field that nobody reads, so that its value has `EVENT_BYTES`."""
    assert message.value is not None
    room = EVENT_BYTES - len(message.value) - len(b',"p":""')
    return replace(message, value=message.value[:-1] + b',"p":"' + b"x" * room + b'"}')


def inputs_of(job: Job) -> list[Place]:
    """Return the partitions of the job's inputs."""
    return [(topic, lane) for topic in job.inputs.values() for lane in range(PARTITIONS)]


def _cpu_s(running: Running) -> float:
    return sum(process.cpu_seconds() for process in running.processes())


def _rows(work: Work, job: Job, log: Log) -> Counter[Row]:
    """Read all rows, once nothing stands open behind them."""
    places = [(job.output, lane) for lane in range(PARTITIONS)]
    deadline = time.monotonic() + _STABLE_WITHIN_S
    while (stable := log.ends(places)) != log.ends(places, committed=False):
        if time.monotonic() > deadline:
            raise Deadline(f"{job.output} holds a transaction that stays open.")
        time.sleep(0.05)
    decode = row_decoder(work.pipeline)
    found = log.read({place: (0, end) for place, end in stable.items()})
    rows = (decode(message.value or b"") for messages in found.values() for message in messages)
    return Counter(row for row in rows if row.key != SENTINEL_KEY)


def judge(due: Counter[Row], seen: Counter[Row], *, coalesced: bool) -> None:
    """Raise `WrongAnswer` unless these are the rows due; of a coalesced running count, its last row for each key."""
    if coalesced and all(isinstance(row, ValueRow) for row in due):
        last = {row.key: row for row in sorted(due, key=_count)}
        missing, surplus = set(last.values()) - set(seen), seen - due
    else:
        missing, surplus = set(due - seen), seen - due
    if missing or surplus:
        shown = [print_row(row) for row in [*missing, *surplus][:3]]
        raise WrongAnswer(
            f"{len(missing)} rows are missing and {len(surplus)} are too many, such as {', '.join(shown)}."
        )


def _count(row: Row) -> int:
    assert isinstance(row, ValueRow)
    [(_, count)] = row.values
    assert isinstance(count, int)
    return count
