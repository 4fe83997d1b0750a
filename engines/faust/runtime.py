"""The worker's inside: Faust's app, and the partition tasks of all jobs under its group.

The order of a rebalance is the protocol: at revoke every task commits and pauses; when the rebalance is complete, and
before Faust seeks to the committed offsets, tasks that are not ours any more close, new ones open (producers first,
which ends what a dead predecessor left open; then the stores are brought up to date), and all resume. A task that is
lost is opened here and nowhere else: who was refused has heard of the group whose it is before it refuses others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import faust
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from faust.tables.manager import TableManager
from faust.types import TP

from engines.errors import EngineFailed
from engines.faust import changelog, driver
from engines.faust.compile import store_for
from engines.faust.failpoints import FailPoints
from engines.faust.flaws import PARTS
from engines.faust.identity import Identities
from engines.faust.outage import patiently
from engines.faust.plan import Guarantee, Plan, StagePlan
from engines.faust.silence import Clock
from engines.faust.standby import Standbys
from engines.faust.store import Caches, Store
from engines.faust.task import Surroundings, Task, die
from engines.faust.writer import Migrated, Plain, Writer

_DAY_S = 86_400.0
HEARTBEAT_S = 0.5
"""It is how soon a worker learns that another has joined or left: work stands still until all have learnt it."""
STARTING_AT_ONCE = 8
"""Producers: a broker queues 50 new connections and drops what comes beyond; a dropped one tries again after 1 s."""


class _Tables(TableManager):  # type: ignore[misc]  # untyped base
    """Faust waits a second here for tables to register; we have none."""

    async def on_start(self) -> None:
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


class App(faust.App):  # type: ignore[misc]  # untyped base
    """Faust's app; its consumer calls `deliver`."""

    deliver: Any = None
    before_start: Callable[[], Awaitable[None]] | None = None

    async def on_start(self) -> None:
        if self.before_start is not None:
            try:
                await self.before_start()
            except Exception:
                await die()
        await super().on_start()


class Runtime:
    """All tasks of one worker."""

    def __init__(self, plan: Plan) -> None:
        driver.install()
        self._faust_dir = Path(plan.state_dir) / "faust"
        self._faust_dir.mkdir(parents=True, exist_ok=True)
        self._plan, self._parts = plan, PARTS[plan.bug]
        self.points = FailPoints()
        self.ready = asyncio.Event()
        self.tasks: dict[tuple[str, int], Task] = {}
        self._stage_of = {topic: stage for stage in plan.stages for topic in stage.inputs.values()}
        self._caches = Caches()
        self._identities = Identities(plan.bootstrap, plan.stages)
        self._standbys = Standbys(plan.bootstrap, self._identities.known)
        self._rebalance = asyncio.Lock()
        self._moved = asyncio.Event()
        self._steady = False
        """Whether the tasks are ours, and work."""
        self._closing = False
        self.app = self._build()
        self._clock = Clock(plan.now_s)
        self._around = Surroundings(
            clock=self._clock,
            generation=lambda: int(self.app.consumer_generation_id),
            seek=self._seek,
            bounds=self._bounds,
            end=lambda topic, partition: self.app.consumer.end(TP(topic, partition)),
            past=lambda topic, partition, offset: self.app.consumer.past(TP(topic, partition), offset),
            committed=self._moved.set,
            lost=self._rejoin,
            points=self.points,
        )

    async def settled(self, ends: Mapping[str, Mapping[str, int]], within_s: float) -> None:
        """Wait until what is ours of these jobs has committed up to `ends` (job -> place -> offset), or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not (self._steady and all(self._reached(job, places) for job, places in ends.items())):
                    self._moved.clear()
                    await self._moved.wait()

    def of(self, job: str) -> list[Task]:
        """Return the job's tasks, of all stages."""
        return [task for task in self.tasks.values() if task.stage.job == job and not task.lost]

    def pass_time(self, seconds: float) -> None:
        """Let processing time pass, where it is told."""
        self._clock.forward(seconds)
        for task in self.tasks.values():
            task.time_passed()

    def busy(self) -> int:
        """Return how many tasks have work at hand."""
        return sum(task.busy for task in self.tasks.values())

    async def close(self) -> None:
        """Commit what is open in every task, and close them."""
        self._closing = True
        async with self._rebalance:
            tasks, self.tasks = list(self.tasks.values()), {}
            await self._standbys.stop()
            await asyncio.gather(*(task.close() for task in tasks))

    def _build(self) -> App:
        plan = self._plan
        app = App(
            plan.group,
            broker=";".join(f"{driver.SCHEME}://{address}" for address in plan.bootstrap.split(",")),
            store="memory://",
            datadir=str(self._faust_dir),
            TableManager=_Tables,
            # Without tables, only this keeps Faust's own assignor, which gives a task all its inputs together.
            table_standby_replicas=1,
            topic_allow_declare=False,
            topic_disable_leader=True,
            stream_wait_empty=False,
            consumer_auto_offset_reset="earliest",
            consumer_group_instance_id=plan.member or None,
            broker_max_poll_records=plan.fetch_records,
            broker_commit_interval=_DAY_S,
            broker_session_timeout=plan.session_timeout_s,
            broker_heartbeat_interval=HEARTBEAT_S,
            web_enabled=False,
            worker_redirect_stdouts=False,
        )
        topics = app.topic(
            *self._stage_of, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", acks=False
        )

        async def subscribe(stream: Any) -> None:
            async for _ in stream:
                raise EngineFailed("A record went past the partition tasks.")

        app.agent(topics, name="subscription")(subscribe)
        app.task(self._watch)
        app.deliver = self._deliver
        app.on_partitions_revoked.connect(self._revoked)
        app.on_rebalance_complete.connect(self._assigned)
        return app

    async def _deliver(self, place: TP, chunk: driver.Chunk) -> None:
        task = self.tasks.get((self._stage_of[place.topic].name, place.partition))
        if task is not None:
            await task.deliver(place.topic, chunk)

    async def _watch(self) -> None:
        """End the process if a topic is replaced, goes, or grows while the worker runs."""
        await self.ready.wait()
        try:
            await self._identities.watch()
        except Exception:
            await die()

    async def _revoked(self, *_: Any, **__: Any) -> None:
        async with self._rebalance:
            self._steady = False
            await asyncio.gather(*(task.pause() for task in self.tasks.values()))

    async def _assigned(self, *_: Any, **__: Any) -> None:
        try:
            await self._take_over()
        except Exception:
            # Faust would go on with an assignment that nobody processes.
            await die()

    async def _take_over(self) -> None:
        async with self._rebalance:
            if self._closing:
                return
            assigned = {(place.topic, place.partition) for place in self.app.consumer.assignment()}
            wanted = dict(self._wanted(assigned))
            await self._identities.check()
            await self._standbys.stop()
            leaving = [self.tasks.pop(key) for key, task in [*self.tasks.items()] if key not in wanted or task.lost]
            await asyncio.gather(*(task.close() for task in leaving))
            opened = await self._open({key: stage for key, stage in wanted.items() if key not in self.tasks})
            for task in self.tasks.values():
                task.resume()
            self.tasks.update(opened)
            # A chunk of this assignment that was fetched before its task was there has been dropped, and the group's
            # offsets lead back to it only where it has some.
            await asyncio.gather(*(task.seek() for task in self.tasks.values()))
            if self._plan.standby:
                await self._standbys.follow(dict(self._others()))
            self._steady = True
            self._moved.set()
            self.ready.set()

    def _others(self) -> Iterable[tuple[TopicPartition, Callable[[], Store]]]:
        """Yield the changelog partitions of tasks that others have, and how to open a copy of each."""
        for stage in self._plan.stages:
            for partition in range(stage.partitions):
                if (stage.name, partition) not in self.tasks:
                    yield TopicPartition(stage.changelog, partition), partial(self._store, stage, partition)

    def _store(self, stage: StagePlan, partition: int) -> Store:
        path = Path(self._plan.state_dir) / stage.name / str(partition)
        return store_for(stage.compiled(), path, self._caches, saved_every_s=self._plan.saved_every_s)

    def _wanted(self, assigned: set[tuple[str, int]]) -> Iterable[tuple[tuple[str, int], StagePlan]]:
        for stage in self._plan.stages:
            for partition in range(stage.partitions):
                ours = [(topic, partition) in assigned for topic in stage.inputs.values()]
                if any(ours) and not all(ours):
                    raise EngineFailed(f"Job {stage.name} got only some of its inputs' partitions {partition}.")
                if all(ours):
                    yield (stage.name, partition), stage

    async def _open(self, wanted: Mapping[tuple[str, int], StagePlan]) -> dict[tuple[str, int], Task]:
        if not wanted:
            return {}
        plan = self._plan
        tasks: dict[tuple[str, int], Task] = {}
        writers: dict[tuple[str, int], Writer] = {}
        for key, stage in wanted.items():
            writers[key] = writer = self._writer(stage, key[1])
            tasks[key] = self._parts.task(plan, stage, key[1], writer, self._around)
        # Opening a database waits for the disk, starting a producer for the broker: side by side.
        opening = [asyncio.to_thread(self._store, stage, key[1]) for key, stage in wanted.items()]
        gate = asyncio.Semaphore(STARTING_AT_ONCE)

        async def start(key: tuple[str, int], stage: StagePlan) -> None:
            async with gate:
                await writers[key].start((stage.output, stage.dead_letters, stage.changelog))

        starting = [start(key, stage) for key, stage in wanted.items()]
        opened, _ = await asyncio.gather(asyncio.gather(*opening), asyncio.gather(*starting))
        stores = {
            TopicPartition(stage.changelog, key[1]): store
            for (key, stage), store in zip(wanted.items(), opened, strict=True)
        }
        outputs = [TopicPartition(stage.output, key[1]) for key, stage in wanted.items() if not stage.internal]
        inputs = [TopicPartition(topic, key[1]) for key, stage in wanted.items() for topic in stage.inputs.values()]
        transactional = plan.guarantee is Guarantee.EXACTLY_ONCE
        known = self._identities.known
        bounds, (stale, ends, read) = await asyncio.gather(
            changelog.input_bounds(plan.bootstrap, plan.group, inputs),
            changelog.recover(
                plan.bootstrap, stores, known, outputs, transactional=transactional, reader=self._parts.reader
            ),
        )
        for key, stage in wanted.items():
            place = TopicPartition(stage.changelog, key[1])
            if not stage.internal:
                writers[key].ends[f"{stage.output}/{key[1]}"] = ends[TopicPartition(stage.output, key[1])]
            tasks[key].restored = read[place]
            await tasks[key].open(
                stores[place],
                stale[place],
                bounds={topic: bounds[TopicPartition(topic, key[1])] for topic in stage.inputs.values()},
                ids={topic: known[topic] for topic in stage.inputs.values()},
            )
        return tasks

    def _writer(self, stage: StagePlan, partition: int) -> Writer:
        plan = self._plan
        if plan.guarantee is Guarantee.AT_LEAST_ONCE:
            return Plain(plan.bootstrap, self._commit_offsets)
        return self._parts.writer(plan.bootstrap, f"{plan.group}-{stage.name}-{partition}", plan.group, stage)

    async def _commit_offsets(self, positions: Mapping[TopicPartition, int]) -> None:
        offsets = {TP(place.topic, place.partition): offset for place, offset in positions.items()}
        if not await self.app.consumer._commit(offsets):
            raise Migrated("The group did not take our offsets: it has rebalanced without us.")

    def _rejoin(self) -> None:
        self._steady = False
        self.app.consumer.rejoin()

    async def _seek(self, topic: str, partition: int, offset: int) -> None:
        # Unless the assignment has just ended: the next one begins at what is committed.
        with contextlib.suppress(IllegalStateError):
            await self.app.consumer.seek_wait({TP(topic, partition): offset})

    async def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        # A fetcher whose position is gone begins anew: a topic that was replaced is the likelier reason.
        await self._identities.check()
        place, consumer = TP(topic, partition), self.app.consumer
        begins, ends = await asyncio.gather(
            patiently(partial(consumer.earliest_offsets, place)), patiently(partial(consumer.highwaters, place))
        )
        return int(begins[place]), int(ends[place])

    def _reached(self, job: str, places: Mapping[str, int]) -> bool:
        return not any(at.overdue for at in self.of(job)) and all(
            at.committed.positions.get(topic, 0) >= places.get(f"{topic}/{at.partition}", 0)
            for at in self.of(job)
            for topic in at.stage.inputs.values()
        )
