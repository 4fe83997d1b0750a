"""Plain Faust on a real broker: what it settles on, and that `exactly_once` is not."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from engines.broker.log import KafkaLog
from engines.contract import Job, Message, Place, RunDirs, Settings, Settled, Status
from engines.errors import EngineFailed
from engines.faust_stock.engine import ENGINE, StockDeployment
from engines.wire import encode_event
from semantics.pipeline import Aggregate, Emit, Source
from semantics.timeline import CrashPoint, Event

pytestmark = pytest.mark.integration

WITHIN = timedelta(seconds=60)
_numbers = count()


@dataclass
class Stage:
    """One running count on one partition."""

    log: KafkaLog
    deployment: StockDeployment
    job: Job
    end: int = 0
    read: int = 0
    values: list[Message] = field(default_factory=list)

    def send(self, *events: Event) -> None:
        place = self.job.inputs["in"], 0
        self.end = self.log.append({place: [encode_event(event) for event in events]})[place]

    async def settle(self, within: timedelta = WITHIN) -> Settled:
        ends: dict[Place, int] = {(self.job.inputs["in"], 0): self.end}
        return (await self.deployment.settle({self.job.name: ends}, within=within))[self.job.name]

    async def rows(self) -> list[bytes]:
        """Settle, and return what came out since the last time."""
        settled = await self.settle()
        assert settled.status is Status.SETTLED, settled.detail
        [(place, end)] = settled.ends.items()
        found = self.log.read({place: (self.read, end)})
        self.read = end
        return [message.value or b"" for message in found[place]]


@asynccontextmanager
async def counting(log: KafkaLog, tmp_path: Path, variant: str = "") -> AsyncIterator[Stage]:
    name = f"stock-{next(_numbers)}-{os.getpid()}"
    job = Job(name, Aggregate(Source(), emit=Emit.UPDATE), {"in": f"{name}-in"}, f"{name}-out", f"{name}-dead")
    log.create(dict.fromkeys((f"{name}-in", f"{name}-out", f"{name}-dead"), 1))
    dirs = RunDirs(logs=tmp_path, durable=tmp_path / "durable", state=tmp_path / "state")
    dirs.durable.mkdir()
    dirs.state.mkdir()
    deployed = await ENGINE.deploy([job], log=log, dirs=dirs, settings=Settings(variant=variant))
    async with deployed as deployment:
        yield Stage(log, deployment, job)


async def test_a_stopped_worker_keeps_settle_waiting(log: KafkaLog, tmp_path: Path) -> None:
    async with counting(log, tmp_path) as stage:
        stage.send(Event("a", 1))
        assert await stage.rows() == [b'{"k":"a","n":1}']
        [worker] = stage.deployment.processes()
        os.kill(worker.pid, signal.SIGSTOP)
        stage.send(Event("a", 2))
        settling = asyncio.create_task(stage.settle())
        done, _ = await asyncio.wait({settling}, timeout=1.5)
        assert not done
        os.kill(worker.pid, signal.SIGCONT)
        assert (await settling).status is Status.SETTLED
        assert await stage.rows() == [b'{"k":"a","n":2}']


async def test_settle_waits_for_the_commit_and_not_for_the_output(log: KafkaLog, tmp_path: Path) -> None:
    async with counting(log, tmp_path) as stage:
        stage.send(Event("a", 1))
        await stage.rows()
        await stage.deployment.arm(CrashPoint.AFTER_SINK)
        stage.send(Event("a", 2))
        reached = await stage.deployment.reached(within=WITHIN)
        assert "no offset is committed" in reached.evidence
        late = await stage.settle(within=timedelta(seconds=1))
        assert late.status is Status.DEADLINE
        assert "is at 1 of 2" in late.detail
        [worker] = stage.deployment.processes()
        worker.kill()
        with pytest.raises(EngineFailed):
            await stage.settle()
        await stage.deployment.restart()
        assert await stage.rows() == [b'{"k":"a","n":2}', b'{"k":"a","n":3}']


async def test_exactly_once_shows_output_before_its_commit(log: KafkaLog, tmp_path: Path) -> None:
    async with counting(log, tmp_path, "eos") as stage:
        stage.send(Event("a", 1))
        await stage.rows()
        await stage.deployment.arm(CrashPoint.AFTER_SINK)
        stage.send(Event("a", 2))
        await stage.deployment.reached(within=WITHIN)
        out = stage.job.output, 0
        assert log.ends([out], committed=True) == log.ends([out], committed=False)
        assert [row.value for row in log.read({out: (1, 2)}, committed=True)[out]] == [b'{"k":"a","n":2}']
        [worker] = stage.deployment.processes()
        worker.kill()
