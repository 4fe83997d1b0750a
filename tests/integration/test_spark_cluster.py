"""Spark on a standalone cluster of two workers: the same jobs, the connector's jars on the executors."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.broker.log import KafkaLog
from engines.spark.cluster import MASTER, local_cluster
from engines.spark.lab import Lab
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
