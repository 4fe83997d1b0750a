"""The adapter: deploys jobs as one worker process, and speaks for it."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

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
from engines.faust import declaration, guard
from engines.faust.bugs import BUGS
from engines.faust.evidence import Scene, Witness
from engines.faust.plan import Guarantee, Plan, changelog_topic, job_plan
from engines.process import Child
from semantics.timeline import CrashPoint

READY_WITHIN = timedelta(seconds=60)
"""A worker is ready in a second; one that restores a large state, or takes over a dead member's place, needs longer."""
STOP_WITHIN = timedelta(seconds=10)
"""Committing what is open and leaving takes some 0.3 s."""
ANSWER_WITHIN = timedelta(seconds=10)
SESSION_TIMEOUT_S = 6.0
"""The lowest that brokers take by default. It need not be lower: a restarted worker has its predecessor's name."""
FETCH_RECORDS = 8000
_COUNTERS = ("late", "duplicates", "dead")
_COMMIT_INTERVAL_S = {Profile.SUITE: 0.020, Profile.BENCH: 0.050}


class FaustDeployment:
    """One worker process, and what it was told."""

    def __init__(self, plan: Plan, jobs: Sequence[Job], log: Log, dirs: RunDirs) -> None:
        self._plan, self._log, self._dirs = plan, log, dirs
        self._jobs = {job.name: job for job in jobs}
        self._child: Child | None = None
        self._scene: Scene | None = None
        self._counted: dict[str, Mapping[str, int]] = {}
        """Job -> its counters as of the last settle."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.stop()
        else:
            await self._end()

    async def start(self) -> None:
        """Start the worker; return when every task is open. Raises `EngineFailed`, `Deadline`."""
        told = self._dirs.durable / "plan.json"
        self._plan.write(told)
        argv = [sys.executable, "-m", "engines.faust.worker", str(told)]
        log = self._dirs.logs / "faust-worker.log"
        self._child = child = await asyncio.to_thread(Child, "faust worker", argv, log=log, talk=True)
        await child.ready(within=READY_WITHIN)

    async def settle(self, ends: Mapping[str, Mapping[Place, int]], *, within: timedelta) -> Mapping[str, Settled]:
        asked = {job: {_place(place): end for place, end in places.items()} for job, places in ends.items()}
        child = self._running()
        try:
            answer = await child.request(
                "settle", within=within + ANSWER_WITHIN, ends=asked, within_s=within.total_seconds()
            )
        except EngineFailed as error:
            if not child.alive():
                raise
            return {job: Settled(status=Status.FAILED, detail=str(error)) for job in ends}
        except Deadline as error:
            return {job: Settled(status=Status.DEADLINE, detail=str(error)) for job in ends}
        return {job: self._settled(job, asked[job], said) for job, said in answer.items()}

    async def state(self, job: str) -> StateSize:
        size = await self._running().request("state", within=ANSWER_WITHIN * 6, job=job)
        return StateSize(**size)

    async def arm(self, point: CrashPoint) -> None:
        transactional = self._plan.guarantee is Guarantee.EXACTLY_ONCE
        self._scene = await asyncio.to_thread(
            Scene.now, point, self._log, self._witnesses(),
            stores=Path(self._plan.state_dir), transactional=transactional,
        )  # fmt: skip
        await self._running().request("arm", within=ANSWER_WITHIN, point=point.value)

    async def reached(self, *, within: timedelta) -> Reached:
        if self._scene is None:
            raise EngineFailed("No crash point is armed: arm one, then send events.")
        answer = await self._running().request("reached", within=within)
        evidence = await asyncio.to_thread(self._scene.verify, self._log, answer["parked"])
        return Reached(evidence=evidence)

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
            from engines.faust.store import wipe

            await asyncio.to_thread(wipe, Path(self._plan.state_dir))
        await self.start()

    async def _end(self) -> None:
        """Stop after an error: however the worker ends, that error is the one to tell."""
        if self._child is not None:
            child, self._child = self._child, None
            await child.terminate(within=STOP_WITHIN)

    def _running(self) -> Child:
        if self._child is None:
            raise EngineFailed("The worker was stopped: restart the deployment.")
        return self._child

    def _settled(self, job: str, asked: Mapping[str, int], said: Mapping[str, Any]) -> Settled:
        before, now = self._counted.get(job, {}), {name: said[name] for name in _COUNTERS}
        counted = {name: count - before.get(name, 0) for name, count in now.items()}
        progress = Progress(watermark_us=said["watermark_us"], state_rows=said["rows"], **counted)
        ends = {_unplace(place): end for place, end in said["ends"].items()}
        if not said["settled"]:
            behind = {place: (said["positions"].get(place, 0), end) for place, end in asked.items()}
            detail = ", ".join(f"{place} is at {at} of {end}" for place, (at, end) in behind.items() if at < end)
            child = self._running()
            return Settled(status=Status.DEADLINE, ends=ends, progress=progress, detail=f"{detail}{child.log_tail()}")
        self._counted[job] = now
        return Settled(status=Status.SETTLED, ends=ends, progress=progress)

    def _witnesses(self) -> Sequence[Witness]:
        return [
            Witness(job.name, job.output, job.dead_letters, changelog_topic(self._plan.group, job), job.partitions)
            for job in self._jobs.values()
        ]


class FaustEngine:
    """Kafka-Streams-style stateful processing on Faust."""

    name = "faust"
    variants = declaration.VARIANTS
    needs_broker = True

    def missing(self) -> str:
        return guard.missing()

    def declaration(self, variant: str = "") -> Declaration:
        return declaration.declaration(variant)

    async def deploy(self, jobs: Sequence[Job], *, log: Log, dirs: RunDirs, settings: Settings) -> FaustDeployment:
        if reason := guard.missing():
            raise EnvironmentNotReady(reason)
        if settings.workers != 1:
            raise UnsupportedPipeline("OneWorker", f"{settings.workers} workers were asked for: ask for one.")
        for job in jobs:
            can = declaration.capability(job.pipeline, job.partitions)
            if can.support in (Support.NOT_IMPLEMENTED, Support.UNSUPPORTED):
                raise UnsupportedPipeline("NotImplemented", f"{job.name}: {can.reason}.")
        group = f"weir-faust-{secrets.token_hex(4)}"
        plan = Plan(
            bootstrap=log.bootstrap,
            group=group,
            member=f"{group}-0",
            session_timeout_s=SESSION_TIMEOUT_S,
            guarantee=declaration.guarantee(settings.variant),
            commit_interval_s=_COMMIT_INTERVAL_S[settings.profile],
            fetch_records=FETCH_RECORDS,
            profile=settings.profile,
            state_dir=str(dirs.state / group),
            jobs=[job_plan(group, job) for job in jobs],
            bug=settings.variant if settings.variant in BUGS else "",
        )
        changelogs = {changelog_topic(group, job): job.partitions for job in jobs}
        await asyncio.to_thread(log.create, changelogs, compact=True)
        deployment = FaustDeployment(plan, jobs, log, dirs)
        try:
            await deployment.start()
        except BaseException:
            await deployment._end()
            raise
        return deployment


def _place(place: Place) -> str:
    return f"{place[0]}/{place[1]}"


def _unplace(text: str) -> Place:
    topic, _, partition = text.rpartition("/")
    return topic, int(partition)


ENGINE = FaustEngine()
