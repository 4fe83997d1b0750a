"""The example of the library, as its page says to start it: by Faust's own command line, on a real broker."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from engines.broker.log import KafkaLog
from engines.contract import Message, Place
from engines.faust import example
from engines.process import Child

pytestmark = pytest.mark.integration

TOPICS = ("clicks", "visits", "clicks-unusable")
MINUTE_US = 60_000_000
START = [sys.executable, "-m", "faust", "-A", "engines.faust.example", "worker", "--without-web", "-l", "info"]


def click(page: str, minute: int) -> Message:
    value = {"k": page, "i": f"{page}{minute}", "v": 1, "t": minute * MINUTE_US}
    return Message(page.encode(), json.dumps(value).encode())


@pytest.fixture
def log(broker: str) -> Iterator[KafkaLog]:
    with KafkaLog(broker) as opened:
        yield opened


def start(broker: str, folder: Path, partitions: int) -> Child:
    env = os.environ | {"WEIR_BROKER": broker, "WEIR_STATE": str(folder / "state"), "WEIR_PARTITIONS": str(partitions)}
    return Child("example", START, log=folder / "example.log", env=env)


def test_it_counts_visits_and_goes_on_after_a_kill(broker: str, log: KafkaLog, tmp_path: Path) -> None:
    log.create(dict.fromkeys(TOPICS, 1))
    place: Place = ("clicks", 0)
    visits: Place = ("visits", 0)
    worker = start(broker, tmp_path, 1)
    log.append({place: [click("home", 0), click("home", 0), click("home", 2)]})
    [first] = log.read({visits: (0, 1)}, within=timedelta(seconds=60))[visits]
    worker.kill()
    log.append({place: [click("home", 2), click("home", 4)]})
    worker = start(broker, tmp_path, 1)
    rows = [first, *log.read({visits: (0, _second(log, visits))}, within=timedelta(seconds=60))[visits][1:]]
    ended = worker.stop(within=timedelta(seconds=10))
    assert [(json.loads(row.value or b"")["s"], json.loads(row.value or b"")["n"]) for row in rows] == [
        (0, 2),
        (2 * MINUTE_US, 2),
    ]
    assert ended.clean


def _second(log: KafkaLog, place: Place) -> int:
    """Return the offset behind the second row: behind the first lies the marker of its transaction."""
    return max(3, log.ends([place])[place])


def test_a_topic_that_is_not_as_was_said_is_told(broker: str, log: KafkaLog, tmp_path: Path) -> None:
    log.create(dict.fromkeys(TOPICS, 1))
    worker = start(broker, tmp_path, 3)
    assert worker.ended().args
    assert "the job was told 3" in worker.log.read_text()
    worker.kill()


def test_it_fits_on_a_page() -> None:
    lines = Path(example.__file__).read_text().partition('"""\n\n')[2].splitlines()
    assert len([line for line in lines if line.strip()]) <= 20
