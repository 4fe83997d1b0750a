"""Records on a changelog that its task did not write, or that were damaged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from engines.faust.changelog import ForeignRecord, Reader
from engines.faust.driver import Chunk
from engines.faust.store import Caches, Store, TaskRecord, open_store
from engines.faust.tables import Layout

COUNTS = Layout(b"%d".__mod__, int, None)
RECORD = b"t", TaskRecord(positions={"in": 2}, rows=2).encode()
GOOD = [(b"ra", b"1"), (b"rb", b"2"), RECORD]


@pytest.fixture(params=[1, 2], ids=["one operator", "two operators"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "0", Caches(), [COUNTS] * request.param)
    yield opened
    opened.close()


def chunk(store: Store, records: list[tuple[bytes | None, bytes | None]]) -> Chunk:
    """Return records from offset 7 on; the keys of rows have the prefix of the first of two operators."""
    two = len(store.rows.parts) == 2

    def whole(key: bytes | None) -> bytes | None:
        return b"r\0" + key[1:] if two and key is not None and key[:1] == b"r" else key

    made = [SimpleNamespace(key=whole(key), value=value, offset=7 + at) for at, (key, value) in enumerate(records)]
    return Chunk(made, 7, 7 + len(made))


@pytest.mark.parametrize("transactional", [True, False])
@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (b"rc", b"\xff\x00garbage", "value b'\\xff\\x00garbage'"),
        (b"rc", b"", "value b''"),
        (b"another key", b"1", "key b'another key'"),
        (None, b"1", "key None"),
        (b"", b"1", "key b''"),
        (b"t", b"{}garbage", "key b't'"),
        (b"t", b'{"rows": "many"}', "Expected `int`"),
        (b"t", None, "value None"),
        (b"rc", b"x" * 100, "x" * 60 + "'..."),
    ],
)
@pytest.mark.parametrize("at", range(4))
def test_one_error_names_topic_partition_and_offset(
    store: Store, transactional: bool, key: bytes | None, value: bytes | None, says: str, at: int
) -> None:
    records = [*GOOD[:at], (key, value), *GOOD[at:]]
    reader = Reader(TopicPartition("jobs", 3), store, transactional=transactional)
    if transactional and key == b"t" and value is not None and at < 3:
        reader.take(chunk(store, records))  # The task's next record holds.
        assert store.record.rows == 2
        return
    with pytest.raises(
        ForeignRecord, match=f"^jobs/3 has a record at offset {7 + at} that this job.*{re.escape(says)}"
    ):
        reader.take(chunk(store, records))


@pytest.mark.parametrize("transactional", [True, False])
def test_what_is_sound_is_restored(store: Store, transactional: bool) -> None:
    Reader(TopicPartition("jobs", 3), store, transactional=transactional).take(
        chunk(store, [*GOOD, (b"ra", None), RECORD])
    )
    assert (store.count(), store.record.rows, store.read_to) == (1, 2, 12)
