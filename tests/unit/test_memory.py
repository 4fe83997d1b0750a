"""The log in memory keeps what the seam promises of any log."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from engines.contract import Log, Message
from engines.errors import BrokerRefused, Deadline
from engines.memory import MemoryLog

SOON = timedelta(seconds=10)


def messages(*values: bytes) -> list[Message]:
    return [Message(None, value) for value in values]


def test_appended_is_read_back_with_its_offsets() -> None:
    log: Log = MemoryLog()
    log.create({"t": 2})
    assert log.append({("t", 0): messages(b"a", b"b"), ("t", 1): messages(b"c")}) == {("t", 0): 2, ("t", 1): 1}
    assert log.append({("t", 0): messages(b"d")}) == {("t", 0): 3}
    assert log.ends([("t", 0), ("t", 1)]) == {("t", 0): 3, ("t", 1): 1}
    found = log.read({("t", 0): (1, 3), ("t", 1): (0, 1)})
    assert [(message.offset, message.value) for message in found["t", 0]] == [(1, b"b"), (2, b"d")]
    assert [message.value for message in found["t", 1]] == [b"c"]


def test_topics_are_created_all_or_none() -> None:
    log = MemoryLog()
    log.create({"t": 1})
    with pytest.raises(BrokerRefused, match="'t' exists already"):
        log.create({"u": 1, "t": 1})
    with pytest.raises(BrokerRefused, match="no partition 0 of a topic 'u'"):
        log.ends([("u", 0)])
    with pytest.raises(BrokerRefused, match="no partition 1"):
        log.append({("t", 0): messages(b"a"), ("t", 1): messages(b"b")})
    assert log.ends([("t", 0)]) == {("t", 0): 0}


def test_a_read_waits_until_the_log_has_come_so_far() -> None:
    log = MemoryLog()
    log.create({"t": 1})
    found: list[bytes | None] = []

    def read() -> None:
        found.extend(message.value for message in log.read({("t", 0): (0, 2)}, within=SOON)["t", 0])

    reader = threading.Thread(target=read)
    reader.start()
    log.append({("t", 0): messages(b"a")})
    log.append({("t", 0): messages(b"b")})
    reader.join(SOON.total_seconds())
    assert found == [b"a", b"b"]


def test_a_read_that_waits_in_vain_says_where_the_log_stands() -> None:
    log = MemoryLog()
    log.create({"t": 1})
    with pytest.raises(Deadline, match="t/0 stands at 0, not yet at 1"):
        log.read({("t", 0): (0, 1)}, within=timedelta(0))


def test_batches_of_many_threads_stay_whole() -> None:
    log = MemoryLog()
    log.create({"t": 1})

    def write(name: int) -> None:
        for _ in range(50):
            log.append({("t", 0): messages(*[b"%d" % name] * 3)})

    writers = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    values = [message.value for message in log.read({("t", 0): (0, 600)})["t", 0]]
    assert all(len(set(values[at : at + 3])) == 1 for at in range(0, 600, 3))
