"""Spark on a standalone cluster of two workers: the same jobs, the connector's jars on the executors, and one dies."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
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

pytestmark = [pytest.mark.integration, pytest.mark.extra]

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


KEYS = 32_000
"""So many that their rows are under way for a while, time enough to stop who writes them; half in each task."""
AT_ONCE = 6_400
"""Events that fit one append."""


class Batch:
    """The next batch of the lab's one job, `running`, told by its output and its checkpoint."""

    def __init__(self, lab: Lab) -> None:
        self._log, self._output = lab.log, (lab.job("running").output, 0)
        self._checkpoint = Checkpoint(lab.path / "durable" / lab.job("running").name)
        self._number = self._checkpoint.last(Journal.COMMITTED) + 1
        self._before = self._end()

    def hold(self, worker: Child) -> tuple[psutil.Process, int]:
        """SIGSTOP the one executor in the middle of its writing; return it, and how many rows are out."""
        (executor,) = (p for p in group(worker.pid) if "CoarseGrainedExecutorBackend" in " ".join(p.cmdline()))
        deadline = time.monotonic() + WITHIN.total_seconds()
        while self._end() == self._before:
            assert time.monotonic() < deadline, "the batch never began to write"
        executor.suspend()
        while executor.status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < deadline, "the executor does not stop"
        rows = self._end() - self._before
        assert self._checkpoint.has(Journal.PLANNED, self._number)
        assert not self._checkpoint.has(Journal.COMMITTED, self._number), f"too late, {rows} rows are out"
        assert 0 < rows < KEYS, "its last rows are out too"
        return executor, rows

    def _end(self) -> int:
        return self._log.ends([self._output], committed=False)[self._output]


async def test_an_executor_or_a_worker_that_dies_in_mid_batch_loses_nothing_its_rows_come_again(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, path = tmp_path / "cluster", tmp_path / "weir-killed"
    logs.mkdir()
    path.mkdir()
    # One worker of one core has one executor: so that it is the one that writes.
    with KafkaLog(broker) as log, contextlib.closing(LocalCluster(logs, cores=1)) as cluster:
        cluster.scale(1)
        monkeypatch.setenv(MASTER, cluster.address)
        lab = Lab(log, path, {"running": PIPELINES["running"]})
        await lab.spark.launch()
        async with lab.spark:
            (driver,) = lab.spark.processes()
            for step, harmed in enumerate(("nobody", "the executor", "its worker"), 1):
                batch, out = Batch(lab), 0
                # So that all of it is one batch.
                driver.pause()
                for first in range(0, KEYS, AT_ONCE):
                    await lab.send(running=" ".join(f"k{key}@{step}" for key in range(first, first + AT_ONCE)))
                driver.resume()
                if harmed != "nobody":
                    executor, out = await asyncio.to_thread(batch.hold, cluster.workers[0])
                    if harmed == "its worker":
                        # Its whole group, as when the machine goes; another one joins.
                        cluster.workers.pop().kill()
                        await asyncio.to_thread(cluster.scale, 1)
                    else:
                        executor.kill()
                    await asyncio.to_thread(await_gone, [executor])
                answer = (await lab.settle())["running"]
                assert not answer.detail
                seen = Counter(await lab.said("running"))
                assert seen.keys() == {f"k{key}={step}" for key in range(KEYS)}, harmed
                # Those of a task that was done before do not come again.
                if out < KEYS * 0.4:
                    assert seen.total() - KEYS >= out, f"{harmed}: the kill did not bite, {out} rows were out"
            assert driver.alive()
            assert lab.spark.processes() == (driver,)
