"""Recipes beside what Spark has itself: where both can say the same, they must."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engines.broker.log import KafkaLog
from engines.spark.lab import Lab
from semantics.pipeline import Aggregate, Emit, Function, Source
from semantics.time import T0_US, s

pytestmark = pytest.mark.integration


def _null(key: str) -> bytes:
    """Return an event without a value, at 9 s."""
    return json.dumps({"k": key, "i": "n", "v": None, "t": T0_US + 9_000_000}).encode()


async def test_a_running_aggregate_that_could_forget_says_what_one_of_spark_says(broker: str, tmp_path: Path) -> None:
    native = Aggregate(Source(delay=s(0)), tuple(Function), emit=Emit.UPDATE, at_most=3)
    recipe = Aggregate(Source(delay=s(0)), tuple(Function), emit=Emit.UPDATE, at_most=3, ttl=s(10_000))
    with KafkaLog(broker, prefix=tmp_path.name) as log:
        jobs = Lab(log, tmp_path, {"native": native, "recipe": recipe})
        await jobs.spark.launch()
        async with jobs.spark:
            for step in (_null("b"), "a=5@9", "a=2@3", _null("a"), "~=7@4", "a=-4@9", "a=4@1", "b=3@1", "a=1@20"):
                await jobs.send(native=step, recipe=step)
                rows = await jobs.rows()
                assert rows["recipe"][-1:] == rows["native"][-1:]
                assert len(rows["native"]) > 0
