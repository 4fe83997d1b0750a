"""The adapter: jobs as running queries of one JVM, in a child process that answers requests.

What Spark has read and committed is read from its checkpoints, not asked of it; see `engines/spark/checkpoint.py`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
import shutil
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engines import jars, java
from engines.codec import to_json
from engines.contract import (
    Declaration,
    Deployment,
    Engine,
    Job,
    Log,
    Place,
    Profile,
    Progress,
    Reached,
    RunDirs,
    Settings,
    Settled,
    StateSize,
    Status,
)
from engines.errors import Deadline, EngineFailed, EnvironmentNotReady, UnsupportedPipeline
from engines.process import Child
from engines.spark.capability import ticks
from engines.spark.checkpoint import Checkpoint, Journal
from engines.spark.cluster import LocalCluster, clustered, on_cluster
from engines.spark.crash import Watcher
from engines.spark.declaration import PYSPARK, declaration
from engines.spark.gate import INNER
from engines.spark.recipes import jar
from engines.spark.session import environment, settings, source_options
from engines.spark.standstill import Standstill, batches
from engines.spark.state import disk_bytes, restore_bytes
from engines.spark.variants import STRICT, VARIANTS, SinkKind, Trigger, sink_kind, table_of, trigger
from semantics.timeline import CrashPoint

_READY_WITHIN = timedelta(seconds=60)
"""A cold JVM on a busy machine of two cores takes 8 s to a session, and as long to plan forty queries."""
_STOP_WITHIN = timedelta(seconds=20)
"""Stopping takes half a second."""
_ARCHIVE_WITHIN = timedelta(seconds=180)
"""Writing the class archive at the end takes 10 s, and much longer on a busy machine."""
_REFUSAL = re.compile(r"\[(UNSUPPORTED_FEATURE\.\w+)\]")
"""What Spark never does, though it tells only when it runs a batch."""


class SparkEngine:
    """Spark Structured Streaming as an engine."""

    name = "spark"
    variants: Mapping[str, str] = VARIANTS
    needs_broker = True

    def missing(self) -> str:
        if importlib.util.find_spec("pyspark") is None:
            return f"pyspark {PYSPARK} is not installed: `make setup`, or pip install 'weir[spark]'."
        try:
            if version("pyspark") != PYSPARK:
                return f"pyspark {version('pyspark')} is installed, but its Kafka jars are those of {PYSPARK}."
            java.find()
            jars.spark_classpath()
        except (PackageNotFoundError, EnvironmentNotReady) as error:
            return str(error)
        return ""

    def declaration(self, variant: str = "") -> Declaration:
        return declaration(variant)

    async def deploy(self, jobs: Sequence[Job], *, log: Log, dirs: RunDirs, settings: Settings) -> Deployment:
        deployment = SparkDeployment(jobs, log, dirs, settings)
        await deployment.launch()
        return deployment


@dataclass(slots=True)
class SparkDeployment:
    """One JVM and its queries. `train`: the file to which the JVM writes a class archive at its end."""

    jobs: Sequence[Job]
    log: Log
    dirs: RunDirs
    settings: Settings
    train: Path | None = None
    _child: Child | None = None
    _watcher: Watcher | None = None
    _undo: tuple[Checkpoint, int] | None = None
    _standstill: Standstill | None = None
    _cluster: LocalCluster | None = None
    """Of our own, where workers come and go."""
    _checkpoints: dict[str, Checkpoint] = field(init=False)
    sink: SinkKind = field(init=False)
    _trigger: Trigger = field(init=False)
    _struck: asyncio.Future[Any] | None = None
    """Runs that are there to be killed: nobody waits for their answers."""
    _now_ms: int | None = field(init=False)
    """Processing time, where it is told to the queries because a script lets it pass; None: it is the wall's."""

    def __post_init__(self) -> None:
        told = self.settings.profile is Profile.SUITE and any(ticks(job.pipeline) for job in self.jobs)
        self._now_ms = int(time.time() * 1000) if told else None
        self.sink = sink_kind(self.settings.variant)
        self._trigger = trigger(self.settings.variant)
        self._checkpoints = {job.name: Checkpoint(self.dirs.durable / job.name) for job in self.jobs}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.stop()
        finally:
            await asyncio.to_thread(self._end)

    async def launch(self) -> None:
        """Start the process and all queries. Raises `UnsupportedPipeline`, `EngineFailed`, `Deadline`."""
        argv = [sys.executable, "-m", "engines.spark.worker"]
        found = await asyncio.to_thread(java.find)
        classpath = await asyncio.to_thread(jar.classpath)
        conf = settings(
            self.settings.profile,
            jobs=len(self.jobs),
            classpath=classpath,
            local_dir=self.dirs.state,
            java=found,
            variant=self.settings.variant,
            train=self.train,
        )
        try:
            conf = on_cluster(conf, classpath, await asyncio.to_thread(self._master))
            child = Child("spark", argv, log=self.dirs.logs / "spark.log", env=environment(found), talk=True)
            self._child = child
            await child.ready(within=_READY_WITHIN)
            await child.request("open", within=_READY_WITHIN, conf=conf, now_ms=self._now_ms)
            jobs = [self._describe(job) for job in self.jobs]
            answer = await child.request(
                "start",
                within=_READY_WITHIN,
                bootstrap=self.log.bootstrap,
                source=source_options(self.settings.variant),
                sink=self.sink.value,
                strict=self.settings.variant == STRICT,
                trigger=self._trigger.value,
                jobs=jobs,
            )
            if answer["refused"] is not None:
                raise UnsupportedPipeline(answer["refused"]["error"], answer["refused"]["message"])
        except BaseException:
            self._end()
            raise

    def _master(self) -> str:
        """Return the address of our own master, with one worker at first; empty if no worker will come or go."""
        if self._cluster is None and self.settings.elastic and not clustered():
            self._cluster = LocalCluster(self.dirs.logs, cores=1)
            self._cluster.scale(1)
        return "" if self._cluster is None else self._cluster.address

    def _describe(self, job: Job) -> dict[str, Any]:
        return {
            "name": job.name,
            "pipeline": to_json(job.pipeline),
            "inputs": dict(job.inputs),
            "output": job.output,
            "dead_letters": job.dead_letters,
            "checkpoint": str(self._checkpoints[job.name].path),
        }

    async def settle(self, ends: Mapping[str, Mapping[Place, int]], *, within: timedelta) -> Mapping[str, Settled]:
        deadline = time.monotonic() + within.total_seconds()
        answers = await asyncio.gather(*(self._settle(name, asked, deadline) for name, asked in ends.items()))
        done = {name: answer for name, answer in zip(ends, answers, strict=True) if answer.status is Status.SETTLED}
        outputs = await asyncio.to_thread(self._outputs, done)
        return {
            name: answer
            if name not in done
            else Settled(status=Status.SETTLED, ends=outputs[name], progress=answer.progress)
            for name, answer in zip(ends, answers, strict=True)
        }

    async def _settle(self, name: str, asked: Mapping[Place, int], deadline: float) -> Settled:
        """Drain one job until a drain began when its committed position covered what is asked.

        A drain that began before may have returned before the newest records were planned, or before the batch
        without data that follows them.
        """
        checkpoint, late, duplicates, dead = self._checkpoints[name], 0, 0, 0
        while True:
            # A run that ends begins after the input was sent, and takes all of it.
            covered = self._trigger.bounded or not _behind(checkpoint, asked)
            within = timedelta(seconds=max(0.1, deadline - time.monotonic()))
            try:
                answer = await self._running().request("drain", within=within, job=name, covered=covered)
            except Deadline as error:
                return Settled(status=Status.DEADLINE, detail=f"{error} {_behind(checkpoint, asked)}")
            if "failed" in answer:
                said = answer["failed"]
                if refusal := _REFUSAL.search(said):
                    return Settled(status=Status.REFUSED, error=refusal[1], detail=said[refusal.end() :].strip())
                return Settled(status=Status.FAILED, detail=said, error=said.partition("\n")[0])
            late += answer["late"]
            duplicates += answer["duplicates"]
            dead += answer["dead"]
            if covered:
                committed = checkpoint.last(Journal.COMMITTED)
                watermark_us = checkpoint.watermark_us(committed) if committed >= 0 else None
                # Dead letters are those of a recipe: Spark drops what it cannot use, or passes it on, and tells nobody.
                progress = Progress(
                    watermark_us=watermark_us, late=late, duplicates=duplicates, dead=dead, state_rows=answer["rows"]
                )
                return Settled(status=Status.SETTLED, progress=progress)
            # Once more. Each waits for a whole trigger.

    def _outputs(self, names: Collection[str]) -> dict[str, dict[Place, int]]:
        """Return the ends of the jobs' outputs. What a batch wrote is acknowledged before it commits."""
        places = {job.name: [(job.output, n) for n in range(job.partitions)] for job in self.jobs if job.name in names}
        if not places:
            return {}
        found = self.log.ends([place for job in places.values() for place in job], committed=False)
        return {name: {place: found[place] for place in mine} for name, mine in places.items()}

    async def state(self, job: str) -> StateSize:
        found = await self._running().request("state", within=_READY_WITHIN, job=job)
        # RocksDB's local folders do not say whose they are, and on a cluster they are the executors'.
        alone = len(self.jobs) == 1 and not clustered()
        return StateSize(
            rows=found["rows"],
            live_bytes=found["live_bytes"],
            disk_bytes=await asyncio.to_thread(disk_bytes, self.dirs.state) if alone else None,
            restore_bytes=await asyncio.to_thread(restore_bytes, self._checkpoints[job].path),
        )

    async def arm(self, point: CrashPoint) -> None:
        self._disarm()
        if self.sink.ours and point in INNER:
            self._standstill = Standstill(point, self._running(), self.log, self.jobs, self._checkpoints)
            await self._standstill.arm()
            return
        self._watcher = await asyncio.to_thread(Watcher, point, self._running(), self._checkpoints, self._written)

    def _written(self, name: str) -> int:
        if self.sink is SinkKind.UPSERT:
            return batches(table_of(self._checkpoints[name].path))
        return sum(self._outputs([name])[name].values())

    async def reached(self, *, within: timedelta) -> Reached:
        if self._standstill is not None:
            return await self._standstill.reached(within=within)
        watcher = self._watcher
        if watcher is None:
            raise EngineFailed("No crash point is armed: call arm() first.")
        if self._trigger.bounded:
            runs = [self._running().request("drain", within=within, job=job.name, covered=False) for job in self.jobs]
            self._struck = asyncio.ensure_future(asyncio.gather(*runs, return_exceptions=True))
        reached = await asyncio.to_thread(watcher.reached, within=within)
        self._undo = watcher.undo
        return reached

    def processes(self) -> Sequence[Child]:
        return () if self._child is None else (self._child,)

    async def stop(self) -> None:
        self._disarm()
        child = self._child
        if child is not None and not child.gone:
            await child.request("stop", within=_ARCHIVE_WITHIN if self.train else _STOP_WITHIN)
            await child.end(within=_STOP_WITHIN)

    async def restart(self, *, wipe_state: bool = False) -> None:
        await self.stop()
        self._kill()
        if self._struck is not None:
            self._struck.cancel()
            self._struck = None
        if self._undo is not None:
            checkpoint, batch = self._undo
            checkpoint.forget(batch)
            self._undo = None
        if wipe_state:
            await asyncio.to_thread(shutil.rmtree, self.dirs.state)
            self.dirs.state.mkdir()
        await self.launch()

    async def pass_time(self, duration: timedelta) -> None:
        if self._now_ms is None:
            await asyncio.sleep(duration.total_seconds())
            return
        ms = round(duration.total_seconds() * 1000)
        self._now_ms += ms
        await self._running().request("pass_time", within=_READY_WITHIN, ms=ms)

    async def scale(self, workers: int) -> None:
        self._disarm()
        if self._cluster is None:
            raise UnsupportedPipeline(
                "Settings", f"{workers} workers were asked for, and the deployment is not elastic."
            )
        await asyncio.to_thread(self._cluster.scale, workers)

    def _running(self) -> Child:
        if self._child is None:
            raise EngineFailed("This Spark deployment is not running.")
        return self._child

    def _disarm(self) -> None:
        self._standstill = None
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def _end(self) -> None:
        self._kill()
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    def _kill(self) -> None:
        self._disarm()
        if self._child is not None:
            self._child.kill()
            self._child = None


def _behind(checkpoint: Checkpoint, asked: Mapping[Place, int]) -> str:
    """Return what of the input is not committed yet; empty if all is."""
    committed = checkpoint.last(Journal.COMMITTED)
    try:
        position = checkpoint.position(committed) if committed >= 0 else {}
    except EngineFailed as error:
        return str(error)  # If it is damaged, Spark will say so.
    missing = [
        f"{t}/{p} {position.get((t, p), 0)} of {end}" for (t, p), end in asked.items() if position.get((t, p), 0) < end
    ]
    return f"Committed: {', '.join(missing)}." if missing else ""


ENGINE: Engine = SparkEngine()
