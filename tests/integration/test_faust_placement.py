"""The check at start for keys that lie in several partitions of inputs that meet, on a real broker."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer

from engines.broker.log import KafkaLog
from engines.contract import Job, Message
from engines.faust import copartition
from engines.faust.plan import stage_plans
from semantics.pipeline import Aggregate, Emit, Source, Union
from tests.integration.faust_program import Running

pytestmark = pytest.mark.integration

MEETING = """
import os
from engines.faust import library
from semantics.pipeline import Aggregate, Emit, Source, Union

name = os.environ["WEIR_NAME"]
app = library.app(
    name, Aggregate(Union((Source("left"), Source("right"))), emit=Emit.UPDATE),
    inputs={"left": f"{name}-left", "right": f"{name}-right"}, output=f"{name}-out", dead_letters=f"{name}-dead",
    partitions=2, broker=os.environ["WEIR_BROKER"], state_dir=os.environ["WEIR_STATE"],
)
"""
"""Two inputs that meet without a new key."""


@pytest.mark.parametrize("right", [0, 1], ids=["alike", "differently"])
def test_it_warns_of_inputs_that_are_placed_differently(broker: str, log: KafkaLog, tmp_path: Path, right: int) -> None:
    running = Running(broker, log, tmp_path, MEETING, ("left", "right"))
    event = Message(None, b'{"k": "x", "i": "a", "v": 1, "t": 0}')
    log.append({(f"{running.name}-left", 0): [event], (f"{running.name}-right", right): [event]})
    worker = running.start()
    firsts = log.read({(f"{running.name}-out", at): (0, 1) for at in {0, right}}, within=timedelta(seconds=60))
    assert worker.stop(within=timedelta(seconds=10)).clean
    assert [json.loads(row.value or b"")["n"] for rows in firsts.values() for row in rows] == [1] * (right + 1)
    lines = worker.log.read_text().splitlines()
    warned = [line for line in lines if "KeyBy(input, KEY)" in line]
    assert len(warned) == right
    assert all("key 'x' is in" in line and f"{running.name}-right/1" in line for line in warned)
    assert not [line for line in lines if "not fully checked" in line]


async def test_an_input_without_a_committed_end_keeps_nobody_from_starting(
    broker: str, log: KafkaLog, caplog: pytest.LogCaptureFixture
) -> None:
    """One is empty; a torn key is in an open transaction of another, and in an aborted one of the third."""
    names = [f"placed-{os.getpid()}-{state}" for state in ("empty", "open", "aborted")]
    log.create(dict.fromkeys(names, 2))
    told = dict(zip("abc", names, strict=True))
    pipeline = Aggregate(Union(tuple(map(Source, told))), emit=Emit.UPDATE)
    stages = stage_plans("g", Job("j", pipeline, told, "out", "dead", 2))
    with Producer({"bootstrap.servers": broker, "transactional.id": f"placed-{os.getpid()}"}) as producer:
        producer.init_transactions()

        def write(topic: str) -> None:
            producer.begin_transaction()
            for partition in (0, 1):
                producer.produce(topic, b'{"k": "x", "v": 1}', partition=partition)
            producer.flush()

        write(names[2])
        producer.abort_transaction()
        write(names[1])
        await copartition.check(broker, stages)
        assert not caplog.messages  # Neither that it took too long.
        producer.commit_transaction()
    log.read({(names[1], partition): (0, 1) for partition in (0, 1)})
    await copartition.check(broker, stages)
    [line] = caplog.messages
    assert f"key 'x' is in {names[1]}/" in line
