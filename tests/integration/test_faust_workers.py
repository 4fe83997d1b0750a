"""Several workers, and a broker that goes away: what the catalogue cannot script, on the real processes."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engines.broker.kraft import Broker
from engines.broker.log import KafkaLog
from engines.contract import Job, Message, Place, RunDirs, Settings, Status
from engines.faust.engine import ENGINE, FaustDeployment
from engines.process import Child
from engines.wire import encode_event, row_decoder
from semantics.pipeline import Aggregate, Emit, Function, Source
from semantics.rows import Row
from semantics.timeline import CrashPoint, Event

pytestmark = pytest.mark.integration

WITHIN = timedelta(seconds=60)
COUNT = Aggregate(Source(), (Function.COUNT,), emit=Emit.UPDATE)
_numbers = itertools.count()


class Counting:
    """A running count over two partitions, key a in the first and key b in the second."""

    def __init__(self, log: KafkaLog, deployment: FaustDeployment, job: Job) -> None:
        self.log, self.deployment, self.job = log, deployment, job
        self.ends: dict[Place, int] = {(job.inputs["in"], partition): 0 for partition in range(2)}
        self.read: dict[Place, int] = {}
        self.seen: dict[str, list[int]] = {"a": [], "b": []}

    def send(self, keys: str = "ab") -> None:
        batches: dict[Place, list[Message]] = {}
        for key in keys:
            place = self.job.inputs["in"], "ab".index(key)
            batches.setdefault(place, []).append(encode_event(Event(key, 0)))
        self.ends.update(self.log.append(batches))

    async def settle(self) -> None:
        [answer] = (await self.deployment.settle({self.job.name: self.ends}, within=WITHIN)).values()
        assert answer.status is Status.SETTLED, answer.detail
        self.look(answer.ends)

    def look(self, ends: Mapping[Place, int]) -> None:
        decode = row_decoder(COUNT)
        ranges = {place: (self.read.get(place, 0), end) for place, end in ends.items()}
        for messages in self.log.read(ranges).values():
            for message in messages:
                row: Row = decode(message.value or b"")
                assert row.key is not None
                self.seen[row.key].append(dict(row.values)["n"])  # type: ignore[union-attr]
        self.read.update(ends)

    def everything(self) -> None:
        """Read the output to its end, whoever wrote it."""
        # A client that was there before the broker went away would ask by a leader's epoch that is over.
        with KafkaLog(self.log.bootstrap) as fresh:
            self.look(fresh.ends([(self.job.output, partition) for partition in range(2)]))

    async def balanced(self) -> dict[Child, set[int]]:
        """Return who owns which partitions, once every worker owns some and no two the same.

        A worker that is ready may have been so before the others joined, and then owned what is theirs by now.
        """
        async with asyncio.timeout(WITHIN.total_seconds()):
            while True:
                tasks = await asyncio.gather(*(standings(worker, self.job) for worker in self.workers))
                owned = [{task["partition"] for task in own} for own in tasks]
                if all(owned) and sorted(itertools.chain(*owned)) == [0, 1]:
                    return dict(zip(self.workers, owned, strict=True))
                await asyncio.sleep(0.05)

    @property
    def workers(self) -> list[Child]:
        return list(self.deployment._crew.children)


@asynccontextmanager
async def counting(bootstrap: str, folder: Path, workers: int, variant: str = "") -> AsyncIterator[Counting]:
    name = f"workers-{os.getpid()}-{next(_numbers)}"
    job = Job(name, COUNT, {"in": f"{name}-in"}, f"{name}-out", f"{name}-dead", 2)
    dirs = RunDirs(logs=folder / "logs", durable=folder / "durable", state=folder / "state")
    for path in (dirs.logs, dirs.durable, dirs.state):
        path.mkdir()
    with KafkaLog(bootstrap) as log:
        log.create(dict.fromkeys([job.inputs["in"], job.output, job.dead_letters], 2))
        async with await ENGINE.deploy(
            [job], log=log, dirs=dirs, settings=Settings(workers=workers, variant=variant)
        ) as deployment:
            yield Counting(log, deployment, job)


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(logs=tmp_path / "broker") as running:
        yield running


@pytest.mark.parametrize("point", [CrashPoint.AFTER_PROCESS, CrashPoint.AFTER_SINK])
async def test_a_zombie_writes_nothing_that_anybody_sees(broker: str, tmp_path: Path, point: CrashPoint) -> None:
    """A worker that stood still, was taken for dead, and wakes up in the middle of its commit: it joins again."""
    async with counting(broker, tmp_path, workers=2) as stage:
        stage.send()
        await stage.settle()
        await stage.deployment.arm(point)
        stage.send("a")
        [zombie] = (await stage.deployment.reached(within=WITHIN)).who
        assert isinstance(zombie, Child)
        [survivor] = [worker for worker in stage.workers if worker is not zombie]
        zombie.pause()
        await survivor.request("arm", within=WITHIN, point=None)
        await stage.settle()
        stage.send()
        await stage.settle()
        waking = asyncio.create_task(zombie.request("arm", within=WITHIN, point=None))
        zombie.resume()
        await waking
        await said(zombie, "is lost")
        assert "Fenced" in zombie.log.read_text()
        await stage.balanced()
        stage.send()
        await stage.settle()
        survivor.kill()
        await stage.deployment.scale(1)
        assert stage.workers == [zombie]
        stage.send()
        await stage.settle()
        stage.everything()
        assert stage.seen == {"a": [1, 2, 3, 4, 5], "b": [1, 2, 3, 4]}


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
async def test_a_broker_that_goes_and_comes_back_is_waited_for(tmp_path: Path, own_broker: Broker, kill: bool) -> None:
    async with counting(own_broker.bootstrap, tmp_path, workers=2) as stage:
        stage.send()
        await stage.settle()
        await asyncio.to_thread(own_broker.bounce, kill=kill)
        # When it was killed, the group has forgotten its members: whoever is first to join again gets all partitions,
        # and the broker then refuses the other, if it is in mid-commit.
        for _ in range(3):
            stage.send()
            await stage.settle()
        await stage.balanced()
        stage.send()
        await stage.settle()
        assert all(worker.alive() for worker in stage.workers)
        stage.everything()
        assert stage.seen == {"a": [1, 2, 3, 4, 5], "b": [1, 2, 3, 4, 5]}
        for worker in stage.workers:
            lines = worker.log.read_text()
            assert "Broker 1 answers again" in lines
            assert "Unable connect to node" not in lines, "a line for each attempt"


async def test_a_worker_that_leaves_hands_its_work_over_at_once(broker: str, tmp_path: Path) -> None:
    """Three workers for two partitions: one is idle; then the busy ones go, one by one."""
    async with counting(broker, tmp_path, workers=3) as stage:
        for left in (2, 1, 2, 1):
            stage.send()
            await stage.settle()
            await stage.deployment.scale(left)
        stage.send()
        await stage.settle()
        stage.everything()
        assert stage.seen == {"a": [1, 2, 3, 4, 5], "b": [1, 2, 3, 4, 5]}


@pytest.mark.parametrize(("variant", "most"), [("standby", 3), ("", None)])
async def test_a_standby_leaves_little_to_read(broker: str, tmp_path: Path, variant: str, most: int | None) -> None:
    """Two records a commit, some thirty commits: whoever has followed reads only what came last."""
    commits = 30
    async with counting(broker, tmp_path, workers=2, variant=variant) as stage:
        for _ in range(commits):
            stage.send()
            await stage.settle()
        victim, survivor = stage.workers
        inherited = (await stage.balanced())[victim]
        victim.kill()
        await stage.deployment.scale(1)
        stage.send()
        await stage.settle()
        restored = [task["restored"] for task in await standings(survivor, stage.job) if task["partition"] in inherited]
        assert all(count <= most if most else count >= commits for count in restored), restored
        stage.everything()
        assert stage.seen == {key: list(range(1, commits + 2)) for key in "ab"}


async def test_a_standby_whose_copy_is_damaged_reads_it_anew(broker: str, tmp_path: Path) -> None:
    """It owns other tasks, which must not notice; and whoever takes over finds a copy that is whole."""
    async with counting(broker, tmp_path, workers=2, variant="standby") as stage:
        stage.send()
        await stage.settle()
        # What is opened again has its rows in files of blocks, and none of them in memory.
        await stage.deployment.restart()
        await stage.settle()
        victim, survivor = stage.workers
        inherited = (await stage.balanced())[victim]
        number = stage.workers.index(survivor)
        assert hit(tmp_path, [f"state/*/{number}/{stage.job.name}/{partition}/*.sst" for partition in inherited])
        stage.send()
        await stage.settle()
        await said(survivor, "read from the changelog again")
        victim.kill()
        await stage.deployment.scale(1)
        stage.send()
        await stage.settle()
        restored = {task["partition"]: task["restored"] for task in await standings(survivor, stage.job)}
        assert all(restored[partition] <= 3 for partition in inherited), restored
        stage.everything()
        assert stage.seen == {key: [1, 2, 3] for key in "ab"}


async def test_a_worker_whose_own_store_is_damaged_reads_it_anew(broker: str, tmp_path: Path) -> None:
    async with counting(broker, tmp_path, workers=1) as stage:
        stage.send()
        await stage.settle()
        # What is opened again has its rows in files of blocks, and none of them in memory.
        await stage.deployment.restart()
        await stage.settle()
        [worker] = stage.workers
        assert hit(tmp_path, [f"state/*/0/{stage.job.name}/0/*.sst"])
        for _ in range(2):
            stage.send()
            await stage.settle()
        assert worker.alive()
        assert "is lost" in worker.log.read_text()
        stage.everything()
        assert stage.seen == {key: [1, 2, 3] for key in "ab"}


def hit(folder: Path, patterns: Iterable[str]) -> int:
    """Alter the first bytes of every file of blocks; return how many there are."""
    files = [file for pattern in patterns for file in folder.glob(pattern)]
    for file in files:
        with file.open("r+b") as blocks:
            blocks.write(b"\xff" * 16)
    return len(files)


async def said(worker: Child, words: str) -> None:
    """Wait until a worker's log has these words."""
    async with asyncio.timeout(WITHIN.total_seconds()):
        while words not in worker.log.read_text():  # noqa: ASYNC110  (a file has no event for it)
            await asyncio.sleep(0.05)


async def standings(worker: Child, job: Job) -> list[dict[str, Any]]:
    """Ask a worker of its tasks, when it is in no rebalance that it knows of."""
    within_s = WITHIN.total_seconds()
    answer = await worker.request("settle", within=2 * WITHIN, ends={job.name: {}}, within_s=within_s)
    tasks: list[dict[str, Any]] = answer["tasks"]
    return tasks
