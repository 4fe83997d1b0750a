"""The adapter: deploys jobs as one worker process, and speaks for it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from engines.contract import (
    Declaration,
    Job,
    Log,
    Place,
    ProcessHandle,
    Profile,
    Reached,
    RunDirs,
    Settings,
    Settled,
    StateSize,
    Status,
    Support,
)
from engines.errors import Deadline, EngineFailed, EnvironmentNotReady, UnsupportedPipeline
from engines.faust import declaration, guard, topics
from engines.faust.base import SAVED_EVERY_S
from engines.faust.books import Books
from engines.faust.bugs import BUGS
from engines.faust.crew import ANSWER_WITHIN, Crew
from engines.faust.evidence import Scene, Witness
from engines.faust.plan import COMMIT_INTERVAL_S, FETCH_RECORDS, SESSION_TIMEOUT_S, Guarantee, Plan, stage_plans
from engines.process import Child
from semantics.timeline import CrashPoint

LOOK_EVERY_S = 0.02
"""While a partition has no owner: whoever gets it cannot know that it is waited for."""
_SAVED_EVERY_S = {Profile.SUITE: 0.0, Profile.BENCH: SAVED_EVERY_S}
"""A script's kill between a commit and the store shall find something between them."""


class FaustDeployment:
    """Workers, and what they were told."""

    def __init__(self, plan: Plan, log: Log, dirs: RunDirs, workers: int) -> None:
        self._plan, self._log, self._count = plan, log, workers
        self._crew = Crew(plan, dirs)
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
            await self._crew.end()

    async def start(self) -> None:
        """Start the workers; return when every task is open. Raises `EngineFailed`, `Deadline`."""
        try:
            await self._crew.start(self._count)
        except BaseException:
            await self._crew.end()
            raise

    async def settle(self, ends: Mapping[str, Mapping[Place, int]], *, within: timedelta) -> Mapping[str, Settled]:
        self._crew.one()
        books = Books(ends, self._plan.stages)
        try:
            await self._follow(books, ends, within)
        except EngineFailed as error:
            if not all(child.alive() for child in self._crew.children):
                raise
            return {job: Settled(status=Status.FAILED, detail=str(error), error=error.exception) for job in ends}
        except Deadline as error:
            return {job: Settled(status=Status.DEADLINE, detail=str(error)) for job in ends}
        return {job: self._settled(job, books) for job in ends}

    async def state(self, job: str) -> StateSize:
        sizes = await self._crew.ask("state", within=ANSWER_WITHIN * 6, job=job)
        return StateSize(**{name: sum(size[name] for size in sizes) for name in sizes[0]})

    async def arm(self, point: CrashPoint) -> None:
        transactional = self._plan.guarantee is Guarantee.EXACTLY_ONCE
        self._scene = await asyncio.to_thread(
            Scene.now, point, self._log, self._witnesses(),
            stores=Path(self._plan.state_dir), transactional=transactional,
        )  # fmt: skip
        await self._crew.ask("arm", point=point.value)

    async def reached(self, *, within: timedelta) -> Reached:
        if self._scene is None:
            raise EngineFailed("No crash point is armed: arm one, then send events.")
        standing = asyncio.create_task(self._crew.first("reached", within=within))
        passed = asyncio.create_task(self._passed(within))
        try:
            await asyncio.wait([standing, passed], return_when=asyncio.FIRST_COMPLETED)
            if not standing.done() and passed.result():
                raise EngineFailed("All input is processed and committed, and no task stood still at the crash point.")
            worker, answer = await standing
        finally:
            for task in (standing, passed):
                task.cancel()
            await asyncio.gather(standing, passed, return_exceptions=True)
        evidence = await asyncio.to_thread(self._scene.verify, self._log, answer["parked"])
        return Reached(evidence=evidence, who=[worker])

    def processes(self) -> Sequence[ProcessHandle]:
        return self._crew.children

    async def stop(self) -> None:
        await self._crew.stop()

    async def restart(self, *, wipe_state: bool = False) -> None:
        await self.stop()
        self._scene = None
        if wipe_state:
            from engines.faust.store import wipe

            await asyncio.to_thread(wipe, Path(self._plan.state_dir))
        await self.start()

    async def pass_time(self, duration: timedelta) -> None:
        await self._crew.pass_time(duration)

    async def scale(self, workers: int) -> None:
        self._crew.one()
        self._count, self._scene = workers, None
        living = [child for child in self._crew.children if child.alive()]
        await asyncio.gather(*(child.request("arm", within=ANSWER_WITHIN, point=None) for child in living))
        await self._crew.scale(workers)

    async def _follow(self, books: Books, ends: Mapping[str, Mapping[Place, int]], within: timedelta) -> None:
        """Hear what the workers say until it is enough, or for so long. One that is silent does not hold others up."""
        asked = {job: {f"{topic}/{lane}": end for (topic, lane), end in at.items()} for job, at in ends.items()}
        until = time.monotonic() + within.total_seconds()

        async def hear(child: Child) -> None:
            while not books.all_settled and (left := until - time.monotonic()) > 0:
                answer = await child.request(
                    "settle", within=timedelta(seconds=left) + ANSWER_WITHIN, ends=asked, within_s=left
                )
                books.enter(answer["tasks"])
                if not books.all_settled:
                    await asyncio.sleep(LOOK_EVERY_S)  # What it has not got, another has, or will have.

        hearing = {asyncio.create_task(hear(child)) for child in self._crew.children}
        try:
            waiting = hearing
            while waiting and not books.all_settled:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in hearing:
                task.cancel()
            await asyncio.gather(*hearing, return_exceptions=True)

    async def _passed(self, within: timedelta) -> bool:
        """Return whether everything that is on the inputs now is committed, which a task that stands still is not."""
        places = {
            (topic, partition): stage.job
            for stage in self._plan.stages
            for input, topic in stage.inputs.items()
            if input not in stage.feeds
            for partition in range(stage.partitions)
        }
        ends: dict[str, dict[Place, int]] = {job: {} for job in places.values()}
        for place, end in (await asyncio.to_thread(self._log.ends, list(places), committed=False)).items():
            ends[places[place]][place] = end
        books = Books(ends, self._plan.stages)
        await self._follow(books, ends, within)
        return books.all_settled

    def _settled(self, job: str, books: Books) -> Settled:
        before, now = self._counted.get(job, {}), books.counted(job)
        progress = books.progress(job, {name: count - before.get(name, 0) for name, count in now.items()})
        ends = books.ends(job)
        if not books.settled(job):
            detail = f"{books.missing(job)}{self._crew.one().log_tail()}"
            return Settled(status=Status.DEADLINE, ends=ends, progress=progress, detail=detail)
        self._counted[job] = now
        return Settled(status=Status.SETTLED, ends=ends, progress=progress)

    def _witnesses(self) -> Sequence[Witness]:
        return [Witness(at.name, at.output, at.dead_letters, at.changelog, at.partitions) for at in self._plan.stages]


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
        for job in jobs:
            can = declaration.declaration(settings.variant).capability(job.pipeline, job.partitions)
            if can.support in (Support.NOT_IMPLEMENTED, Support.UNSUPPORTED):
                raise UnsupportedPipeline("NotImplemented", f"{job.name}: {can.reason}.")
        group = f"weir-faust-{secrets.token_hex(4)}"
        stages = [stage for job in jobs for stage in stage_plans(group, job)]
        plan = Plan(
            bootstrap=log.bootstrap,
            group=group,
            member=group,
            session_timeout_s=SESSION_TIMEOUT_S,
            guarantee=declaration.guarantee(settings.variant),
            commit_interval_s=COMMIT_INTERVAL_S,
            saved_every_s=_SAVED_EVERY_S[settings.profile],
            fetch_records=FETCH_RECORDS,
            profile=settings.profile,
            # Told: on a busy machine a restart takes longer than any timer worth waiting for.
            now_s=float(int(time.time())) if settings.profile is Profile.SUITE else None,
            state_dir=str(dirs.state / group),
            stages=stages,
            standby=settings.variant == "standby",
            bug=settings.variant if settings.variant in BUGS else "",
        )
        counts = {name: at.partitions for at in stages for name in topics.internal([at])}
        await asyncio.to_thread(log.create, counts, settings=topics.internal(stages))
        deployment = FaustDeployment(plan, log, dirs, settings.workers)
        await deployment.start()
        return deployment


ENGINE = FaustEngine()
