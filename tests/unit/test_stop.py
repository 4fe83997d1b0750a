"""A stop that did not go well is told; one that follows an error hides nothing. With real children."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.contract import Deployment, Profile, RunDirs, Settings
from engines.errors import EngineFailed
from engines.faust.engine import FaustDeployment
from engines.faust.plan import Guarantee, Plan
from engines.memory import MemoryLog
from engines.process import Child
from engines.spark.engine import SparkDeployment

FAILS = """
import json, signal, sys
def fail(*_):
    print("the last commit failed", file=sys.stderr, flush=True)
    sys.exit(70)
signal.signal(signal.SIGTERM, fail)
print("up", file=sys.stderr, flush=True)
for line in sys.stdin:
    print(json.dumps({"id": json.loads(line)["id"], "ok": {}}), flush=True)
"""
Make = Callable[[RunDirs, Child], Deployment]


def faust(dirs: RunDirs, child: Child) -> Deployment:
    plan = Plan(
        bootstrap="", group="group", member="group", session_timeout_s=6.0, guarantee=Guarantee.EXACTLY_ONCE,
        commit_interval_s=0.0, fetch_records=10, profile=Profile.SUITE, state_dir="", stages=[],
    )  # fmt: skip
    deployment = FaustDeployment(plan, MemoryLog(), dirs, workers=1)
    deployment._crew._workers[0] = child
    return deployment


def spark(dirs: RunDirs, child: Child) -> Deployment:
    return SparkDeployment([], MemoryLog(), dirs, Settings(), _child=child)


@pytest.fixture
def child(tmp_path: Path) -> Child:
    log = tmp_path / "log"
    started = Child("worker", [sys.executable, "-c", FAILS], log=log, talk=True)
    deadline = time.monotonic() + 20
    while "up" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return started


@pytest.fixture(params=[faust, spark], ids=["faust", "spark"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path, child: Child) -> Deployment:
    make: Make = request.param
    return make(RunDirs(logs=tmp_path, durable=tmp_path, state=tmp_path), child)


async def test_a_worker_whose_last_commit_fails_is_no_clean_stop(deployment: Deployment, child: Child) -> None:
    with pytest.raises(EngineFailed, match=r"(?s)exit code 70.*the last commit failed"):
        await deployment.stop()
    assert not child.alive()
    await deployment.stop()  # Once more is nothing.


async def test_leaving_tells_it_too(deployment: Deployment, child: Child) -> None:
    with pytest.raises(EngineFailed, match="exit code 70"):
        async with deployment:
            pass
    assert not child.alive()


async def test_an_earlier_error_is_the_one_to_tell(deployment: Deployment, child: Child) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with deployment:
            raise ValueError("mine")
    assert not child.alive()


async def test_what_was_killed_by_handle_needs_no_stop(deployment: Deployment, child: Child) -> None:
    child.kill()
    await deployment.stop()
