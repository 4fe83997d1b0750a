"""The library, as its page says to start it: by Faust's own command line, on a real broker."""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from engines.broker.log import KafkaLog
from engines.contract import Message, Place
from engines.faust import example
from engines.process import Child
from tests.integration.faust_program import Running

pytestmark = pytest.mark.integration

TOPICS = ("clicks", "visits", "clicks-unusable")
MINUTE_US = 60_000_000
START = [sys.executable, "-m", "faust", "-A", "engines.faust.example", "worker", "--without-web", "-l", "info"]


def click(page: str, minute: int) -> Message:
    value = {"k": page, "i": f"{page}{minute}", "v": 1, "t": minute * MINUTE_US}
    return Message(page.encode(), json.dumps(value).encode())


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


def test_settings_that_lose_state_are_refused_with_the_command_that_mends_them(running: Running) -> None:
    worker = running.start()
    running.send("a")
    running.await_rows(1)
    assert worker.stop(within=timedelta(seconds=10)).clean
    repartition = f"{running.name}-{running.name}-0-rekeyed"
    for topic, setting, value, right in [
        (running.changelog, "cleanup.policy", "delete", "compact"),
        (repartition, "retention.ms", "1000000", "-1"),
    ]:
        running.set(topic, setting, value)
        running.refused(f"--entity-name {topic} --add-config {setting}={right}")
        running.set(topic, setting, right)
    worker = running.start()
    running.send("a")
    running.await_rows(3)
    assert worker.stop(within=timedelta(seconds=10)).clean


def test_a_changelog_without_its_head_is_refused_once_the_disk_is_lost(running: Running) -> None:
    worker = running.start()
    running.send("ab")
    running.await_rows(2)
    running.send("a")
    running.await_rows(4)
    assert worker.stop(within=timedelta(seconds=10)).clean
    place = TopicPartition(running.changelog, 0, 3)  # Behind the first commit: two rows and the task's record.
    running.set(running.changelog, "cleanup.policy", "delete")
    [done] = running.admin.delete_records([place]).values()
    done.result(timeout=30)
    running.set(running.changelog, "cleanup.policy", "compact")
    worker = running.start()
    running.send("a")
    running.await_rows(6)  # The disk is there: nothing is missing.
    assert worker.stop(within=timedelta(seconds=10)).clean
    shutil.rmtree(running.folder / "state")
    for _ in range(2):  # What was read is on the disk by now, and is not trusted.
        running.refused(f"{running.changelog}/0 has lost state: it restores 1 rows, but the last commit counted 2")
