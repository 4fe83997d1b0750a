"""Restarts of the broker under load, for `bench/soak.py`: the input that outlives them, and what follows each.

While the broker is away a request may be written or not, and nobody is told. So what was sent is what is on the input.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from engines.broker.kraft import Broker
from engines.broker.log import KafkaLog
from engines.contract import Deployment, Job, Log, Message, Place, Status
from engines.errors import BrokerRefused, BrokerUnavailable, Deadline, EngineFailed
from engines.wire import encode_event
from semantics.timeline import Event

KEYS = 40
BATCH, EVERY_S = 50, 0.02
"""Events a batch, and the time from one to the next: 2500 events a second, or as many as the machine can."""
SETTLE_WITHIN = timedelta(seconds=120)
LOOK_EVERY_S = 0.02
READ_AT_ONCE = 50_000


class Bounce(msgspec.Struct, kw_only=True):
    """One restart of the broker, and how soon work went on. Seconds are counted from the broker's return."""

    killed: bool
    """By SIGKILL; else stopped gracefully."""
    away_s: float
    """From the signal to the return."""
    first_row_s: float
    """Until a row could be read that was written after the return."""
    caught_up_s: float
    """Until all was committed that was on the input at the return."""


class Input:
    """The events of a soak, sent all the while, except while the broker is known to be away."""

    def __init__(self, log: Log, job: Job, chance: random.Random) -> None:
        self._log, self._job, self._chance = log, job, chance
        self._places = [(job.inputs["in"], partition) for partition in range(job.partitions)]
        self._acknowledged: dict[Place, int] = {}
        self._outages = 0
        self._there = asyncio.Event()
        self._there.set()
        self._over = False
        self._sending: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Send events; at the end, wait for those in flight."""
        self._sending = asyncio.create_task(self._send())
        try:
            yield
        finally:
            self._over = True
            await self._sending

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Begin no request meanwhile, and forgive one that was begun before."""
        self._outages += 1
        self._there.clear()
        try:
            yield
        finally:
            self._there.set()

    def check(self) -> None:
        """Raise the error that has ended the sending."""
        if self._sending is not None and self._sending.done():
            self._sending.result()

    def ends(self) -> dict[Place, int]:
        """Return where the input ends. Raises `EngineFailed` if acknowledged events are not there."""
        acknowledged = dict(self._acknowledged)
        # A client that was there before the broker went away would ask by a leader's epoch that is over.
        with KafkaLog(self._log.bootstrap) as log:
            ends = dict(log.ends(self._places, committed=False))
        for place, end in acknowledged.items():
            if ends[place] < end:
                raise EngineFailed(f"{place} ends at {ends[place]}, but the broker had acknowledged it up to {end}.")
        return ends

    def sent(self) -> Counter[str]:
        """Return the events by key: what is on the input."""
        counted: Counter[str] = Counter()
        for message in read_all(self._log.bootstrap, self.ends()):
            assert message.key is not None
            counted[message.key.decode()] += 1
        return counted

    async def _send(self) -> None:
        topic, due = self._job.inputs["in"], time.monotonic()
        while not self._over:
            await asyncio.sleep(max(due - time.monotonic(), 0))
            await self._there.wait()
            due = max(due, time.monotonic() - EVERY_S) + EVERY_S
            batches: dict[Place, list[Message]] = {}
            for key in self._chance.choices(range(KEYS), k=BATCH):
                batches.setdefault((topic, key % self._job.partitions), []).append(encode_event(Event(f"k{key}", 0)))
            outages = self._outages
            try:
                self._acknowledged.update(await asyncio.to_thread(self._log.append, batches))
            except (BrokerUnavailable, BrokerRefused, Deadline, EngineFailed):
                if outages == self._outages:
                    raise


@dataclass(slots=True)
class Bouncing:
    """Restarts a broker of ours, gracefully and by SIGKILL in turn. `away_s`: how long it stays away each time."""

    broker: Broker
    input: Input
    deployment: Deployment
    job: Job
    away_s: float
    done: list[Bounce]
    begun: int = 0

    async def bounce(self) -> str:
        """Restart the broker, wait until the engine has caught up, and say so. Raises `EngineFailed`, `Deadline`."""
        killed, began = self.begun % 2 == 1, time.monotonic()
        self.begun += 1
        with self.input.outage():
            await asyncio.to_thread(self.broker.halt, kill=killed)
            await asyncio.sleep(self.away_s)
            await asyncio.to_thread(self.broker.resume)
        returned = time.monotonic()
        sent = await asyncio.to_thread(self.input.ends)
        await self._first_row()
        first_row_s = time.monotonic() - returned
        [settled] = (await self.deployment.settle({self.job.name: sent}, within=SETTLE_WITHIN)).values()
        if settled.status is not Status.SETTLED:
            raise Deadline(f"After bounce {self.begun} of the broker the input is not processed: {settled.detail}")
        done = Bounce(
            killed=killed,
            away_s=round(returned - began, 3),
            first_row_s=round(first_row_s, 3),
            caught_up_s=round(time.monotonic() - returned, 3),
        )
        self.done.append(done)
        return f"broker {'killed' if killed else 'stopped'}, first row after {done.first_row_s:.1f} s"

    async def _first_row(self) -> None:
        """Wait for a row that was written after the broker's return."""
        outputs = [(self.job.output, partition) for partition in range(self.job.partitions)]
        until = time.monotonic() + SETTLE_WITHIN.total_seconds()
        with KafkaLog(self.broker.bootstrap) as log:
            since = await asyncio.to_thread(log.ends, outputs, committed=False)
            while True:
                ends = await asyncio.to_thread(log.ends, outputs)
                # What lies behind may be the marker of a transaction, which is no row.
                behind = {place: (since[place], end) for place, end in ends.items() if end > since[place]}
                if any((await asyncio.to_thread(log.read, behind)).values()):
                    return
                self.input.check()
                if dead := [process.role for process in self.deployment.processes() if not process.alive()]:
                    raise EngineFailed(f"{' and '.join(dead)} ended.")
                if time.monotonic() > until:
                    at = ", ".join(f"{topic}/{partition} to {end}" for (topic, partition), end in ends.items())
                    raise Deadline(
                        f"Waited {SETTLE_WITHIN.seconds} s for a row after bounce {self.begun} of the broker; "
                        f"the output is committed {at}."
                    )
                await asyncio.sleep(LOOK_EVERY_S)


def read_all(bootstrap: str, ends: Mapping[Place, int]) -> Iterator[Message]:
    """Yield the committed records of partitions, one partition after the other."""
    with KafkaLog(bootstrap) as log:
        for place, end in ends.items():
            for first in range(0, end, READ_AT_ONCE):
                yield from log.read({place: (first, min(first + READ_AT_ONCE, end))})[place]
