"""A checkpoint that is not as it was: what docs/spark-checkpoints.md says of it is what Spark does."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.broker.log import KafkaLog
from engines.spark.damage import expected, play_all

pytestmark = [pytest.mark.integration, pytest.mark.extra]


async def test_spark_does_what_the_page_says(broker: str, tmp_path: Path) -> None:
    with KafkaLog(broker) as log:
        assert await play_all(log, tmp_path) == expected()
