"""Decoding in the Faust engine: any bytes are an event or a dead letter, and the records beside them come out."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import pytest

from engines.faust.compile import memory_for
from engines.faust.program import Program
from semantics.oracle.simple import parse
from semantics.pipeline import Aggregate, Emit, Pipeline, Source, Tumbling
from semantics.time import T0_US, s
from semantics.timeline import Event, Raw

PASSING = Source()
COUNT = Aggregate(Source(), emit=Emit.UPDATE)
"""Decodes a batch at once."""
WINDOWS = Aggregate(Source(delay=s(0)), window=Tumbling(s(10)), emit=Emit.UPDATE)
GOOD = b'{"k":"good","i":"g","v":1,"t":%d}' % T0_US
DEEP = 200_000
"""Levels beyond the stack of every Python that the engine runs on."""


class Record(NamedTuple):
    offset: int
    value: bytes | None
    key: bytes | None = None


class Fed:
    """A program with a batch of records, what it emitted and what it sent to the dead letters."""

    def __init__(self, pipeline: Pipeline, values: Sequence[bytes | None]) -> None:
        self.rows: list[dict[str, Any]] = []
        self.dead: dict[int, str] = {}
        program = Program(pipeline, memory_for(pipeline), self._emit, self._bury)
        program.feed("in", [Record(offset, value) for offset, value in enumerate(values)])

    def _emit(self, _: bytes | None, row: bytes) -> None:
        self.rows.append(msgspec.json.decode(row))

    def _bury(self, _: str, record: Any, reason: str) -> None:
        self.dead[record.offset] = reason


def record(**fields: bytes) -> bytes:
    """Return a record of an event, some of its fields replaced or added."""
    whole = {"k": b'"a"', "i": b'"x"', "v": b"1", "t": b"%d" % T0_US} | fields
    return b"{" + b",".join(b'"%s":%s' % (name.encode(), value) for name, value in whole.items()) + b"}"


@pytest.mark.parametrize("pipeline", [PASSING, COUNT, WINDOWS], ids=["passing", "count", "windows"])
@pytest.mark.parametrize(
    "value",
    [
        record(k=b'"caf\xe9"'),
        record(i=b'"\xff"'),
        record(k=b'"\xc0\x80"'),
        record(k=b'"\xe2\x82"'),
        record(k=b'"\xed\xa0\x80"'),
        record(k=rb'"\ud800"'),
        record(z=b"[" * DEEP),
        record(z=b"[" * DEEP + b"]" * DEEP),
        record(z=b'{"z":' * DEEP),
        b"[" * DEEP,
        b"\xef\xbb\xbf" + record(),
        '{"v":1}'.encode("utf-16"),
        record(v=b'"\xe9"'),
        b"",
        None,
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_cannot_be_read_is_a_dead_letter_and_its_neighbours_count(pipeline: Pipeline, value: bytes | None) -> None:
    fed = Fed(pipeline, [GOOD, value, GOOD])
    assert fed.dead == {1: "bad_record"}
    assert [row["k"] for row in fed.rows] == ["good", "good"]


TOKENS = (
    b'"', b"{", b"}", b"[" * 1500, b"]", b":", b",", b"\\", b"\\u00e9", b"\\ud800", b"\\n", b"\n", b"\x00", b"\x7f",
    b"\xe9", b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b"null", b"true", b"NaN",
    b"-Infinity", b"-", b"0", b"1.5", b"1e9", b"9223372036854775808", b"9" * 40, b'"k"', b'"v":2,', b'"z":"\xe9",',
)  # fmt: skip


def mutated(chance: random.Random) -> bytes:
    """Return a good record with one to four damages."""
    value = record(k=chance.choice((b'"a"', b"null", '"é😀"'.encode())), z=chance.choice((b"1", b'{"a":[null]}')))
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randrange(len(value) + 1), chance.choice((0, 0, 1, 1, 5))
        new = chance.choice((b"", chance.choice(TOKENS), chance.randbytes(1), value[at : at + size] * 2))
        value = value[:at] + new + value[at + size :]
    return value


def agreed(value: bytes) -> bool:
    """Return whether oracle and engine are meant to read it alike.

    They are not yet for bytes that are not UTF-8 in fields that nobody reads, halves of surrogates, NaN and names given
    twice.
    """
    twice = False

    def pairs(fields: list[tuple[str, object]]) -> None:
        nonlocal twice
        twice = twice or len(dict(fields)) < len(fields)

    try:
        text = value.decode()
        json.loads(text, object_pairs_hook=pairs)
    except UnicodeDecodeError:
        return False
    except (ValueError, RecursionError):
        return True
    return not twice and not re.search(r"\\u|NaN|Infinity", text)


def read(value: bytes) -> dict[str, Any] | None:
    """Return the row that the oracle makes of a record that passes; None for a dead letter."""
    match parse(Raw(value)):
        case Event(key, time_us, id, number):
            return {"k": key, "i": id, "v": number, "t": None if time_us is None else T0_US + time_us}
        case _:
            return None


@pytest.mark.parametrize("seed", range(4))
def test_damaged_records_never_end_the_stream(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  (chance is to be repeatable)
    events = compared = 0
    for _ in range(500):
        values = [GOOD, *(mutated(chance) for _ in range(8)), GOOD]
        passed, counted = Fed(PASSING, values), Fed(COUNT, values)
        assert passed.dead == counted.dead
        assert set(passed.dead.values()) <= {"bad_record"}
        assert len(passed.rows) == len(counted.rows) == len(values) - len(passed.dead)
        assert {0, 9}.isdisjoint(passed.dead)
        assert [passed.rows[0]["k"], passed.rows[-1]["k"]] == ["good", "good"]
        rows = iter(passed.rows)
        for offset, value in enumerate(values):
            row = None if offset in passed.dead else next(rows)
            events += row is not None
            if agreed(value):
                compared += 1
                assert (row and row | {"i": row["i"] or ""}) == read(value), value
    # Most are compared, and neither answer is rare.
    assert compared > 3000
    assert 800 < events < 4200
