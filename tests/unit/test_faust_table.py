"""The write-back table against a plain dictionary, over a real RocksDB."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.faust.store import LAST, Caches, Store, wipe
from engines.faust.table import NoBase, Table
from engines.faust.tables import Layout

KEYS = st.binary(max_size=2)
DOINGS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(0, 99)),
        st.tuples(st.just("delete"), KEYS, st.just(0)),
        st.tuples(st.just("get"), KEYS, st.just(0)),
        st.tuples(st.just("scan"), KEYS, st.just(0)),
        st.tuples(st.just("look"), KEYS, st.integers(0, 99)),
        st.tuples(st.just("commit"), st.just(b""), st.just(0)),
        st.tuples(st.just("crash"), st.just(b""), st.just(0)),
    ),
    max_size=40,
)


EVERYTHING = b"", LAST


def due_of(key: bytes, number: int) -> bytes:
    """A row is due by its key and by its tens, which stay as long as it exists."""
    return b"%d" % (number // 10) + key[::-1]


LAYOUT = Layout(lambda number: b"%d" % number, int, due_of)


def open_store(path: Path, tables: int) -> Store:
    return Store(path, Caches(), [LAYOUT] * tables)


def dues(store: Store) -> list[list[tuple[bytes, bytes]]]:
    return [list(part.due.scan(*EVERYTHING)) for part in store.rows.parts if part.due is not None]


@settings(max_examples=80, deadline=None)
@given(doings=DOINGS, tables=st.integers(1, 3))
def test_it_is_an_ordered_map_with_commits(
    tmp_path_factory: pytest.TempPathFactory, doings: list[tuple[str, bytes, int]], tables: int
) -> None:
    """Several tables in one store are maps of their own: all are told the same, and none sees another's rows."""
    path = tmp_path_factory.mktemp("table") / "0"
    store, follower = open_store(path, tables), open_store(path.with_name("1"), tables)
    model: dict[bytes, int] = {}
    committed: dict[bytes, int] = {}
    changelog: dict[bytes, int] = {}
    prefixes = [b""] if tables == 1 else [bytes((number,)) for number in range(tables)]
    for what, key, number in doings:
        parts = store.rows.parts
        match what:
            case "put":
                number = model.get(key, number) // 10 * 10 + number % 10
                for part in parts:
                    part.put(key, number)
                model[key] = number
            case "delete" if key in model:
                for part in parts:
                    part.delete(key)
                del model[key]
            case "get":
                assert [part.get(key) for part in parts] == [model.get(key)] * tables
            case "scan":
                expected = [(k, v) for k, v in sorted(model.items()) if key <= k]
                assert [list(part.scan(key, EVERYTHING[1])) for part in parts] == [expected] * tables
            case "look":
                # As who asks for the next due row does: from a place, to a place, and stops.
                end, most = key + bytes((number,)), number % 3
                expected = [(k, v) for k, v in sorted(model.items()) if key <= k < end][:most]
                assert [list(islice(part.scan(key, end), most)) for part in parts] == [expected] * tables
            case "commit":
                changes = dict(store.rows.changes())
                known = {prefix + key for prefix in prefixes for key in model.keys() | committed.keys()}
                assert changes.keys() <= known, "a key that came and went is no change"
                for changed, data in changes.items():
                    if data is None:
                        changelog.pop(changed)
                    else:
                        changelog[changed] = int(data)
                store.settle(b"{}", 1, store.rows.changes())
                follower.restore(changes, b"{}", 1)
                committed = dict(model)
                assert changelog == {prefix + key: v for prefix in prefixes for key, v in committed.items()}
            case "crash":
                store.close()
                store, model = open_store(path, tables), dict(committed)
        assert dues(store) == [sorted((due_of(k, v), k) for k, v in model.items())] * tables
    rebuilt = [list(part.scan(*EVERYTHING)) for part in follower.rows.parts]
    assert rebuilt == [sorted(committed.items())] * tables, "the changelog rebuilds the rows"
    due = [sorted((due_of(k, v), k) for k, v in committed.items())] * tables
    assert dues(follower) == due, "and when they are due"
    follower.close()
    rows, live, disk = store.size()
    lengths = [len(prefix + k) + len(b"%d" % v) for prefix in prefixes for k, v in committed.items()]
    assert (rows, live) == (len(lengths), sum(lengths))
    assert disk > 0
    store.close()
    wipe(path)
    assert not path.exists()


def test_who_asks_for_the_next_row_opens_the_base_only_to_pass_it() -> None:
    opened: list[bytes] = []

    class Base(NoBase):
        def scan(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
            opened.append(first)
            return iter([(key, b"") for key in (b"b", b"f", b"k") if first <= key < end])

    table = Table[bytes](Base(), bytes, bytes)
    assert [next(table.scan(first, b"z"))[0] for first in (b"a", b"aa", b"b", b"c", b"d", b"f")] == [
        b"b", b"b", b"b", b"f", b"f", b"f"
    ]  # fmt: skip
    assert opened == [b"a", b"c"]
    table.settle()
    assert next(table.scan(b"e", b"z"))[0] == b"f"
    assert opened == [b"a", b"c", b"e"]
