"""Events on their way between two stages: with each goes the watermark by which it is to be judged.

Carried event: the JSON of an event row, and `p`, the partition that it comes from, and `w`, that partition's watermark
before it. At the end of each commit every partition is told `p`, `w` and `n`, the commit's number: so time moves even
where no event goes, and whoever waits for a commit knows that all of it has been heard. `c` is the lowest clock there,
where rows that are held back keep `w` below it. `z` says that nothing comes in
there any more, so that time need not wait for this partition until it speaks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from aiokafka.partitioner import murmur2

from engines.faust.operators import Event
from engines.faust.writer import Outbox

_REMEMBERED = 200_000


class Carried(Event, gc=False, kw_only=True):
    """What stands on an internal topic: an event, or, with `n`, the end of a commit."""

    v: int = 0
    t: int | None = None
    """Beyond 64 bits too: a window's row may end after every event."""
    p: int
    w: int | None = None
    n: int | None = None
    z: bool = False
    c: int | None = None


decode: Callable[[bytes], Carried] = msgspec.json.Decoder(Carried).decode


def origin(record: Any) -> dict[str, bytes]:
    """Return the record that a carried one comes from: `topic`, `partition`, `offset`, `key`, `value`; or nothing."""
    return dict(record.headers)


class Carrier:
    """Sends what a task says to the partitions of the next stage."""

    def __init__(self, outboxes: Sequence[Outbox], partition: int, topics: Mapping[str, str] | None = None) -> None:
        """`topics`: input name -> topic, to say where a record comes from."""
        self._outboxes, self._partition, self._topics = outboxes, partition, topics or {}
        self._origin: list[tuple[str, bytes]] = []
        self._homes = _Homes(len(outboxes))
        self._judged_by: int | None = 0
        self.judge_by(None)

    def judge_by(self, watermark: int | None) -> None:
        """Set the watermark that goes with what is said from now on."""
        if watermark == self._judged_by:
            return
        self._judged_by = watermark
        self._tail = b',"p":%d,"w":%b}' % (self._partition, _json(watermark))

    def comes_from(self, input: str, record: Any) -> None:
        """Send with what is said from now on the record that it comes from, as it came: it may be late there."""
        where = {"topic": self._topics[input].encode(), "partition": b"%d" % self._partition}
        whole = where | {"offset": b"%d" % record.offset, "key": record.key, "value": record.value}
        self._origin = [(name, said) for name, said in whole.items() if said is not None]

    def comes_alone(self) -> None:
        """Send what is said from now on without that."""
        self._origin = []

    def __call__(self, key: bytes | None, row: bytes) -> None:
        """Send an event row to the partition of its key."""
        self._outboxes[self._homes[key]].append(key, row[:-1] + self._tail, self._origin)

    def mark(self, watermark: int | None, number: int, *, idle: bool = False, clock: int | None = None) -> None:
        """Tell every partition that a commit ends here, up to when time has come, and whether it waits for nobody."""
        last = b',"z":true}' if idle else b"}"
        if clock is not None and clock != watermark:
            last = b',"c":%d%b' % (clock, last)
        said = b'{"p":%d,"w":%b,"n":%d%b' % (self._partition, _json(watermark), number, last)
        for outbox in self._outboxes:
            outbox.append(None, said)


class _Homes(dict[bytes | None, int]):
    """Key -> its partition, as Kafka's own clients choose it; a null key's is the first."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions

    def __missing__(self, key: bytes | None) -> int:
        if len(self) >= _REMEMBERED:
            self.clear()
        home = self[key] = 0 if key is None else (murmur2(key) & 0x7FFFFFFF) % self._partitions
        return home


def _json(watermark: int | None) -> bytes:
    return b"null" if watermark is None else b"%d" % watermark
