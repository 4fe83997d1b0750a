"""A few probes are played for real and must answer as recorded, so that another Spark is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.probing import differences, load
from engines.spark.probe import PROBER

pytestmark = [pytest.mark.integration, pytest.mark.extra]

PLAYED = (
    "aggregation/by-key/no-watermark/append",
    "aggregation/tumbling-window/watermark/append",
    "aggregation/session-window-without-key/watermark/append",
    "dedup/dropDuplicatesWithinWatermark/no-watermark/append",
    "join/inner/range/both/update",
    "join/left_outer/range/left/append",
    "join/left_outer/range/both/update",
    "static/right_outer/stream-and-table/append",
    "chain/window-then-window/watermark/append",
    "chain/window-then-window/watermark/update",
    "operation/limit/append",
    "watermark/defined-twice/append",
    "sink/parquet/update",
    "trigger/continuous/by-key/update",
    "trigger/realTime/by-key/update",
    "trigger/realTime/pass/update",
    "fact/dedup-by-id-forgets",
    "fact/shuffle-partitions-change",
    "fact/batch-ids-restart",
)


async def test_a_few_probes_answer_as_recorded(tmp_path: Path) -> None:
    asked = [probe for probe in PROBER.probes if probe.id in PLAYED]
    assert {probe.id for probe in asked} == set(PLAYED)
    answers = await PROBER.ask(asked, tmp_path, lambda _: None)
    assert differences(asked, load(PROBER.record).answers, answers) == []
