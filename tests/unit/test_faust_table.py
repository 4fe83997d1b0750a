"""The table against a plain dictionary, over a real RocksDB: commits, seldom saved, crashes that lose what was not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.faust import due, table
from engines.faust import store as stores
from engines.faust.base import LAST, NoBase
from engines.faust.due import Due
from engines.faust.keys import NEVER, TIME, key_time, time_key
from engines.faust.store import Caches, Store, wipe
from engines.faust.table import Table
from engines.faust.tables import Layout

KEYS = st.sampled_from([b"a", b"ab", b"ac", b"b", b"\xf5", b"\xf5x"])
TIMES = st.integers(0, 9)
DOINGS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, TIMES),
        st.tuples(st.just("put"), KEYS, TIMES),
        st.tuples(st.just("delete"), KEYS, st.just(0)),
        st.tuples(st.just("get"), KEYS, st.just(0)),
        st.tuples(st.just("between"), KEYS, TIMES),
        st.tuples(st.just("take"), st.just(b""), TIMES),
        st.tuples(st.just("commit"), st.just(b""), st.just(0)),
        st.tuples(st.just("save"), st.just(b""), st.just(0)),
        st.tuples(st.just("crash"), st.just(b""), st.just(0)),
    ),
    min_size=8,
    max_size=40,
)


def due_of(_: bytes, time: int) -> int:
    return time


def group_of(key: bytes) -> bytes | None:
    """Rows are looked for among those that begin alike, but for some."""
    return None if key[:1] > b"\xf0" else key[:1]


LAYOUT = Layout(lambda number: b"%d" % number, int, due_of, group_of=group_of)
NEVER_BY_ITSELF = 1e9


def open_store(path: Path, tables: int) -> Store:
    return Store(path, Caches(), [LAYOUT] * tables, saved_every_s=NEVER_BY_ITSELF)


@pytest.mark.parametrize(("clean_rows", "read_ahead"), [(200_000, 512), (3, 2)])
@settings(max_examples=120, deadline=None)
@given(doings=DOINGS, tables=st.integers(1, 3))
def test_it_is_a_map_with_commits_and_saves(
    scratch: Callable[[], AbstractContextManager[str]],
    doings: list[tuple[str, bytes, int]],
    tables: int,
    clean_rows: int,
    read_ahead: int,
) -> None:
    """Several tables in one store are maps of their own: all are told the same, and none sees another's rows."""
    with pytest.MonkeyPatch.context() as patch, scratch() as path:
        patch.setattr(table, "CLEAN_ROWS", clean_rows)
        patch.setattr(due, "READ_AHEAD", read_ahead)
        _play(Path(path), doings, tables)


def _play(path: Path, doings: list[tuple[str, bytes, int]], tables: int) -> None:
    store, follower = open_store(path / "0", tables), open_store(path / "1", tables)
    model: dict[bytes, int] = {}
    committed: dict[bytes, int] = {}
    changelog: dict[bytes, int] = {}
    unread: dict[bytes, bytes | None] = {}
    mark, committed_mark, opened = -1, -1, 0
    prefixes = [b""] if tables == 1 else [bytes((number,)) for number in range(tables)]
    for what, key, number in doings:
        parts = store.rows.parts
        match what:
            case "put":
                for part in parts:
                    if key not in model:
                        part.insert(key, number)
                    elif number < model[key]:
                        part.advance(key, number, number)
                    else:
                        part.replace(key, number)
                model[key] = number
            case "delete" if key in model:
                for part in parts:
                    part.delete(key)
                del model[key]
            case "get":
                assert [part.get(key) for part in parts] == [model.get(key)] * tables
            case "between" if (group := group_of(key)) is not None:
                end = key[:1] + bytes((b"a"[0] + number // 2,))
                expected = [(k, v) for k, v in sorted(model.items()) if k[:1] == group and key <= k < end]
                assert [part.between(group, key, end) for part in parts] == [expected] * tables
                keys = sorted(k for k in model if k[:1] == group)
                assert [list(part.group(group)) for part in parts] == [keys] * tables
            case "take":
                mark = max(mark, number)
                for part in parts:
                    assert part.next_due <= min((v for v in model.values()), default=NEVER)
                _take_due(parts, model, mark)
            case "commit":
                _take_due(parts, model, mark)  # A row may come when it is due already: none is left when a commit ends.
                changes = dict(store.rows.changes())
                known = {prefix + key for prefix in prefixes for key in model.keys() | committed.keys()}
                assert changes.keys() <= known, "a key that came and went is no change"
                for changed, data in changes.items():
                    if data is None:
                        changelog.pop(changed)
                    else:
                        changelog[changed] = int(data)
                store.settle(b"{}", 1)
                unread |= changes
                follower.restore(changes, b"{}", 1)
                committed, committed_mark = dict(model), mark
                assert changelog == {prefix + key: v for prefix in prefixes for key, v in committed.items()}
            case "save" if not dict(store.rows.changes()):
                store.save()
                unread = {}
            case "crash":
                store.close()
                store, model, mark = open_store(path / "0", tables), dict(committed), committed_mark
                store.restore(unread, b"{}", 1)
                unread, opened = {}, len(model)
                for part in store.rows.parts:
                    part.begin(mark)
        assert store.rows.added == tables * (len(model) - opened)
    rebuilt = [dict(part.scan()) for part in follower.rows.parts]
    assert rebuilt == [committed] * tables, "the changelog rebuilds the rows"
    for part in follower.rows.parts:
        assert [(v, k) for k, v in part.take_due(99)] == sorted((v, k) for k, v in committed.items()), "and their times"
    follower.close()
    store.close()


def _take_due(parts: Sequence[Table[int]], model: dict[bytes, int], mark: int) -> None:
    due_now = sorted((v, k) for k, v in model.items() if v <= mark)
    for part in parts:
        assert [(v, k) for k, v in part.take_due(mark)] == due_now
        for _, key in due_now:
            part.delete(key)
    for _, key in due_now:
        del model[key]


def test_a_store_knows_its_size_and_can_be_removed(tmp_path: Path) -> None:
    store = open_store(tmp_path / "0", 2)
    for part in store.rows.parts:
        part.insert(b"ab", 7)
    store.settle(b"{}", 1)
    assert store.size()[:2] == (0, 0)
    store.save()
    rows, live, disk = store.size()
    assert (rows, live) == (2, 2 * len(b"?ab7"))
    assert disk > 0
    store.close()
    wipe(tmp_path / "0")
    assert not (tmp_path / "0").exists()


def test_a_store_is_written_in_time_or_when_much_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MOST_UNSAVED", 3)
    store = open_store(tmp_path / "0", 1)
    for number in range(3):
        assert store.read_to == 0
        store.rows.parts[0].insert(b"%d" % number, number)
        store.settle(b"{}", number + 1)
    assert store.read_to == 3
    monkeypatch.setattr(time, "monotonic", lambda: 2 * NEVER_BY_ITSELF)
    store.settle(b"{}", 4)
    assert store.read_to == 4
    store.close()


def test_entries_that_were_taken_are_forgotten_with_the_next_save(tmp_path: Path) -> None:
    store = open_store(tmp_path / "0", 1)
    [rows] = store.rows.parts
    for number in range(4):
        rows.insert(b"%d" % number, number)
    store.settle(b"{}", 1)
    store.save()
    for key, _ in rows.take_due(1):
        rows.delete(key)
    store.settle(b"{}", 2)
    store.save()
    assert [entry for entry, _ in store._due.scan(b"", LAST)] == [time_key(2) + b"2", time_key(3) + b"3"]
    store.close()


def test_what_comes_and_goes_between_two_saves_never_touches_the_base() -> None:
    rows = Table[int](NoBase(), b"%d".__mod__, int)
    rows.insert(b"a", 1)
    assert dict(rows.changes()) == {b"a": b"1"}
    rows.settle()
    rows.delete(b"a")
    assert dict(rows.changes()) == {b"a": None}, "the changelog has it"
    assert dict(rows.unsaved_changes()) == {}, "the base never had"


def test_a_row_is_found_after_a_crash_though_its_entry_was_taken_when_it_was_due_later_already(tmp_path: Path) -> None:
    doings = [("put", b"a", 2), ("commit", b"", 0), ("save", b"", 0), ("put", b"a", 5), ("take", b"", 3)]
    _play(tmp_path, [*doings, ("commit", b"", 0), ("crash", b"", 0), ("take", b"", 9)], 1)


def test_row_keys_that_begin_with_a_time_are_entries_themselves() -> None:
    rows = Table[int](NoBase(), b"%d".__mod__, int, due=Due(NoBase()))
    for at in (5, 3, 9):
        rows.insert(time_key(at) + b"k", at)
    assert rows.next_due == 3
    assert [key_time(key[:TIME]) for key, _ in rows.take_due(5)] == [3, 5]
