"""A task's store: one RocksDB with a column family a table, written only with what is already on the log.

Families: `rows` (state), `due` (row keys by the time at which they are due; derived, so not in the changelog), and the
default one with the task's record: positions, clocks and counters, and up to where the changelog is in here. It need
not be written at every commit: what it lacks is read from the changelog, as after the loss of the disk.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rocksdict import BlockBasedOptions, Cache, Options, Rdict, ReadOptions, WriteBatch

from engines.faust.base import LAST, SAVED_EVERY_S, STALE_AFTER_S
from engines.faust.tables import Layout, Tables

log = logging.getLogger(__name__)
_CACHE_BYTES = 8 << 20
"""Block cache, shared by all stores of the process: RocksDB's own default would be one a store."""
_WRITE_BUFFER_BYTES = 4 << 20
_RECORD = b"task"
_READ_TO = b"read-to"
_WRITTEN_AT = b"written-at"
_CHANGELOG_ID = b"changelog-id"
_UNCHECKED = b"unchecked"
"""Present from the first restored row until the rows were counted, so that a crash in between skips no count."""
_CONDEMNED = "DAMAGED"
"""A file that says so, for whoever opens the store next."""
MOST_UNSAVED = 50_000
"""Rows: writing one takes some 2 us."""


class Mark(msgspec.Struct, array_like=True, frozen=True):
    """What is known of one partition of the stage before."""

    watermark: int | None
    commit: int
    """The number of its last commit that was heard."""
    idle: bool = False
    clock: int | None = None
    """The lowest clock up to there, where rows that are held back keep the watermark below it."""


class TaskRecord(msgspec.Struct, kw_only=True):
    """What a commit records beside the rows. Times in microseconds since 1970."""

    positions: dict[str, int] = {}
    """Input topic -> the next offset to process."""
    highest: dict[str, int] = {}
    """Input name -> the highest event time seen, for inputs with a clock."""
    late: int = 0
    duplicates: int = 0
    dead: int = 0
    fingerprint: str = ""
    """Of the stage, and of the format in which its rows are written."""
    commits: int = 0
    """How many there were before this one: its number."""
    marks: dict[str, dict[int, Mark]] = {}
    """Input name -> upstream partition -> what was last heard of it, for inputs that another stage feeds."""
    ids: dict[str, str] = {}
    """Input topic -> "cluster id/topic id" of the topic that `positions` refers to."""
    idle: list[str] = []
    """Inputs that are left out where the lowest watermark counts."""
    reached: list[int] = []
    """The watermarks, that of the task and then its operators': only where what is left out may come back, since else
    they follow from `highest`."""
    held: dict[str, int] = {}
    """Input name -> microseconds by which clocks of the stage before are ahead of the watermark that comes from it."""
    taken: int = 0
    """Events that operators of a chain have seen."""
    rows: int = 0
    """How many there are in the state."""
    logged_bytes: int = 0
    """Keys and values of all changelog records before this one, as if nothing were ever compacted."""

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


class _Family:
    """A column family as a table's base."""

    def __init__(self, database: Any, name: str) -> None:
        self._family = database.get_column_family(name)
        self.handle = database.get_column_family_handle(name)
        self.get: Callable[[bytes], bytes | None] = self._family.get

    def close(self) -> None:
        """Let go of the database: it keeps its lock while any reference to a family lives."""
        del self._family, self.handle, self.get

    def scan(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        iterator = self._family.iter()
        iterator.seek(first)
        while iterator.valid():
            key = iterator.key()
            if key >= end:
                return
            yield key, iterator.value()
            iterator.next()
        # At a damaged block an iterator just ends: rows would be missing without a word.
        iterator.status()

    def count(self) -> int:
        """Return the number of rows. Values are not read, and blocks are not kept in the cache."""
        options = ReadOptions()
        options.fill_cache(False)
        iterator = self._family.iter(options)
        iterator.seek_to_first()
        valid, step, rows = iterator.valid, iterator.next, 0
        while valid():
            rows += 1
            step()
        iterator.status()
        return rows


class Caches:
    """What the stores of one process share."""

    def __init__(self) -> None:
        self._block_cache = Cache(_CACHE_BYTES)

    def options(self) -> Any:
        """Return the options of a family."""
        options, blocks = Options(raw_mode=True), BlockBasedOptions()
        options.create_if_missing(True)
        options.create_missing_column_families(True)
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        options.set_max_background_jobs(2)
        options.set_keep_log_file_num(1)
        blocks.set_block_cache(self._block_cache)
        blocks.set_bloom_filter(10, False)
        options.set_block_based_table_factory(blocks)
        return options


class Store:
    """The rows and the record of one task, on disk under `path`."""

    def __init__(
        self, path: Path, caches: Caches, layouts: Sequence[Layout], *, saved_every_s: float = SAVED_EVERY_S
    ) -> None:
        self.path, self._saved_every_s = path, saved_every_s
        self._saved_at = time.monotonic()
        self._record: bytes | None = None
        """Of the last commit, if it is not in here yet."""
        self._read_to = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        families = {name: caches.options() for name in ("rows", "due")}
        self._database: Any = Rdict(str(path), options=caches.options(), column_families=families)
        self._rows, self._due = _Family(self._database, "rows"), _Family(self._database, "due")
        self.rows = Tables(layouts, self._rows, self._due)
        self._inherited = self.read_to > 0
        written = self._database.get(_WRITTEN_AT)
        if written is not None and time.time() - int(written) > STALE_AFTER_S:
            self.forget(
                f"its last write is over {STALE_AFTER_S // 3600} h ago, and the changelog may have dropped tombstones"
            )

    @property
    def record(self) -> TaskRecord:
        """The record of the last commit in here."""
        data = self._database.get(_RECORD)
        return TaskRecord() if data is None else msgspec.json.decode(data, type=TaskRecord)

    @property
    def read_to(self) -> int:
        """The changelog's next offset: everything before it is in here."""
        data = self._database.get(_READ_TO)
        return 0 if data is None else int(data)

    def follow(self, changelog: str, id: str) -> None:
        """Take the changelog's id ("cluster/topic"); forget rows that were read from another topic of that name."""
        known = self._database.get(_CHANGELOG_ID)
        if known == id.encode():
            return
        if known is not None:
            self.forget(f"its changelog {changelog} had the id {known.decode()}, and has {id}: it is another topic")
        elif self.read_to:
            log.warning(
                "The store %s has no changelog id; it is taken for a copy of %s (%s).", self.path, changelog, id
            )
        self._database.put(_CHANGELOG_ID, id.encode())

    def restore(self, rows: Mapping[bytes, bytes | None], record: bytes | None, read_to: int) -> None:
        """Write what the changelog says, None where it deletes; everything before `read_to` is then in here."""
        batch = WriteBatch(raw_mode=True)
        for key, data in rows.items():
            # What was there before is looked at even where nothing hangs on it: so it is a standby that meets a damaged
            # block, at leisure, and not whoever takes over.
            old = self._rows.get(key) if self._inherited or self.rows.keep_dues else None
            _write(batch, self._rows, key, data)
            if data is not None and (entry := self.rows.due_entry(key, data)):
                # One that is due later than it was needs none: who takes the old one looks at the row.
                known = None if old is None else self.rows.due_entry(key, old)
                if known is None or entry < known:
                    batch.put(entry, b"", self._due.handle)
        if record is not None:
            batch.put(_RECORD, record)
        batch.put(_UNCHECKED, b"")
        self._write_batch(batch, read_to)

    def is_complete(self) -> bool:
        """Return whether the restored rows are as many as the record says. Counting takes 0.2 s a million rows."""
        if self._database.get(_UNCHECKED) is None:
            return True
        if self.count() != self.record.rows:
            return False
        self._database.delete(_UNCHECKED)
        return True

    def count(self) -> int:
        """Return how many rows are written down."""
        return self._rows.count()

    def forget(self, why: str) -> None:
        """Remove all rows and the record, so that the changelog is read from its beginning; log the reason."""
        _log_anew(self.path, why)
        self._inherited = False
        batch = WriteBatch(raw_mode=True)
        for family in (self._rows, self._due):
            batch.delete_range(b"", LAST, family.handle)  # Reads no block, of which one may be damaged.
        for key in (_RECORD, _READ_TO, _WRITTEN_AT, _UNCHECKED):
            batch.delete(key)
        self._database.write(batch)

    def condemn(self) -> None:
        """Note that the files are damaged: `open_store` will not use them again."""
        (self.path / _CONDEMNED).touch()

    def settle(self, record: bytes, read_to: int) -> None:
        """Take what has changed as committed, on the changelog before `read_to`; write it down if it is time."""
        self.rows.settle()
        self._record, self._read_to = record, read_to
        if self.rows.unsaved >= MOST_UNSAVED or time.monotonic() - self._saved_at >= self._saved_every_s:
            self.save()

    def save(self) -> None:
        """Write down what was committed and is not in here yet. Nothing else may have changed."""
        if self._record is None:
            return
        batch = WriteBatch(raw_mode=True)
        for key, data in self.rows.unsaved_changes():
            _write(batch, self._rows, key, data)
        for first, end in self.rows.passed_dues():
            batch.delete_range(first, end, self._due.handle)
        for entry in self.rows.unsaved_dues():
            batch.put(entry, b"", self._due.handle)
        batch.put(_RECORD, self._record)
        self._write_batch(batch, self._read_to)
        self.rows.saved()
        self._record, self._saved_at = None, time.monotonic()

    def committed(self, key: bytes) -> bytes | None:
        """Return a row as the last commit left it."""
        return self._rows.get(key)

    def size(self) -> tuple[int, int, int]:
        """Return the rows, their bytes (keys and values) as far as they are written down, and the bytes on disk."""
        rows = live = 0
        for key, data in self._rows.scan(b"", LAST):
            rows += 1
            live += len(key) + len(data)
        return rows, live, sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    def close(self) -> None:
        """Close the database and release its lock."""
        self._rows.close()
        self._due.close()
        self._database.close()

    def _write_batch(self, batch: Any, read_to: int) -> None:
        batch.put(_READ_TO, b"%d" % read_to)
        batch.put(_WRITTEN_AT, b"%d" % time.time())
        self._database.write(batch)


def damaged(error: BaseException) -> bool:
    """Return whether an error of the database says that its files are not what it wrote.

    The text of RocksDB's errors begins with the status. Paths, which may hold any word, come later.
    """
    return str(error).startswith("Corruption: ")


def open_store(path: Path, caches: Caches, layouts: Sequence[Layout], *, saved_every_s: float = SAVED_EVERY_S) -> Store:
    """Open the store under `path`; one that is damaged is removed, said so, and begins empty."""
    if (path / _CONDEMNED).exists():
        _remove(path, "a damaged block was met in it")
    try:
        return Store(path, caches, layouts, saved_every_s=saved_every_s)
    except Exception as error:
        if not (damaged(error) or str(error).startswith("IO error: No such file")):
            raise
        _remove(path, str(error))
        return Store(path, caches, layouts, saved_every_s=saved_every_s)


def _remove(path: Path, why: str) -> None:
    _log_anew(path, f"it is damaged ({why})")
    shutil.rmtree(path)


def _log_anew(path: Path, why: str) -> None:
    log.warning("The store %s is read from the changelog again: %s.", path, why)


def _write(batch: Any, family: _Family, key: bytes, data: bytes | None) -> None:
    if data is None:
        batch.delete(key, family.handle)
    else:
        batch.put(key, data, family.handle)


def wipe(path: Path) -> None:
    """Remove the stores under `path`."""
    shutil.rmtree(path, ignore_errors=True)
