"""A store whose files are not what was written: said, removed, and begun anew; never used as if nothing were."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from engines.faust.base import LAST, STALE_AFTER_S
from engines.faust.changelog import Reader
from engines.faust.driver import Chunk
from engines.faust.store import Caches, Store, TaskRecord, damaged, open_store
from engines.faust.tables import Layout

LAYOUTS = [Layout(b"%d".__mod__, int, None)]
ROWS = 2000


def filled(path: Path) -> Path:
    """Return a closed store whose rows lie in a file of blocks."""
    store = open_store(path, Caches(), LAYOUTS)
    store.restore({b"%06d" % number: b"%060d" % number for number in range(ROWS)}, b"{}", 9)
    store._database.flush()
    store._rows._family.flush()
    store.close()
    return path


def rows(store: Store) -> int:
    return sum(1 for _ in store._rows.scan(b"", LAST))


def met(store: Store) -> Exception:
    """Return what reading all rows raises, without the frames that hold on to the database."""
    try:
        rows(store)
    except Exception as error:
        return error.with_traceback(None)
    raise AssertionError("the damage was not met")


def flip(path: Path, pattern: str, at: int) -> None:
    for file in path.glob(pattern):
        data = bytearray(file.read_bytes())
        if len(data) > at:
            data[at] ^= 255
            file.write_bytes(bytes(data))


def test_what_was_written_is_there(tmp_path: Path) -> None:
    store = open_store(filled(tmp_path / "0"), Caches(), LAYOUTS)
    assert (rows(store), store.read_to) == (ROWS, 9)
    store.close()


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: flip(path, "MANIFEST-*", 10),
        lambda path: [file.unlink() for file in path.glob("MANIFEST-*")],
        lambda path: (path / "CURRENT").unlink(),
        lambda path: [file.unlink() for file in path.glob("*.sst")],
    ],
    ids=["manifest altered", "manifest gone", "current gone", "rows gone"],
)
def test_a_damaged_store_begins_anew(
    tmp_path: Path, harm: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    path = filled(tmp_path / "0")
    harm(path)
    store = open_store(path, Caches(), LAYOUTS)
    assert (rows(store), store.read_to) == (0, 0)
    assert "read from the changelog again" in caplog.text
    store.close()


def test_a_damaged_block_is_met_and_remembered(tmp_path: Path) -> None:
    """RocksDB's iterator just ends there: the rows behind would be missing without a word."""
    path = filled(tmp_path / "0")
    flip(path, "*.sst", 3000)
    store = open_store(path, Caches(), LAYOUTS)
    assert damaged(met(store))
    store.condemn()
    store.close()
    again = open_store(path, Caches(), LAYOUTS)
    assert (rows(again), again.read_to) == (0, 0)
    again.close()


def test_counting_keeps_no_block_in_memory(tmp_path: Path) -> None:
    """Else every recovery fills the cache with rows that nobody has asked for, and hides damage from whoever does."""
    path = filled(tmp_path / "0")
    store = open_store(path, Caches(), LAYOUTS)
    assert store.count() == ROWS
    flip(path, "*.sst", 3000)
    assert damaged(met(store))
    store.close()


def test_a_damaged_block_that_recovery_meets_is_remembered(tmp_path: Path) -> None:
    """Else a worker that takes over a damaged copy would die of it again and again."""
    path = filled(tmp_path / "0")
    flip(path, "*.sst", 3000)
    store = open_store(path, Caches(), LAYOUTS)
    chunk = Chunk([SimpleNamespace(key=b"r%06d" % number, value=b"1", offset=9) for number in range(ROWS)], 9, 10)
    with pytest.raises(Exception, match="Corruption") as met:
        Reader(TopicPartition("changelog", 0), store, transactional=True).take(chunk)
    del met
    store.close()
    again = open_store(path, Caches(), LAYOUTS)
    assert again.read_to == 0
    again.close()


def test_rows_of_another_changelog_are_forgotten(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = filled(tmp_path / "0")
    store = open_store(path, Caches(), LAYOUTS)
    store.follow("changelog", "C/1")
    assert (store.count(), store.read_to) == (ROWS, 9)
    assert "has no changelog id; it is taken for a copy of changelog (C/1)" in caplog.text
    caplog.clear()
    store.follow("changelog", "C/1")
    assert (store.count(), caplog.text) == (ROWS, "")
    store.follow("changelog", "D/1")
    assert (store.count(), store.read_to) == (0, 0)
    assert "its changelog changelog had the id C/1, and has D/1" in caplog.text
    store.close()


def test_a_new_store_takes_its_changelogs_id_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = open_store(tmp_path / "0", Caches(), LAYOUTS)
    store.follow("changelog", "C/1")
    assert caplog.text == ""
    store.close()


def test_a_store_in_use_is_not_taken_for_damaged(tmp_path: Path) -> None:
    """RocksDB's message holds the path, and so the app's name."""
    path = tmp_path / "Corruption: No such file" / "0"
    store = open_store(path, Caches(), LAYOUTS)
    with pytest.raises(Exception, match=r"[Ll]ock") as refused:
        open_store(path, Caches(), LAYOUTS)
    assert "Corruption: " in str(refused.value)
    assert not damaged(refused.value)
    del refused
    store.close()
    open_store(path, Caches(), LAYOUTS).close()


def test_a_store_that_the_changelog_may_have_outlived_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = filled(tmp_path / "0")
    later = time.time() + STALE_AFTER_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    store = open_store(path, Caches(), LAYOUTS)
    assert (rows(store), store.read_to) == (0, 0)
    assert "read from the changelog again: its last write is over 12 h ago" in caplog.text
    store.close()


def test_restored_rows_are_counted_even_after_a_kill_in_between(tmp_path: Path) -> None:
    """The record says three; two came back, and the worker died before it looked."""
    path = tmp_path / "0"
    store = open_store(path, Caches(), LAYOUTS)
    assert store.is_complete(), "nothing was restored"
    store.restore({b"a": b"1", b"b": b"1"}, TaskRecord(rows=3).encode(), 4)
    store.close()
    store = open_store(path, Caches(), LAYOUTS)
    assert not store.is_complete()
    store.restore({b"c": b"1"}, None, 5)
    assert store.is_complete()
    store.close()
