"""Connections that break in the middle of a request: it is lost, or only its answer is. Nobody exits, nothing is lost.

Each request that a worker makes is cut off once, at its start, at work, and at its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.errors import EngineFailed
from engines.faust.task import FATAL_EXIT
from tests.integration.test_faust_workers import Counting, counting, said
from tests.integration.wire import Api, Wire, wired

pytestmark = pytest.mark.integration
AT_WORK = (
    Api.ADD_PARTITIONS_TO_TXN,
    Api.PRODUCE,
    Api.ADD_OFFSETS_TO_TXN,
    Api.TXN_OFFSET_COMMIT,
    Api.END_TXN,
    Api.FETCH,
    Api.HEARTBEAT,
    # Asked for again after a cut, by the consumer and by the producers: by these after a failed attempt to connect.
    *[Api.API_VERSIONS, Api.FIND_COORDINATOR] * 6,
    Api.METADATA,
)
AT_THE_START = (
    Api.API_VERSIONS,
    Api.METADATA,
    Api.DESCRIBE_CONFIGS,
    Api.FIND_COORDINATOR,
    Api.JOIN_GROUP,
    Api.SYNC_GROUP,
    Api.INIT_PRODUCER_ID,
    Api.LIST_OFFSETS,
    Api.OFFSET_FETCH,
)


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with wired(tmp_path_factory.mktemp("broker")) as made:
        yield made


def address(wire: Wire) -> str:
    return f"127.0.0.1:{wire.port}"


async def count(stage: Counting) -> None:
    stage.send()
    await stage.settle()


def judge(stage: Counting) -> None:
    """Look that the worker never ended, and that every answer is exact."""
    assert all(worker.alive() for worker in stage.workers)
    stage.everything()
    sent = list(range(1, len(stage.seen["a"]) + 1))
    assert stage.seen == {"a": sent, "b": sent}


@pytest.mark.parametrize("answered", [False, True], ids=["lost", "unanswered"])
async def test_at_work(wire: Wire, tmp_path: Path, answered: bool) -> None:
    async with counting(address(wire), tmp_path, workers=1) as stage:
        await count(stage)
        wire.cut(*AT_WORK, answered=answered)
        while wire.uncut.total():
            await count(stage)
        await count(stage)
        judge(stage)
        assert "is lost" not in stage.workers[0].log.read_text()


@pytest.mark.parametrize("answered", [False, True], ids=["lost", "unanswered"])
async def test_at_the_start(wire: Wire, tmp_path: Path, answered: bool) -> None:
    async with counting(address(wire), tmp_path, workers=1) as stage:
        await count(stage)
        await stage.deployment.stop()
        wire.cut(*AT_THE_START, answered=answered)
        await stage.deployment.restart()
        assert not wire.uncut.total()
        await count(stage)
        judge(stage)


async def test_at_the_end(wire: Wire, tmp_path: Path) -> None:
    async with counting(address(wire), tmp_path, workers=1) as stage:
        await count(stage)
        wire.cut(Api.LEAVE_GROUP, answered=True)
        await stage.deployment.stop()
        assert not wire.uncut.total()
        judge(stage)


async def test_a_broker_that_is_away_when_a_worker_starts_is_waited_for(wire: Wire, tmp_path: Path) -> None:
    async with counting(address(wire), tmp_path, workers=1) as stage:
        await count(stage)
        await stage.deployment.stop()
        with wire.closed():
            starting = asyncio.create_task(stage.deployment.restart())
            while not stage.workers:  # noqa: ASYNC110  (it has no event)
                await asyncio.sleep(0.01)
            await said(stage.workers[0], f"Broker {address(wire)} is unreachable")
            assert not starting.done()
        await starting
        await count(stage)
        judge(stage)


async def test_a_member_that_its_group_refuses_ends(wire: Wire, tmp_path: Path) -> None:
    """It would wait for ever: aiokafka keeps the error for somebody who asks, and at the start nobody does."""
    async with counting(address(wire), tmp_path, workers=1) as stage:
        await stage.deployment.stop()
        wire.refused = Api.JOIN_GROUP
        with pytest.raises(EngineFailed, match=f"exit code {FATAL_EXIT}") as ended:
            await stage.deployment.restart()
        assert "Unexpected error during coordination" in ended.value.exception
