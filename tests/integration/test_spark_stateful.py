"""Recipes beside what Spark has itself: where both can say the same, they must."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from engines.broker.log import KafkaLog
from engines.spark.checkpoint import Checkpoint, Journal
from engines.spark.lab import WITHIN, Lab
from semantics.pipeline import Aggregate, Emit, Function, Source, Tumbling
from semantics.time import T0_US, s

pytestmark = pytest.mark.integration


def _null(key: str) -> bytes:
    """Return an event without a value, at 9 s."""
    return json.dumps({"k": key, "i": "n", "v": None, "t": T0_US + 9_000_000}).encode()


def _await_batch(checkpoint: Checkpoint, number: int) -> None:
    """Wait until a batch is planned."""
    deadline = time.monotonic() + WITHIN.total_seconds()
    while checkpoint.last(Journal.PLANNED) < number:
        assert time.monotonic() < deadline, f"batch {number} is not planned, the last is {checkpoint}"
        time.sleep(0.01)


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


async def test_an_event_is_counted_or_a_dead_letter_and_never_both_however_batches_are_cut(
    broker: str, tmp_path: Path
) -> None:
    kept = Aggregate(Source(delay=s(0), late_output=True), window=Tumbling(s(5)))
    with KafkaLog(broker, prefix=tmp_path.name) as log:
        jobs = Lab(log, tmp_path, {"kept": kept})
        await jobs.spark.launch()
        async with jobs.spark:
            planned = Checkpoint(tmp_path / "durable" / jobs.job("kept").name)
            times = [second - back for second in range(0, 80, 4) for back in (0, 9, 2)]
            for number, first in enumerate(range(0, len(times), 3)):
                await jobs.send(kept=" ".join(f"a@{at}" for at in times[first : first + 3]))
                # The next ones come while this batch runs: so that most batches follow one with data, not an empty one.
                await asyncio.to_thread(_await_batch, planned, number)
            await jobs.send(kept="a@1000")
            rows = (await jobs.rows())["kept"]
            place = jobs.job("kept").dead_letters, 0
            end = log.ends([place], committed=False)[place]
            dead = log.read({place: (0, end)})[place]
    assert 0 < len(dead) < len(times)
    assert sum(int(row.rpartition("=")[2]) for row in rows) + len(dead) == len(times)
    assert all(json.loads(letter.value or b"")["k"] == "a" for letter in dead)
