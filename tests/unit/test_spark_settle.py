"""When Spark has settled: a drain counts only if it began with the asked input already committed."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engines.contract import Job, RunDirs, Settings, Status
from engines.errors import EngineFailed
from engines.memory import MemoryLog
from engines.spark.engine import SparkDeployment
from engines.spark.variants import VARIANTS, trigger
from semantics.pipeline import Absence, Source, Timer

WITHIN = timedelta(seconds=5)
JOB = Job("job", Source(), {"in": "in"}, "out", "dead")


class Driver:
    """Answers drains; before each answer, it does what the script says."""

    def __init__(self, *drains: Any) -> None:
        self.drains = list(drains)

    async def request(self, do: str, *, within: timedelta, **_: Any) -> dict[str, Any]:
        assert (do, within > timedelta(0)) == ("drain", True)
        return self.drains.pop(0)()  # type: ignore[no-any-return]


def commit(checkpoint: Path, batch: int, end: int) -> None:
    for folder in ("offsets", "commits"):
        (checkpoint / folder).mkdir(parents=True, exist_ok=True)
    (checkpoint / "offsets" / str(batch)).write_text("v1\n{}\n" + json.dumps({"in": {"0": end}}))
    (checkpoint / "commits" / str(batch)).write_text('v1\n{"nextBatchWatermarkMs":0}')


async def test_a_drain_that_returned_early_does_not_count_though_a_batch_has_committed_since(tmp_path: Path) -> None:
    log = MemoryLog()
    log.create({"out": 1})
    spark = SparkDeployment([JOB], log, RunDirs(logs=tmp_path, durable=tmp_path, state=tmp_path), Settings())

    def early() -> dict[str, Any]:
        commit(tmp_path / "job", 0, 2)
        return {"late": 1, "duplicates": 0, "dead": 0, "rows": 5}

    def whole() -> dict[str, Any]:
        commit(tmp_path / "job", 1, 2)
        return {"late": 1, "duplicates": 0, "dead": 0, "rows": 3}

    spark._child = Driver(early, whole)  # type: ignore[assignment]
    [answer] = (await spark.settle({"job": {("in", 0): 2}}, within=WITHIN)).values()
    assert answer.status is Status.SETTLED
    assert (answer.progress.late, answer.progress.state_rows) == (2, 3)


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if trigger(variant).bounded])
async def test_a_run_that_ends_is_asked_for_once(variant: str, tmp_path: Path) -> None:
    log = MemoryLog()
    log.create({"out": 1})
    dirs = RunDirs(logs=tmp_path, durable=tmp_path, state=tmp_path)
    spark = SparkDeployment([JOB], log, dirs, Settings(variant=variant))

    def whole() -> dict[str, Any]:
        commit(tmp_path / "job", 0, 2)
        return {"late": 1, "duplicates": 0, "dead": 0, "rows": 3}

    spark._child = Driver(whole)  # type: ignore[assignment]
    [answer] = (await spark.settle({"job": {("in", 0): 2}}, within=WITHIN)).values()
    assert (answer.status, answer.progress.late) == (Status.SETTLED, 1)


class Clock:
    """Notes how much time it was told that has passed."""

    def __init__(self) -> None:
        self.passed: list[Any] = []

    async def request(self, do: str, *, within: timedelta, ms: int) -> dict[str, Any]:
        assert (do, within > timedelta(0)) == ("pass_time", True)
        self.passed.append(ms)
        return {}


async def test_processing_time_is_told_where_a_job_has_timers_of_it(tmp_path: Path) -> None:
    job = Job("job", Absence(Source(), after=timedelta(days=1), timer=Timer.PROCESSING_TIME), {"in": "in"}, "out", "d")
    dirs = RunDirs(logs=tmp_path, durable=tmp_path, state=tmp_path)
    spark, clock = SparkDeployment([job], MemoryLog(), dirs, Settings()), Clock()
    spark._child = clock  # type: ignore[assignment]
    async with asyncio.timeout(WITHIN.total_seconds()):
        await spark.pass_time(timedelta(days=1))
    assert clock.passed == [86_400_000]


async def test_a_dead_driver_fails_the_whole_deployment(tmp_path: Path) -> None:
    spark = SparkDeployment([JOB], MemoryLog(), RunDirs(logs=tmp_path, durable=tmp_path, state=tmp_path), Settings())

    def dies() -> dict[str, Any]:
        raise EngineFailed("spark ended by SIGKILL.")

    spark._child = Driver(dies)  # type: ignore[assignment]
    with pytest.raises(EngineFailed, match="SIGKILL"):
        await spark.settle({"job": {("in", 0): 2}}, within=WITHIN)
