"""Who is measured: our engines through their contract, and Kafka Streams as a peer of `Peer.java`."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from bench.micro.work import PARTITIONS, Work
from engines import jars, java, registry
from engines.cache import cache_dir
from engines.contract import Job, Log, Place, ProcessHandle, Profile, RunDirs, Settings, Status, Support
from engines.errors import Deadline, EnvironmentNotReady
from engines.process import Child

COMMIT_MS = 50
"""Of our engine under load (`engines/faust/engine.py`), and so of the peer."""
CACHE_BYTES = 10 * 1024 * 1024
"""What Kafka Streams has by default: `statestore.cache.max.bytes`."""
JOIN_GRACE_MS = 120_000
"""Of a join of Kafka Streams: more than the event time of a whole backlog.

A task's stream time is that of whichever input is ahead, and what is further behind it than window and grace is
dropped. A backlog becomes visible in one input before the other, if only by milliseconds, and in these the first one
gets seconds ahead. `max.task.idle.ms` does not help after a silence: its deadline runs from when an input was found
empty (PartitionGroup.readyToProcess), so it has passed before anything comes. Our engine's watermark is that of the
slower input.
"""
READY_WITHIN = timedelta(seconds=60)
STOP_WITHIN = timedelta(seconds=20)
_LOOK_EVERY_S = 0.05
_ANSWER_WITHIN_S = 10.0
SOURCE = Path(__file__).with_name("Peer.java")


class Running(Protocol):
    """A worker with one job; leaving it stops it."""

    def processes(self) -> list[ProcessHandle]: ...
    async def settle(self, ends: Mapping[Place, int], *, within: timedelta) -> None:
        """Wait until the input is committed up to `ends`. Raises `EngineFailed`, `Deadline`."""
        ...


class Peer(Protocol):
    """Someone to measure."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def events(self) -> int:
        """How many are measured, after `warmup` others."""
        ...

    @property
    def warmup(self) -> int: ...
    @property
    def coalesces(self) -> bool:
        """Whether of several rows of a key in one commit only the last comes out."""
        ...

    @property
    def reads_uncommitted(self) -> bool:
        """Whether it begins before the transaction is committed in which the input stands."""
        ...

    def lacks(self, work: Work) -> str:
        """Return why it cannot be measured on this work; empty if it can."""
        ...

    def start(self, work: Work, job: Job, log: Log, dirs: RunDirs, /) -> AbstractAsyncContextManager[Running]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """An engine of the registry, at the settings with which it is shipped."""

    name: str
    events: int
    warmup: int
    coalesces: bool = False
    reads_uncommitted: bool = False

    @property
    def title(self) -> str:
        engine, variant = registry.get(self.name)
        return engine.declaration(variant).title

    def lacks(self, work: Work) -> str:
        engine, variant = registry.get(self.name)
        if missing := engine.missing():
            return missing
        can = engine.declaration(variant).capability(work.pipeline, PARTITIONS)
        return "" if can.support in (Support.NATIVE, Support.RECIPE) else f"{can.support.value}: {can.reason}"

    def start(self, _: Work, job: Job, log: Log, dirs: RunDirs) -> AbstractAsyncContextManager[Running]:
        return _Deployed(self.name, job, log, dirs)


class _Deployed:
    """A deployment of one job, as what `Peer.start` gives."""

    def __init__(self, name: str, job: Job, log: Log, dirs: RunDirs) -> None:
        self._engine, self._variant = registry.get(name)
        self._job, self._log, self._dirs = job, log, dirs

    async def __aenter__(self) -> Self:
        settings = Settings(variant=self._variant, profile=Profile.BENCH)
        self._deployment = await self._engine.deploy([self._job], log=self._log, dirs=self._dirs, settings=settings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._deployment.__aexit__(kind, error, trace)

    def processes(self) -> list[ProcessHandle]:
        return list(self._deployment.processes())

    async def settle(self, ends: Mapping[Place, int], *, within: timedelta) -> None:
        settled = (await self._deployment.settle({self._job.name: ends}, within=within))[self._job.name]
        if settled.status is not Status.SETTLED:
            raise Deadline(f"{self._engine.name} is {settled.status.value}: {settled.detail}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaStreams:
    """Kafka Streams, exactly_once_v2, one thread, the same commit interval."""

    name: str
    events: int
    warmup: int
    coalesces: bool
    """Its record cache is on."""
    reads_uncommitted: bool = False

    @property
    def title(self) -> str:
        version = jars.lock()[jars.Section.STREAMS][0].version
        return f"Kafka Streams {version}{' with record cache' if self.coalesces else ''}"

    def lacks(self, work: Work) -> str:
        if shutil.which("javac") is None:
            return "no javac: install a JDK of 17 or newer"
        try:
            jars.streams_classpath()
        except EnvironmentNotReady as error:
            return str(error)
        if self.coalesces and work.name in ("filter", "interval-join"):
            return "the cache changes nothing here"
        return ""

    def start(self, work: Work, job: Job, log: Log, dirs: RunDirs) -> AbstractAsyncContextManager[Running]:
        told = {
            "work": work.name,
            "group": job.name,
            "bootstrap": log.bootstrap,
            "inputs": ",".join(job.inputs.values()),
            "output": job.output,
            "state": str(dirs.state),
            "commit_ms": str(COMMIT_MS),
            "cache_bytes": str(CACHE_BYTES if self.coalesces else 0),
            "span_ms": str(work.span_ms),
            "grace_ms": str(work.delay_ms if len(work.inputs) == 1 else JOIN_GRACE_MS),
        }
        path = [*jars.streams_classpath(), _compiled()]
        # Everything else is the JVM's own default.
        log_level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        # It unpacks a native library, which a JVM that is killed leaves behind.
        temporary = f"-Djava.io.tmpdir={dirs.state}"
        argv = [str(java.find().path), log_level, temporary, "-cp", os.pathsep.join(map(str, path)), "Peer"]
        argv += [f"{name}={value}" for name, value in told.items()]
        return Process("kafka-streams", argv, job, log, dirs)


class Process:
    """A peer that is a program of its own, which says when it is ready, and commits to the group of the job's name."""

    def __init__(self, role: str, argv: Sequence[str], job: Job, log: Log, dirs: RunDirs) -> None:
        self._role, self._argv, self._job, self._log, self._dirs = role, argv, job, log, dirs

    async def __aenter__(self) -> Self:
        self._child = Child(self._role, self._argv, log=self._dirs.logs / f"{self._role}.log", talk=True)
        try:
            await self._child.ready(within=READY_WITHIN)
        except BaseException:
            await self._child.terminate(within=STOP_WITHIN)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._child.terminate(within=STOP_WITHIN)

    def processes(self) -> list[ProcessHandle]:
        return [self._child]

    async def settle(self, ends: Mapping[Place, int], *, within: timedelta) -> None:
        admin = AdminClient({"bootstrap.servers": self._log.bootstrap})
        asked = [ConsumerGroupTopicPartitions(self._job.name, [TopicPartition(*place) for place in ends])]
        deadline = time.monotonic() + within.total_seconds()
        while True:
            [future] = admin.list_consumer_group_offsets(asked).values()
            found = (await asyncio.to_thread(future.result, _ANSWER_WITHIN_S)).topic_partitions
            if all(at.offset >= ends[at.topic, at.partition] for at in found):
                return
            if not self._child.alive():
                raise self._child.ended()
            if time.monotonic() > deadline:
                raise Deadline(f"{self._role} has not committed {ends} in time.{self._child.log_tail()}")
            await asyncio.sleep(_LOOK_EVERY_S)


def _compiled() -> Path:
    """Compile `Peer.java` once; return the folder of its classes."""
    folder = cache_dir("streams") / hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    if not (folder / "Peer.class").exists():
        folder.mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join(map(str, jars.streams_classpath()))
        made = subprocess.run(["javac", "-cp", path, "-d", folder, SOURCE], capture_output=True, text=True, timeout=120)
        if made.returncode:
            raise EnvironmentNotReady(f"javac refused {SOURCE.name}: {made.stderr.strip()}")
    return folder
