"""Spark on a standalone cluster of two workers: the same jobs, the connector's jars on the executors, and who dies."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from engines.broker.log import KafkaLog
from engines.process import Child
from engines.spark.checkpoint import Checkpoint, Journal
from engines.spark.cluster import MASTER, LocalCluster, local_cluster
from engines.spark.lab import WITHIN, Lab
from engines.warden import await_gone, group
from semantics.pipeline import Aggregate, Emit, How, Join, Pipeline, Session, Source, Tumbling
from semantics.time import s

pytestmark = pytest.mark.integration

PIPELINES: dict[str, Pipeline] = {
    "running": Aggregate(Source(), emit=Emit.UPDATE),
    "window": Aggregate(Source(delay=s(0)), window=Tumbling(s(10))),
    "session": Aggregate(Source(delay=s(0)), window=Session(s(10))),
    "join": Join(Source("L", delay=s(0)), Source("R", delay=s(0)), lo=s(0), hi=s(5), how=How.LEFT),
}


async def test_two_workers_hold_the_state_and_a_restart_finds_it(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = tmp_path / "cluster"
    logs.mkdir()
    path = tmp_path / "weir-cluster"
    path.mkdir()
    with local_cluster(logs) as address, KafkaLog(broker) as log:
        monkeypatch.setenv(MASTER, address)
        lab = Lab(log, path, PIPELINES)
        await lab.spark.launch()
        async with lab.spark:
            await lab.send(running="a@1 b@2 c@3", window="a@1 b@2 c@3", session="a@1 b@2 c@3", join="L:a@1 L:b@2")
            assert await lab.rows() == {"running": ["a=1", "b=1", "c=1"]}
            await lab.spark.restart(wipe_state=True)
            await lab.send(running="a@4", window="z@20", session="a@5 z@60", join="R:a@3")
            assert await lab.rows() == {
                "running": ["a=2"],
                "window": ["a[0,10)=1", "b[0,10)=1", "c[0,10)=1"],
                "session": ["a[1,15)=2", "b[2,12)=1", "c[3,13)=1"],
                "join": ["a(1#e1,3#e1)"],
            }
    executors = [sorted(path.name for path in (logs / f"worker-{n}").glob("app-*/*")) for n in range(2)]
    assert all(executors), f"an executor on each worker for each start: {executors}"


KEYS = 64_000
"""So many that their rows are under way for a second: time enough to stop who writes them."""
AT_ONCE = 6_400
"""Events that fit one append."""


def executors(worker: Child) -> list[psutil.Process]:
    return [process for process in group(worker.pid) if "CoarseGrainedExecutorBackend" in " ".join(process.cmdline())]


class Batch:
    """The next batch of the lab's one job, `running`, told by its output and its checkpoint."""

    def __init__(self, lab: Lab) -> None:
        self._log, self._output = lab.log, (lab.job("running").output, 0)
        self._checkpoint = Checkpoint(lab.path / "durable" / lab.job("running").name)
        self._number = self._checkpoint.last(Journal.COMMITTED) + 1
        self._before = self._end()

    def rows(self) -> int:
        return self._end() - self._before

    def hold(self, tasks: Sequence[psutil.Process]) -> None:
        """SIGSTOP those that run its tasks while they write, and make sure that none is done."""
        deadline = time.monotonic() + WITHIN.total_seconds()
        while not self.rows():
            assert time.monotonic() < deadline, "the batch never began to write"
        for task in tasks:
            task.suspend()
        while any(task.status() != psutil.STATUS_STOPPED for task in tasks):
            assert time.monotonic() < deadline, "an executor does not stop"
        assert self._checkpoint.has(Journal.PLANNED, self._number)
        assert not self._checkpoint.has(Journal.COMMITTED, self._number)
        # A task ends with the commit of its partition's state.
        done = list(self._checkpoint.path.glob(f"state/0/*/{self._number + 1}.changelog"))
        assert not done, f"{self.rows()} rows are out, too late: {done}"

    def _end(self) -> int:
        return self._log.ends([self._output], committed=False)[self._output]


async def test_who_dies_in_mid_batch_is_replaced_no_row_is_lost_and_every_count_is_right(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, path = tmp_path / "cluster", tmp_path / "weir-killed"
    logs.mkdir()
    path.mkdir()
    with KafkaLog(broker) as log, contextlib.closing(LocalCluster(logs, cores=2)) as cluster:
        cluster.scale(2)
        monkeypatch.setenv(MASTER, cluster.address)
        lab = Lab(log, path, {"running": PIPELINES["running"]})
        await lab.spark.launch()
        async with lab.spark:
            (driver,) = lab.spark.processes()
            for step, harmed in enumerate(("nobody", "an executor", "a worker"), 1):
                batch = Batch(lab)
                # So that all of it is one batch.
                driver.pause()
                for first in range(0, KEYS, AT_ONCE):
                    await lab.send(running=" ".join(f"k{key}@{step}" for key in range(first, first + AT_ONCE)))
                driver.resume()
                if harmed != "nobody":
                    tasks = [process for worker in cluster.workers for process in executors(worker)]
                    assert len(tasks) == 2, tasks
                    await asyncio.to_thread(batch.hold, tasks)
                    print(harmed, batch.rows())
                    victim, *others = tasks
                    if harmed == "an executor":
                        victim.kill()
                        await asyncio.to_thread(await_gone, [victim])
                    else:
                        await asyncio.to_thread(cluster.workers[0].kill)
                    for other in others:
                        other.resume()
                answer = (await lab.settle())["running"]
                assert not answer.detail
                seen = Counter(await lab.said("running"))
                print(harmed, sum(seen.values()) - KEYS)
                assert seen.keys() == {f"k{key}={step}" for key in range(KEYS)}, harmed
            assert driver.alive()
            assert lab.spark.processes() == (driver,)
