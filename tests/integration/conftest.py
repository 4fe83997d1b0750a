"""Fixtures that several files share: a log on the broker, and a program of a user's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.broker.log import KafkaLog
from tests.integration.faust_program import Running


@pytest.fixture
def log(broker: str) -> Iterator[KafkaLog]:
    with KafkaLog(broker) as opened:
        yield opened


@pytest.fixture
def running(broker: str, log: KafkaLog, tmp_path: Path) -> Running:
    return Running(broker, log, tmp_path)
