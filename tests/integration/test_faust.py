"""The Faust engine on a real broker: what the oracle predicts, in all families, across kills at every crash point."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from engines.broker.log import KafkaLog
from engines.contract import Job, Message, Place, Profile, Reached, RunDirs, Settings, Settled, Status
from engines.errors import Deadline, EngineFailed
from engines.faust.engine import ENGINE, FaustDeployment
from engines.wire import encode_event, row_decoder
from semantics.expectation import script
from semantics.expr import ID
from semantics.oracle import Prediction, predict
from semantics.pipeline import (
    Absence,
    Aggregate,
    Dedup,
    Emit,
    Function,
    Hopping,
    How,
    Join,
    KeyBy,
    Pipeline,
    Session,
    Source,
    Timer,
    Tumbling,
    sources,
)
from semantics.rows import Row, sort_key
from semantics.time import T0_US, s
from semantics.timeline import CrashPoint, Event, Raw, Send, Timeline, partitions

pytestmark = pytest.mark.integration

WITHIN = timedelta(seconds=30)
COUNT = Aggregate(Source(), (Function.COUNT, Function.SUM), emit=Emit.UPDATE)
WINDOWS = Aggregate(Source(delay=s(5)), window=Tumbling(s(10)))
SESSIONS = Aggregate(Source(delay=s(5)), window=Session(s(10)))
HOPS = Aggregate(
    Source(delay=s(5)), (Function.MIN, Function.MAX), window=Hopping(s(10), s(4), offset=s(1), grace=s(3))
)  # fmt: skip
PAIRS = Join(Source("L", delay=s(5)), Source("R", delay=s(5)), lo=s(-5), hi=s(5), how=How.FULL)
FIRSTS = Dedup(Source(delay=s(5)), horizon=s(5))
REKEYED = Aggregate(KeyBy(Source(delay=s(5)), ID), window=Tumbling(s(10)))
PIPELINES: tuple[Pipeline, ...] = (COUNT, WINDOWS, HOPS, SESSIONS, PAIRS, FIRSTS, REKEYED)

ONE_INPUT = ("a#p@0 a=3@7 b@12/1 ~@3", "a#q@21 b@30/1", "a@2 a#q@26 b@45/1 a@~", "a#p@60 b#r@61/1", "a@90 b@91/1",
             "a@99 b#r@99/1")  # fmt: skip
TWO_INPUTS = ("L:a@0 L:b@1/1 L:~@2", "R:a@4 R:b@30/1", "L:a@20 L:b@31/1", "R:a@21 R:b@50/1", "L:a@70 L:b@70/1",
              "R:a@90 R:b@90/1")  # fmt: skip


@dataclass
class Part:
    """One job, its script, and what came out so far."""

    job: Job
    timeline: Timeline
    decode: Callable[[bytes], Row]
    ends: dict[Place, int]
    read: dict[Place, int] = field(default_factory=dict)
    seen: list[tuple[object, ...]] = field(default_factory=list)


class Stage:
    """A deployment with its jobs, played step by step."""

    def __init__(self, log: KafkaLog, deployment: FaustDeployment, parts: Sequence[Part]) -> None:
        self.log, self.deployment, self.parts = log, deployment, parts

    def send(self, step: int) -> None:
        for part in self.parts:
            batches: dict[Place, list[Message]] = {}
            events = part.timeline[step]
            assert isinstance(events, Send)
            for event in events.events:
                place = part.job.inputs[event.input], event.partition
                batches.setdefault(place, []).append(encode_event(event))
            part.ends.update(self.log.append(batches))

    async def settle(self, within: timedelta = WITHIN) -> Mapping[str, Settled]:
        return await self.deployment.settle({part.job.name: part.ends for part in self.parts}, within=within)

    async def step(self, step: int) -> None:
        self.send(step)
        await self.look()

    async def look(self) -> None:
        """Settle, read what came out, and note it beside the figures."""
        for name, answer in (await self.settle()).items():
            assert answer.status is Status.SETTLED, answer.detail
            [part] = [part for part in self.parts if part.job.name == name]
            told = answer.progress
            wm = None if told.watermark_us is None else told.watermark_us - T0_US
            part.seen.append((self.rows(part, answer.ends), wm, told.late, told.duplicates, told.dead, told.state_rows))

    def rows(self, part: Part, ends: Mapping[Place, int]) -> tuple[Row, ...]:
        found = self.log.read({place: (part.read.get(place, 0), end) for place, end in ends.items()})
        part.read.update(ends)
        values = [message.value for messages in found.values() for message in messages]
        return tuple(sorted((part.decode(value or b"") for value in values), key=sort_key))

    async def crash(self, point: CrashPoint, step: int, *, wipe: bool) -> Reached:
        """Kill the worker at the point of a step's processing, start it again, and let it finish the step."""
        await self.deployment.arm(point)
        self.send(step)
        reached = await self.deployment.reached(within=WITHIN)
        [worker] = self.deployment.processes()
        worker.kill()
        assert not worker.alive()
        await self.deployment.restart(wipe_state=wipe)
        await self.look()
        return reached

    def check(self) -> None:
        """Every job showed what the oracle predicts."""
        for part in self.parts:
            allowed = [outcome(prediction) for prediction in predict(part.job.pipeline, part.timeline)]
            assert any(o[: len(part.seen)] == part.seen for o in allowed), (part.job.pipeline, part.seen, allowed[0])


def outcome(prediction: Prediction) -> list[tuple[object, ...]]:
    return [(tuple(sorted(r.rows, key=sort_key)), r.wm, r.late, r.dup, len(r.dead), r.state) for r in prediction]


_numbers = itertools.count()
Deploy = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest.fixture
def deploy(log: KafkaLog, tmp_path: Path) -> Deploy:
    @asynccontextmanager
    async def deployed(
        pipelines: Sequence[Pipeline],
        *,
        variant: str = "",
        timelines: Sequence[Timeline] | None = None,
        profile: Profile = Profile.SUITE,
    ) -> AsyncIterator[Stage]:
        parts = []
        for number, pipeline in enumerate(pipelines):
            name = f"faust-{os.getpid()}-{next(_numbers)}"
            inputs = {source.name: f"{name}-{source.name}" for source in sources(pipeline)}
            timeline = timelines[number] if timelines else script(*(TWO_INPUTS if len(inputs) == 2 else ONE_INPUT))
            count = partitions(timeline)
            job = Job(name, pipeline, inputs, f"{name}-out", f"{name}-dead", count)
            ends = {(topic, partition): 0 for topic in inputs.values() for partition in range(count)}
            log.create(dict.fromkeys([*inputs.values(), job.output, job.dead_letters], count))
            parts.append(Part(job, timeline, row_decoder(pipeline), ends))
        dirs = RunDirs(logs=tmp_path / "logs", durable=tmp_path / "durable", state=tmp_path / "state")
        for path in (dirs.logs, dirs.durable, dirs.state):
            path.mkdir()
        settings = Settings(variant=variant, profile=profile)
        jobs = [part.job for part in parts]
        async with await ENGINE.deploy(jobs, log=log, dirs=dirs, settings=settings) as deployment:
            yield Stage(log, deployment, parts)

    return deployed


async def test_all_families_do_what_the_oracle_predicts(deploy: Deploy) -> None:
    async with deploy(PIPELINES) as stage:
        for step in range(len(ONE_INPUT)):
            await stage.step(step)
        stage.check()
        size = await stage.deployment.state(stage.parts[0].job.name)
        assert size.rows == 3
        assert size.live_bytes is not None
        assert size.restore_bytes is not None
        assert 0 < size.live_bytes < size.restore_bytes


@pytest.mark.parametrize("point", CrashPoint)
async def test_a_kill_changes_nothing(deploy: Deploy, point: CrashPoint) -> None:
    async with deploy(PIPELINES) as stage:
        await stage.step(0)
        kept = await stage.crash(point, 1, wipe=False)
        await stage.step(2)
        wiped = await stage.crash(point, 3, wipe=True)
        await stage.crash(point, 4, wipe=False)
        await stage.step(5)
        stage.check()
        assert kept.evidence
        assert not kept.reconstructed
        assert not wiped.reconstructed


async def test_a_restart_changes_nothing(deploy: Deploy) -> None:
    async with deploy(PIPELINES) as stage:
        for step in range(len(ONE_INPUT)):
            await stage.step(step)
            await stage.deployment.restart(wipe_state=step % 2 == 1)
        stage.check()


async def test_by_the_wall_a_timer_fires_too(deploy: Deploy) -> None:
    """In the suite time is told; this is how it passes elsewhere."""
    silent = Absence(Source(), after=s(1), timer=Timer.PROCESSING_TIME)
    async with deploy([silent], timelines=[script("a@1")], profile=Profile.BENCH) as stage:
        stage.send(0)
        await stage.settle()
        await stage.deployment.pass_time(s(1))
        [part] = stage.parts
        [answer] = (await stage.settle()).values()
        assert [row.key for row in stage.rows(part, answer.ends)] == ["a"]
        assert answer.progress.state_rows == 0


def roll_back(folder: Path) -> None:
    """Put every store back to where it was when it was saved."""
    for saved in folder.glob("saved/*/*/*/*"):
        store = folder / "state" / saved.relative_to(folder / "saved")
        shutil.rmtree(store)
        shutil.copytree(saved, store)


def damage(folder: Path) -> None:
    """Alter a byte in the catalogue of every store's files."""
    for manifest in folder.glob("state/**/MANIFEST-*"):
        data = bytearray(manifest.read_bytes())
        data[10] ^= 255
        manifest.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [roll_back, damage])
async def test_an_old_or_damaged_store_changes_nothing(
    deploy: Deploy, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    async with deploy(PIPELINES) as stage:
        await stage.step(0)
        await stage.deployment.stop()
        shutil.copytree(tmp_path / "state", tmp_path / "saved")
        await stage.deployment.restart()
        for step in (1, 2, 3):
            await stage.step(step)
        await stage.deployment.stop()
        harm(tmp_path)
        await stage.deployment.restart()
        for step in (4, 5):
            await stage.step(step)
        stage.check()
        seen = (tmp_path / "logs" / "faust-worker.log").read_text()
        assert ("read from the changelog again" in seen) is (harm is damage)


async def test_at_least_once_repeats_output_and_keeps_state_exact(deploy: Deploy) -> None:
    async with deploy([COUNT], variant="at-least-once", timelines=[script("a@0 b@0", "a@1 b@1", "a@2 b@2")]) as stage:
        await stage.step(0)
        reached = await stage.crash(CrashPoint.AFTER_SINK, 1, wipe=False)
        await stage.step(2)
        assert "no commit is on the changelog" in reached.evidence
        [part] = stage.parts
        [prediction] = predict(COUNT, part.timeline)
        for number, (rows, *figures) in enumerate(part.seen):
            assert isinstance(rows, tuple)
            wanted = Counter(prediction[number].rows)
            # Killed between output and commit, it says all of that step again, and nothing else.
            assert Counter(rows) == (wanted + wanted if number == 1 else wanted)
            assert figures[-1] == prediction[number].state


@pytest.mark.parametrize("point", CrashPoint)
async def test_at_least_once_says_nothing_else(deploy: Deploy, point: CrashPoint) -> None:
    timeline = script("a@0 b@0", "a@1 b@1", "a@2 b@2", "a@3 b@3")
    async with deploy([COUNT], variant="at-least-once", timelines=[timeline]) as stage:
        await stage.step(0)
        await stage.crash(point, 1, wipe=True)
        await stage.crash(point, 2, wipe=False)
        await stage.step(3)
        [prediction] = predict(COUNT, timeline)
        for (rows, *_, state), wanted in zip(stage.parts[0].seen, prediction, strict=True):
            assert isinstance(rows, tuple)
            assert set(rows) == set(wanted.rows)
            assert state == wanted.state


async def test_unusable_records_are_kept_with_their_coordinates(deploy: Deploy, log: KafkaLog) -> None:
    timeline = (Send((Raw(b"{"), Event("a", 0, "e1"), Raw(b'{"v":"x"}'), Event("a", None, "e2"))),)
    async with deploy([WINDOWS], timelines=[timeline]) as stage:
        await stage.step(0)
        stage.check()
        [part] = stage.parts
        place = (part.job.dead_letters, 0)
        [dead] = log.read({place: (0, 3)}).values()
        assert [message.value for message in dead][:2] == [b"{", b'{"v":"x"}']
        assert dead[2].key == b"a"


async def test_settle_waits_for_a_worker_that_is_stopped(deploy: Deploy) -> None:
    async with deploy([COUNT]) as stage:
        await stage.step(0)
        [worker] = stage.deployment.processes()
        os.kill(worker.pid, signal.SIGSTOP)
        stage.send(1)
        waiting = asyncio.create_task(stage.settle())
        done, _ = await asyncio.wait([waiting], timeout=0.5)
        assert not done
        os.kill(worker.pid, signal.SIGCONT)
        assert [answer.status for answer in (await waiting).values()] == [Status.SETTLED]


async def test_what_is_not_reached_is_said(deploy: Deploy) -> None:
    async with deploy([COUNT]) as stage:
        [part] = stage.parts
        part.ends[part.job.inputs["in"], 0] = 5
        [answer] = (await stage.settle(timedelta(milliseconds=100))).values()
        assert answer.status is Status.DEADLINE
        assert "is at 0 of 5" in answer.detail
        await stage.deployment.arm(CrashPoint.AFTER_SINK)
        with pytest.raises(EngineFailed, match="no task stood still"):
            await stage.deployment.reached(within=WITHIN)
        [worker] = stage.deployment.processes()
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(Deadline):
            await stage.deployment.reached(within=timedelta(milliseconds=100))
        worker.kill()
        with pytest.raises(EngineFailed, match="SIGKILL"):
            await stage.settle()


async def test_a_graceful_stop_loses_nothing(deploy: Deploy) -> None:
    async with deploy(PIPELINES) as stage:
        await stage.step(0)
        [worker] = stage.deployment.processes()
        stage.send(1)
        await stage.deployment.stop()
        assert not worker.alive()
        assert stage.deployment.processes() == []
        await stage.deployment.restart()
        await stage.look()
        stage.check()
