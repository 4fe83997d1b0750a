"""A partition task: one stage of a job on one partition of its inputs. Takes chunks in custody, processes, commits.

Everything happens under one lock. A chunk is taken only if it was fetched in this generation and begins at the task's
own position, which is committed with the outputs: a lost or a repeated chunk cannot pass unseen. A half-open
transaction is never continued. Where the broker says that the work is another's by now, or the store is damaged, the
task is lost: it is closed as it is, and whoever the group gives it to opens it from the changelog. Any other error ends
the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, NoReturn

from aiokafka import TopicPartition

from engines.errors import EngineFailed
from engines.faust.carry import Carrier, origin
from engines.faust.changelog import ROW, TASK, ChangelogLost, InputBounds
from engines.faust.driver import Chunk
from engines.faust.failpoints import FailPoints, Parked
from engines.faust.identity import ANEW, TopicReplaced
from engines.faust.plan import Guarantee, Plan, StagePlan
from engines.faust.program import Program, Record
from engines.faust.silence import LOOK_AGAIN_S, Clock, Processed, Silence
from engines.faust.store import Store, TaskRecord, damaged
from engines.faust.writer import Outbox, Writer
from semantics.pipeline import sources
from semantics.timeline import CrashPoint

log = logging.getLogger(__name__)
INBOX = 2
"""Chunks that wait for a task: enough to work on during a fetch, few enough to be dropped at a rebalance."""
FATAL_EXIT = 70


class StateOfAnotherPipeline(EngineFailed):
    """The state on the changelog was written by another pipeline, or in another format."""


class InputLost(EngineFailed):
    """Input that is not processed yet has been deleted from the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a task needs of its worker."""

    generation: Callable[[], int]
    seek: Callable[[str, int, int], Awaitable[None]]
    """(topic, partition, offset): fetch from there."""
    bounds: Callable[[str, int], Awaitable[tuple[int, int]]]
    """(topic, partition): the offset of the first record that is still on the log, and the offset after the last."""
    clock: Clock
    end: Callable[[str, int], tuple[float, int]]
    """(topic, partition): when the broker last said where it ends, by the wall's clock, and that offset."""
    past: Callable[[str, int, int], int]
    """(topic, partition, offset): the first offset from there on at which there may be a record."""
    committed: Callable[[], None]
    """Called after every commit."""
    lost: Callable[[], None]
    """Called when a task is lost: it is to be closed, and may be opened again when the group has been joined again."""
    points: FailPoints


class Task:
    """One stage on one partition. Made paused; `open` lets it in."""

    def __init__(self, plan: Plan, stage: StagePlan, partition: int, writer: Writer, around: Surroundings) -> None:
        self.stage, self.partition = stage, partition
        self._transactional = plan.guarantee is Guarantee.EXACTLY_ONCE
        self._interval_s = plan.commit_interval_s
        self._writer, self._around = writer, around
        self._input_of = {topic: name for name, topic in stage.inputs.items()}
        self._lock = asyncio.Lock()
        self._inbox: deque[tuple[str, Chunk]] = deque()
        self._wake, self._room = asyncio.Event(), asyncio.Event()
        self._paused = True
        self.lost = False
        """Whether it is another's by now, or its store is damaged: nothing of it counts that is not on the log."""
        self._working = False
        self._open_since: float | None = None
        self._positions: dict[str, int] = {}
        self._silence = Silence({})
        self._untold = False
        """Whether something was decided by processing time that is not committed yet."""
        self._processed = Processed(self._end)
        self._runner: asyncio.Task[None] | None = None
        self.committed = TaskRecord()
        self.watermark: int | None = None
        """The lowest of all clocks, as of the last commit."""
        self.restored = 0
        """Records of the changelog that were read before it opened."""
        self._outputs: Sequence[Outbox]
        self._carrier: Carrier | None = None
        self._dead: Outbox
        self._changelog: Outbox
        self._program: Program
        self._ids: Mapping[str, str]
        self._rows_before: int
        """Rows of the state when it opened."""
        self.store: Store

    @property
    def name(self) -> str:
        return f"{self.stage.name}/{self.partition}"

    @property
    def busy(self) -> bool:
        """Whether there is work at hand, taken or waiting."""
        return self._working or bool(self._inbox) or self._open_since is not None

    @property
    def overdue(self) -> bool:
        """Whether a timer may have to fire, or an input be idle, of which that is not decided, or not committed."""
        return self._untold or self._look_at() <= self._around.clock.now()

    @property
    def ends(self) -> dict[str, int]:
        """Place -> the offset after our last record there, as of the last commit."""
        return self._writer.ends

    @property
    def logged_bytes(self) -> int:
        """Keys and values of all records on the changelog, as if nothing had been compacted."""
        return self._logged_bytes

    async def open(
        self, store: Store, stale: Set[bytes], *, bounds: Mapping[str, InputBounds], ids: Mapping[str, str]
    ) -> None:
        """Start from a store that is up to date. `stale`: rows written to the changelog without a commit.

        `bounds`: input topic -> offsets of its partition; `ids`: input topic -> "cluster id/topic id".
        Raises `StateOfAnotherPipeline`, `TopicReplaced`, `ChangelogLost`, `InputLost`.
        """
        self.store = store
        lanes = range(self.stage.partitions) if self.stage.internal else [self.partition]
        self._outputs = [self._writer.outbox(self.stage.output, lane) for lane in lanes]
        if self.stage.internal:
            self._carrier = Carrier(self._outputs, self.partition, self.stage.inputs)
        self._dead = self._writer.outbox(self.stage.dead_letters, self.partition)
        self._changelog = self._writer.outbox(self.stage.changelog, self.partition)
        pipeline = self.stage.compiled()
        self._program = Program(
            pipeline,
            store.rows,
            self._carrier or self._outputs[0].append,
            self._bury,
            asks_time=self.stage.timed,
            feeds=dict.fromkeys(self.stage.feeds, self.stage.partitions),
        )
        self.committed = record = store.record
        self._rows_before = record.rows
        if record.fingerprint not in ("", self.stage.fingerprint):
            raise StateOfAnotherPipeline(
                f"{self.name}: {self.stage.changelog} holds the state of another pipeline (fingerprint "
                f"{record.fingerprint}; this one's is {self.stage.fingerprint}). What it counted means something else "
                f"here: run this pipeline under a group of its own, which reads its inputs from the start, or go back "
                f"to the one that wrote the state."
            )
        self._ids = ids
        self._same_topics(record)
        try:
            self._program.load(record)
        except Exception as error:
            self._blame(error)
            raise
        self._positions = {topic: self._start(topic, at) for topic, at in bounds.items()}
        self._silence = Silence({
            self.stage.inputs[source.name]: source.idle_after.total_seconds()
            for source in sources(pipeline)
            if source.idle_after is not None and source.name not in self.stage.feeds
        })  # fmt: skip
        for name, topic in self.stage.inputs.items():
            if name not in record.idle:
                self._silence.heard(topic, self._around.clock.now())
        self.watermark = self._program.clock
        self._logged_bytes = record.logged_bytes + (len(TASK) + len(record.encode()) if record.positions else 0)
        if stale:
            await self._heal(stale)
        self._runner = asyncio.create_task(self._run(), name=self.name)
        self._paused = False

    async def deliver(self, topic: str, chunk: Chunk) -> None:
        """Take a chunk into the inbox when there is room; drop it while paused."""
        while len(self._inbox) >= INBOX and not self._paused:
            self._room.clear()
            await self._room.wait()
        if not self._paused:
            self._inbox.append((topic, chunk))
            self._wake.set()

    async def pause(self) -> None:
        """Commit what is open, and take nothing more: called while still a member of the generation that ends."""
        async with self._lock:
            self._paused = True
            self._inbox.clear()
            self._room.set()
            try:
                if self._open_since is not None:
                    await self._commit()
            except Exception as error:
                await self._lose(error)

    def resume(self) -> None:
        """Take chunks again: the same partition is ours in the new generation too."""
        self._paused = False

    async def seek(self) -> None:
        """Fetch every input from the task's own position."""
        for topic, position in self._positions.items():
            await self._around.seek(topic, self.partition, position)

    async def close(self) -> None:
        """Commit what is open and let everything go; what is lost is let go as it is."""
        await self.pause()
        if self._runner is not None:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner
            if not self.lost:
                self.store.save()
            self.store.close()
        await self._writer.stop()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                if not self._inbox:
                    self._wake.clear()
                    due = None if self._open_since is None else self._open_since + self._interval_s
                    if (look_at := self._look_at()) < math.inf:
                        look = loop.time() + max(look_at - self._around.clock.now(), LOOK_AGAIN_S)
                        due = look if due is None else min(due, look)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout_at(due):
                            await self._wake.wait()
                async with self._lock:
                    self._working = True
                    if self._inbox:
                        topic, chunk = self._inbox.popleft()
                        self._room.set()
                        await self._take(topic, chunk)
                    if not self._paused and self._look_at() <= self._around.clock.now():
                        self._look()
                    if self._open_since is not None and loop.time() >= self._open_since + self._interval_s:
                        await self._commit()
                    self._working = False
        except Exception as error:
            await self._lose(error)

    async def _lose(self, error: Exception) -> None:
        """Do nothing more, if it is the broker that has refused us or the store is damaged; else end the process."""
        self._blame(error)
        if not (self._writer.fenced(error) or damaged(error)):
            await die(self._writer)
        log.warning("%s is lost, and will be read from the changelog again: %r", self.name, error)
        self.lost, self._paused, self._working, self._open_since = True, True, False, None
        self._inbox.clear()
        self._room.set()
        self._around.lost()

    async def _take(self, topic: str, chunk: Chunk) -> None:
        """Process a chunk, if custody of it is unbroken."""
        if chunk.generation != self._around.generation():
            return
        position = self._positions[topic]
        records: list[Any] = chunk
        if chunk.first != position:
            self._still_there(topic, position, *await self._around.bounds(topic, self.partition))
            if chunk.first > position:
                await self._around.seek(topic, self.partition, position)
                return
            records = [record for record in chunk if record.offset >= position]
            if chunk.end <= position:
                return
        await self._at(CrashPoint.BEFORE_PROCESS, {})
        self._begin()
        one_by_one = self._around.points.armed is CrashPoint.MID_SINK
        for outbox in self._outputs:
            outbox.one_by_one = one_by_one
        now = self._around.clock.now()
        self._program.wall.now_us = round(now * 1e6)
        self._program.feed(self._input_of[topic], records)
        self._silence.heard(topic, now)
        self._positions[topic] = chunk.end
        await self._at(CrashPoint.AFTER_PROCESS, {})
        if not one_by_one:
            for outbox in self._outputs:
                await self._writer.send(outbox, outbox.full())

    def _begin(self) -> None:
        """Open what the next commit will end."""
        if self._open_since is None:
            self._open_since = asyncio.get_running_loop().time()
        for outbox in (*self._outputs, self._dead, self._changelog):
            outbox.stamp()

    def time_passed(self) -> None:
        """Look what is due now: time that is told has passed."""
        self._wake.set()

    def _end(self, topic: str) -> tuple[float, int]:
        at, end = self._around.end(topic, self.partition)
        return self._around.clock.at(at), end

    def _look_at(self) -> float:
        """Return when to look for what is due by processing time."""
        return min(self._silence.due, self._program.wall.wakes / 1e6)

    def _look(self) -> None:
        """Leave out the inputs that have become idle, and fire timers: it is committed as if a record had said so."""
        around, partition = self._around, self.partition
        until = {
            topic: self._processed.until(topic, around.past(topic, partition, at))
            for topic, at in self._positions.items()
        }
        for topic in self._silence.fallen(until.__getitem__):
            self._begin()
            self._untold = True
            self._program.hush(self._input_of[topic])
        now_us = round(min(until.values()) * 1e6)
        if self._program.wall.wakes <= now_us:
            self._begin()
            self._untold = True
            self._program.tick(now_us)

    def _same_topics(self, record: TaskRecord) -> None:
        """Raise if a position refers to another topic than today's; take a record without ids once."""
        for topic in record.positions:
            was, now = record.ids.get(topic), self._ids.get(topic)
            if now is None:
                raise StateOfAnotherPipeline(
                    f"{self.name}: the state was made from topic {topic}, which is no input of the job now. Name that "
                    f"topic again, or {ANEW}."
                )
            if was is None:
                log.warning("%s: the state has no id of topic %s; %s is taken for that topic.", self.name, topic, now)
            elif was != now:
                raise TopicReplaced(topic, was, now)

    def _start(self, topic: str, at: InputBounds) -> int:
        """Return where to begin with an input: at the store's position, or with the log if it has none."""
        known = self.committed.positions.get(topic)
        if at.committed > (known or 0):
            raise ChangelogLost(
                f"{self.name}: the changelog was lost: the group has committed {topic}/{self.partition} up to "
                f"{at.committed}, but {self.stage.changelog} says {known or 'nothing'}. Restore that topic from a "
                f"copy, or {ANEW}."
            )
        if known is None:
            return at.begin
        self._still_there(topic, known, at.begin, at.end)
        return known

    def _still_there(self, topic: str, position: int, begin: int, end: int) -> None:
        if end < position:
            raise InputLost(
                f"{self.name}: {topic}/{self.partition} ends at {end}, but is processed up to {position}: the broker "
                f"has lost the end of the log, and new records get offsets that count as processed. To go on, {ANEW}."
            )
        if begin > position:
            raise InputLost(
                f"{self.name}: {topic}/{self.partition} begins at {begin}, but is processed only up to {position}: "
                f"what lies between was deleted. Keep input longer than a worker may be away (retention.ms). To go "
                f"on without it, {ANEW}."
            )

    async def _commit(self) -> None:
        """Write outputs, dead letters, changelog and positions, in this order; then the store, when it is time."""
        writer, changelog = self._writer, self._changelog
        said, number = (*self._outputs, self._dead), self.committed.commits + 1
        if self._carrier is not None:
            program = self._program
            self._carrier.mark(program.announced, number, idle=program.idle, clock=program.clock)
        self._program.tidy()
        self._logged_bytes += changelog.extend(ROW, self.store.rows.changes())
        saved = self._saved(number)
        record = saved.encode()
        self._logged_bytes += changelog.extend(TASK, [(b"", record)])
        for outbox in (*said, changelog):
            outbox.seal()
        wrote = await self._part_of_it() if self._around.points.armed is CrashPoint.MID_SINK else {}
        for outbox in said:
            await writer.send(outbox, outbox.full())
        if not self._transactional:
            wrote |= await writer.acknowledged()
            await self._at(CrashPoint.AFTER_SINK, wrote)
        await writer.send(changelog, changelog.full())
        wrote |= await writer.acknowledged()
        if self._transactional:
            await self._at(CrashPoint.AFTER_SINK, wrote)
            await writer.commit(self._offsets())
        await self._at(CrashPoint.AFTER_COMMIT, wrote)
        self.store.settle(record, wrote[changelog.place])
        if not self._transactional:
            await writer.commit(self._offsets())
        await self._at(CrashPoint.AFTER_PROGRESS, wrote)
        self.committed, self.watermark = saved, self._program.clock
        self._open_since, self._untold = None, False
        self._around.committed()

    async def _part_of_it(self) -> dict[str, int]:
        """Send one batch of what this commit has to say, and stand still; return where it ends."""
        said = (*self._outputs, self._dead, self._changelog)
        for outbox in said:
            if batches := outbox.full(most=1):
                await self._writer.send(outbox, batches)
                left = {outbox.place: outbox.waiting for outbox in said if outbox.waiting}
                wrote = await self._writer.acknowledged()
                await self._at(CrashPoint.MID_SINK, wrote, left)
                return wrote
        return {}

    async def _heal(self, stale: Set[bytes]) -> None:
        """Put what holds behind what a dead worker wrote without a commit: compaction must keep the right one."""
        self._changelog.stamp()
        self._logged_bytes += self._changelog.extend(ROW, [(key, self.store.committed(key)) for key in stale])
        self.committed = self._saved(self.committed.commits)
        record = self.committed.encode()
        self._logged_bytes += self._changelog.extend(TASK, [(b"", record)])
        self._changelog.seal()
        await self._writer.send(self._changelog, self._changelog.full())
        wrote = await self._writer.acknowledged()
        self.store.settle(record, wrote[self._changelog.place])

    def _blame(self, error: Exception) -> None:
        """See to it that a store whose files are damaged is not used again: whoever comes next reads the changelog."""
        if damaged(error):
            self.store.condemn()

    def _saved(self, number: int) -> TaskRecord:
        saved = self._program.save(self._positions, number, self._logged_bytes)
        saved.fingerprint, saved.ids = self.stage.fingerprint, dict(self._ids)
        saved.rows = self._rows_before + self.store.rows.added
        return saved

    def _bury(self, input: str, record: Record, reason: str) -> None:
        if input in self.stage.feeds:
            came = origin(record)
            key, value = came.pop("key", None), came.pop("value")
            self._dead.append(key, value, [("reason", reason.encode()), *came.items()])
            return
        headers = [
            ("reason", reason.encode()),
            ("topic", self.stage.inputs[input].encode()),
            ("partition", b"%d" % self.partition),
            ("offset", b"%d" % record.offset),
        ]
        self._dead.append(record.key, record.value, headers)

    def _offsets(self) -> dict[TopicPartition, int]:
        return {TopicPartition(topic, self.partition): offset for topic, offset in self._positions.items()}

    async def _at(self, point: CrashPoint, wrote: dict[str, int], left: Mapping[str, int] | None = None) -> None:
        await self._around.points.at(
            point, lambda: Parked(self.stage.name, self.partition, str(self.store.path), wrote, left or {})
        )


async def die(writer: Writer | None = None) -> NoReturn:
    """Say why, abort, and end the process: whoever comes next starts from the last commit."""
    traceback.print_exc()
    if writer is not None:
        with contextlib.suppress(Exception):
            await writer.abort()
    os._exit(FATAL_EXIT)
