"""Recovery on a real broker: what a store lacks is read, and what the changelog has lost is refused."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from engines.broker.log import KafkaLog
from engines.contract import Message
from engines.faust import driver
from engines.faust.changelog import ROW, TASK, ChangelogLost, recover
from engines.faust.store import Caches, Store, TaskRecord, open_store
from engines.faust.tables import Layout

pytestmark = pytest.mark.integration

_numbers = itertools.count()


@pytest.fixture
def place(broker: str) -> Iterator[TopicPartition]:
    """A changelog with rows a, b and c."""
    driver.install()  # Else aiokafka yields lists, which do not tell where a chunk ends.
    with KafkaLog(broker) as log:
        name = f"changelog-{os.getpid()}-{next(_numbers)}"
        log.create({name: 1}, compact=True)
        rows = [Message(ROW + key, b"1") for key in (b"a", b"b", b"c")]
        log.append({(name, 0): [*rows, Message(TASK, TaskRecord(positions={"in": 3}, rows=3).encode())]})
        yield TopicPartition(name, 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "0", Caches(), [Layout(b"%d".__mod__, int, None)])
    yield opened
    opened.close()


async def read(broker: str, place: TopicPartition, store: Store, *, transactional: bool = True) -> int:
    _, _, records = await recover(broker, {place: store}, {place.topic: "C/1"}, [], transactional=transactional)
    return records[place]


async def test_an_empty_store_reads_everything_and_a_full_one_nothing(
    broker: str, place: TopicPartition, store: Store
) -> None:
    assert await read(broker, place, store) == 4
    assert (store.count(), store.read_to) == (3, 4)
    assert await read(broker, place, store) == 0


async def test_a_store_ahead_of_its_changelog_is_read_anew_and_that_is_logged(
    broker: str, place: TopicPartition, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.restore({b"z": b"1"}, TaskRecord(rows=1).encode(), 99)
    assert await read(broker, place, store) == 4
    assert store.count() == 3
    assert "read from the changelog again: it is ahead of its changelog, which ends at 4" in caplog.text


async def test_a_store_that_has_other_rows_than_its_changelog_is_read_anew(
    broker: str, place: TopicPartition, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """A row whose tombstone is gone by now, or one that was never committed."""
    store.restore({b"a": b"1", b"z": b"1"}, TaskRecord(rows=2).encode(), 1)
    assert await read(broker, place, store) == 4
    assert (store.count(), store.read_to) == (3, 4)
    assert "it has not as many rows as the last commit counted" in caplog.text


async def test_a_changelog_that_has_lost_rows_is_refused(
    broker: str, place: TopicPartition, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with KafkaLog(broker) as log:
        log.append({tuple(place): [Message(TASK, TaskRecord(positions={"in": 9}, rows=7).encode())]})
    says = f"{place.topic}/0 has lost state: it restores 3 rows, but the last commit counted 7 .*begins at offset 0"
    for _ in range(2):  # What was read is in the store by now, and is not trusted.
        with pytest.raises(ChangelogLost, match=says):
            await read(broker, place, store)
    await read(broker, place, store, transactional=False)
    assert "has lost state" in caplog.text
