"""Jobs on one Spark, fed with the notation and read back in it: for experiments that are no expectations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from engines.broker.kraft import Broker
from engines.broker.log import KafkaLog
from engines.contract import Job, Log, Message, Place, Profile, RunDirs, Settings, Settled, Status
from engines.errors import EngineFailed
from engines.process import remove_dir, scratch_dir
from engines.spark.engine import SparkDeployment
from engines.wire import encode_event, row_decoder
from semantics.expectation import script
from semantics.notation import print_row
from semantics.pipeline import Pipeline, sources
from semantics.timeline import CrashPoint, Send

WITHIN = timedelta(seconds=90)


@dataclass(slots=True)
class Lab:
    """A deployment of jobs by name, below `path`, whose last part begins the names of its topics."""

    log: Log
    path: Path
    pipelines: Mapping[str, Pipeline]
    variant: str = ""
    profile: Profile = Profile.SUITE
    spark: SparkDeployment = field(init=False)
    _ends: dict[str, dict[Place, int]] = field(init=False, default_factory=dict)
    _read: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        dirs = RunDirs(logs=self.path, durable=self.path / "durable", state=self.path / "state")
        dirs.durable.mkdir()
        dirs.state.mkdir()
        jobs = [_job(self.path.name, name, pipeline) for name, pipeline in self.pipelines.items()]
        self.log.create({topic: 1 for job in jobs for topic in (*job.inputs.values(), job.output, job.dead_letters)})
        self.spark = SparkDeployment(jobs, self.log, dirs, Settings(variant=self.variant, profile=self.profile))

    def job(self, name: str) -> Job:
        """Return a job by its name here."""
        return next(job for job in self.spark.jobs if job.name.endswith(f"-{name}"))

    def change(self, name: str, pipeline: Pipeline) -> None:
        """Put another pipeline in a job's place, from the next start on."""
        self.pipelines = {**self.pipelines, name: pipeline}
        mine = self.job(name)
        self.spark.jobs = [replace(job, pipeline=pipeline) if job is mine else job for job in self.spark.jobs]

    async def send(self, **steps: str | bytes) -> None:
        """Append events: job name = a step in the notation, or one raw value."""
        for name, step in steps.items():
            job = self.job(name)
            batches: dict[Place, list[Message]] = {}
            if isinstance(step, bytes):
                batches[next(iter(job.inputs.values())), 0] = [Message(None, step)]
            else:
                (send,) = script(step)
                assert isinstance(send, Send)
                for event in send.events:
                    batches.setdefault((job.inputs[event.input], 0), []).append(encode_event(event))
            self._ends.setdefault(job.name, {}).update(await asyncio.to_thread(self.log.append, batches))

    async def settle(self, *, within: timedelta = WITHIN) -> dict[str, Settled]:
        """Settle all that was sent; return the answers by job name."""
        return await self.settle_on(self.spark, within=within)

    async def settle_on(self, spark: SparkDeployment, *, within: timedelta = WITHIN) -> dict[str, Settled]:
        """Settle on another deployment of the same jobs."""
        answers = await spark.settle(self._ends, within=within)
        return {name.rpartition("-")[2]: answer for name, answer in answers.items()}

    async def rows(self) -> dict[str, list[str]]:
        """Return what every job said since the last time, where it said anything. Raises `EngineFailed`."""
        answers = await self.settle()
        if {answer.status for answer in answers.values()} != {Status.SETTLED}:
            raise EngineFailed(f"Not every job has settled: {answers}")
        found = {name: await self.said(name) for name in answers}
        return {name: sorted(rows) for name, rows in found.items() if rows}

    async def said(self, name: str) -> list[str]:
        """Return what one job has committed since the last time, in the order of the log."""
        place = self.job(name).output, 0
        first = self._read.get(name, 0)
        # A commit returns before its markers are written: so ask what there is, and wait until it can be read.
        self._read[name] = end = (await asyncio.to_thread(self.log.ends, [place], committed=False))[place]
        if end == first:
            return []
        decode = row_decoder(self.pipelines[name])
        messages = (await asyncio.to_thread(self.log.read, {place: (first, end)}))[place]
        return [print_row(decode(message.value or b"")) for message in messages]

    async def kill_at(self, point: CrashPoint, **steps: str) -> bool:
        """Send, kill at the point, restart; return whether the point was reconstructed."""
        await self.spark.arm(point)
        await self.send(**steps)
        reached = await self.spark.reached(within=WITHIN)
        for victim in self.spark.processes():
            await asyncio.to_thread(victim.kill)
        await self.spark.restart()
        return reached.reconstructed


@asynccontextmanager
async def bench() -> AsyncIterator[tuple[KafkaLog, Path]]:
    """Give a broker of our own and a directory, both gone afterwards."""
    scratch = scratch_dir("lab")
    try:
        with Broker(logs=scratch) as broker, KafkaLog(broker.bootstrap, prefix="lab-") as log:
            yield log, scratch
    finally:
        remove_dir(scratch)


def _job(prefix: str, name: str, pipeline: Pipeline) -> Job:
    inputs = {source.name: f"{prefix}-{name}-{source.name}" for source in sources(pipeline)}
    return Job(f"{prefix}-{name}", pipeline, inputs, f"{prefix}-{name}-out", f"{prefix}-{name}-dead")
