"""The adapter: deploys jobs as one plain Faust worker, and speaks for it."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engines.codec import to_json
from engines.contract import (
    Declaration,
    Job,
    Log,
    Place,
    ProcessHandle,
    Profile,
    Progress,
    Reached,
    RunDirs,
    Settings,
    Settled,
    StateSize,
    Status,
    Support,
)
from engines.errors import Deadline, EngineFailed, EnvironmentNotReady, UnsupportedPipeline
from engines.faust_stock import declaration
from engines.faust_stock.evidence import Scene
from engines.faust_stock.plan import JobPlan, Plan, changelogs
from engines.process import Child
from semantics.timeline import CrashPoint

READY_WITHIN = timedelta(seconds=90)
"""A worker is ready in 4 s; one that recovers under exactly_once waits out two silences of 5 s a table, or more."""
STOP_WITHIN = timedelta(seconds=20)
ANSWER_WITHIN = timedelta(seconds=10)
SUITE_COMMIT_INTERVAL_S = 0.2
"""A script's step ends with a commit: Faust's own 2.8 s would be nearly all of its time."""
SHIPPED_COMMIT_INTERVAL_S = 2.8


class StockDeployment:
    """One worker process, and what it was told."""

    def __init__(self, plan: Plan, jobs: Sequence[Job], log: Log, dirs: RunDirs) -> None:
        self._plan, self._log, self._dirs = plan, log, dirs
        self._jobs = {job.name: job for job in jobs}
        self._child: Child | None = None
        self._scene: Scene | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.stop()
        else:
            await self.end()

    async def start(self) -> None:
        """Start the worker; return when its Tables are recovered. Raises `EngineFailed`, `Deadline`."""
        told = self._dirs.durable / "plan.json"
        self._plan.write(told)
        argv = [sys.executable, "-m", "engines.faust_stock.worker", str(told)]
        log = self._dirs.logs / "faust-stock-worker.log"
        self._child = child = await asyncio.to_thread(Child, "faust-stock worker", argv, log=log, talk=True)
        await child.ready(within=READY_WITHIN)

    async def settle(self, ends: Mapping[str, Mapping[Place, int]], *, within: timedelta) -> Mapping[str, Settled]:
        asked = {job: _told(places) for job, places in ends.items()}
        child = self._running()
        try:
            answer = await child.request(
                "settle", within=within + ANSWER_WITHIN, ends=asked, within_s=within.total_seconds()
            )
        except EngineFailed as error:
            if not child.alive():
                raise
            return {job: Settled(status=Status.FAILED, detail=str(error), error=error.exception) for job in ends}
        except Deadline as error:
            return {job: Settled(status=Status.DEADLINE, detail=str(error)) for job in ends}
        # All that was sent is acknowledged, and none of it is in a transaction: it is where the log ends.
        outputs = [(self._jobs[job].output, lane) for job in ends for lane in range(self._jobs[job].partitions)]
        reached = await asyncio.to_thread(self._log.ends, outputs)
        return {job: self._settled(self._jobs[job], asked[job], said, reached) for job, said in answer.items()}

    async def state(self, job: str) -> StateSize:
        size = await self._running().request("state", within=ANSWER_WITHIN * 6, job=job)
        return StateSize(**size)

    async def arm(self, point: CrashPoint) -> None:
        self._scene = await asyncio.to_thread(Scene.now, point, self._log, self._plan.group, list(self._jobs.values()))
        await self._running().request("arm", within=ANSWER_WITHIN, point=point.value)

    async def reached(self, *, within: timedelta) -> Reached:
        if self._scene is None:
            raise EngineFailed("No crash point is armed: arm one, then send events.")
        inputs = await asyncio.to_thread(self._scene.input_ends, self._log)
        asked = {job: _told(places) for job, places in inputs.items()}
        await self._running().request("reached", within=within, ends=asked)
        return Reached(evidence=await asyncio.to_thread(self._scene.verify, self._log))

    def processes(self) -> Sequence[ProcessHandle]:
        return [] if self._child is None else [self._child]

    async def stop(self) -> None:
        if self._child is not None:
            child, self._child = self._child, None
            await child.end(within=STOP_WITHIN)

    async def restart(self, *, wipe_state: bool = False) -> None:
        await self.stop()
        self._scene = None
        if wipe_state:
            await asyncio.to_thread(shutil.rmtree, Path(self._plan.data_dir), ignore_errors=True)
        await self.start()

    async def pass_time(self, duration: timedelta) -> None:
        await asyncio.sleep(duration.total_seconds())

    async def scale(self, workers: int) -> None:
        raise UnsupportedPipeline("OneWorker", f"{workers} workers were asked for: {declaration.NO_SCALING.reason}.")

    async def end(self) -> None:
        """Stop after an error: however the worker ends, that error is the one to tell."""
        if self._child is not None:
            child, self._child = self._child, None
            await child.terminate(within=STOP_WITHIN)

    def _running(self) -> Child:
        if self._child is None:
            raise EngineFailed("The worker was stopped: restart the deployment.")
        return self._child

    def _settled(
        self, job: Job, asked: Mapping[str, int], said: Mapping[str, Any], reached: Mapping[Place, int]
    ) -> Settled:
        ends = {(job.output, lane): reached[job.output, lane] for lane in range(job.partitions)}
        progress = Progress(dead=0, state_rows=said["rows"])
        if said["settled"]:
            return Settled(status=Status.SETTLED, ends=ends, progress=progress)
        behind = {place: (said["positions"][place], end) for place, end in asked.items()}
        detail = ", ".join(f"{place} is at {at} of {end}" for place, (at, end) in behind.items() if at < end)
        tail = self._running().log_tail()
        return Settled(status=Status.DEADLINE, ends=ends, progress=progress, detail=f"{detail}{tail}")


class StockEngine:
    """Faust's agents and Tables as shipped."""

    name = "faust-stock"
    variants = declaration.VARIANTS
    needs_broker = True

    def missing(self) -> str:
        return declaration.missing()

    def declaration(self, variant: str = "") -> Declaration:
        return declaration.declaration(variant)

    async def deploy(self, jobs: Sequence[Job], *, log: Log, dirs: RunDirs, settings: Settings) -> StockDeployment:
        if reason := self.missing():
            raise EnvironmentNotReady(reason)
        if settings.workers != 1:
            raise UnsupportedPipeline("OneWorker", f"{settings.workers} workers were asked for: ask for one.")
        for job in jobs:
            can = declaration.capability(job.pipeline, job.partitions)
            if can.support in (Support.NOT_IMPLEMENTED, Support.UNSUPPORTED):
                raise UnsupportedPipeline("NotImplemented", f"{job.name}: {can.reason}.")
        group = f"weir-faust-stock-{secrets.token_hex(4)}"
        suite = settings.profile is Profile.SUITE
        plan = Plan(
            bootstrap=log.bootstrap,
            group=group,
            member=f"{group}-0",
            guarantee=declaration.guarantee(settings.variant),
            commit_interval_s=SUITE_COMMIT_INTERVAL_S if suite else SHIPPED_COMMIT_INTERVAL_S,
            data_dir=str(dirs.state / group),
            jobs=[_job(job) for job in jobs],
        )
        if topics := changelogs(group, jobs):
            await asyncio.to_thread(log.create, topics, compact=True)
        deployment = StockDeployment(plan, jobs, log, dirs)
        try:
            await deployment.start()
        except BaseException:
            await deployment.end()
            raise
        return deployment


def _job(job: Job) -> JobPlan:
    [topic] = job.inputs.values()
    return JobPlan(
        name=job.name, pipeline=to_json(job.pipeline), input=topic, output=job.output, partitions=job.partitions
    )


def _told(places: Mapping[Place, int]) -> Mapping[str, int]:
    return {f"{topic}/{partition}": end for (topic, partition), end in places.items()}


ENGINE = StockEngine()
