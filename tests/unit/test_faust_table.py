"""The write-back table against a plain dictionary, over a real RocksDB."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.faust.store import Caches, Store, wipe

KEYS = st.binary(max_size=2)
DOINGS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(0, 99)),
        st.tuples(st.just("delete"), KEYS, st.just(0)),
        st.tuples(st.just("get"), KEYS, st.just(0)),
        st.tuples(st.just("scan"), KEYS, st.just(0)),
        st.tuples(st.just("commit"), st.just(b""), st.just(0)),
        st.tuples(st.just("crash"), st.just(b""), st.just(0)),
    ),
    max_size=40,
)


EVERYTHING = b"", b"\xff" * 16


def due_of(key: bytes, number: int) -> bytes:
    """A row is due by its key and by its tens, which stay as long as it exists."""
    return b"%d" % (number // 10) + key[::-1]


def open_store(path: Path) -> Store[int]:
    return Store(path, Caches(), lambda number: b"%d" % number, int, due_of)


def dues(store: Store[int]) -> list[tuple[bytes, bytes]]:
    assert store.rows.due is not None
    return list(store.rows.due.scan(*EVERYTHING))


@settings(max_examples=80, deadline=None)
@given(doings=DOINGS)
def test_it_is_an_ordered_map_with_commits(
    tmp_path_factory: pytest.TempPathFactory, doings: list[tuple[str, bytes, int]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "0"
    store, follower = open_store(path), open_store(path.with_name("1"))
    model: dict[bytes, int] = {}
    committed: dict[bytes, int] = {}
    changelog: dict[bytes, int] = {}
    for what, key, number in doings:
        match what:
            case "put":
                number = model.get(key, number) // 10 * 10 + number % 10
                store.rows.put(key, number)
                model[key] = number
            case "delete" if key in model:
                store.rows.delete(key)
                del model[key]
            case "get":
                assert store.rows.get(key) == model.get(key)
            case "scan":
                expected = [(k, v) for k, v in sorted(model.items()) if key <= k]
                assert list(store.rows.scan(key, EVERYTHING[1])) == expected
            case "commit":
                changes = dict(store.rows.changes())
                assert changes.keys() <= model.keys() | committed.keys(), "a key that came and went is no change"
                for changed, data in changes.items():
                    if data is None:
                        changelog.pop(changed)
                    else:
                        changelog[changed] = int(data)
                store.settle(b"{}", 1)
                follower.restore(changes, b"{}", 1)
                committed = dict(model)
                assert changelog == committed
            case "crash":
                store.close()
                store, model = open_store(path), dict(committed)
        assert dues(store) == sorted((due_of(k, v), k) for k, v in model.items())
    assert list(follower.rows.scan(*EVERYTHING)) == sorted(committed.items()), "the changelog rebuilds the rows"
    assert dues(follower) == sorted((due_of(k, v), k) for k, v in committed.items()), "and when they are due"
    follower.close()
    rows, live, disk = store.size()
    assert (rows, live) == (len(committed), sum(len(k) + len(b"%d" % v) for k, v in committed.items()))
    assert disk > 0
    store.close()
    wipe(path)
    assert not path.exists()
