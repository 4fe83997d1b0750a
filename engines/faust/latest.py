# ruff: noqa: ARG002  (the signature is the protocol's)
"""Operators that know the latest of each key: upsert, absence, lookups in a table of versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from engines.faust.keys import NEVER, TIME, Names, group_at, key_of, time_key
from engines.faust.operators import EVENT_ROW, Emit, Event, Refused, Untimed, encode_json
from engines.faust.table import Table

Gone: TypeAlias = Callable[[Event], Any] | None
"""Whether an event deletes its key."""
WAITING, VERSION = b"\x00", b"\x01"
"""What the rows of a lookup begin with; at one due time, who waits is answered first."""


class Kept(msgspec.Struct, gc=False, array_like=True, frozen=True):
    """An event that is remembered, or a version of a table. `value` None: it deletes its key."""

    id: str | None
    time_us: int
    value: int | None
    gone: bool = False


class _ByKey(Untimed):
    """One row a key, and the watermark at which it is due."""

    def __init__(self, rows: Table[Kept], names: Names, emit: Emit, *, clocked: bool) -> None:
        self._rows, self._names, self._emit, self._clocked = rows, names, emit, clocked
        self.due = NEVER

    def _newer(self, event: Event, watermark: int, *, gone: bool = False) -> bool | Refused:
        """Remember an event as its key's latest, if it is that."""
        time = event.t
        assert time is not None
        if self._clocked and time < watermark:
            return Refused.LATE
        group = self._names[event.k].group
        known = self._rows.get(group)
        if known is not None and time < known.time_us:
            return False
        kept = Kept(event.i, time, event.v, gone)
        due = self._due(kept)
        if known is None:
            self._rows.insert(group, kept, due)
        elif due < self._due(known):
            self._rows.advance(group, kept, due)
        else:
            self._rows.replace(group, kept)
        self.due = min(self.due, due)
        return True

    def _due(self, kept: Kept) -> int:
        raise NotImplementedError

    def _say(self, key: str | None, id: str | None, value: int | None, time_us: int) -> None:
        kafka, json, _ = self._names[key]
        self._emit(kafka, EVENT_ROW % (json, encode_json(id), value, b"%d" % time_us))

    def recover(self, watermark: int) -> None:
        self.due = self._rows.begin(watermark)


class Upsert(_ByKey):
    """The latest version of each key; deletions too, as long as an older version may come."""

    def __init__(self, gone: Gone, rows: Table[Kept], names: Names, emit: Emit, *, clocked: bool) -> None:
        super().__init__(rows, names, emit, clocked=clocked)
        self._gone = gone

    @staticmethod
    def due_of(_: bytes, kept: Kept) -> int:
        """Return the watermark at which a row is forgotten."""
        return kept.time_us + 1 if kept.gone else NEVER

    def _due(self, kept: Kept) -> int:
        return kept.time_us + 1 if kept.gone and self._clocked else NEVER

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> Refused | None:
        gone = self._gone is not None and bool(self._gone(event))
        newer = self._newer(event, watermark, gone=gone)
        if newer is Refused.LATE:
            return Refused.LATE
        if newer:
            assert event.t is not None
            self._say(event.k, event.i, event.v, event.t)
        return None

    def on_watermark(self, watermark: int) -> None:
        for key, _ in self._rows.take_due(watermark):
            self._rows.delete(key)
        self.due = self._rows.next_due


class Absence(_ByKey):
    """The latest event of each key that is not silent yet."""

    def __init__(self, after_us: int, rows: Table[Kept], names: Names, emit: Emit) -> None:
        super().__init__(rows, names, emit, clocked=True)
        self._after = after_us

    def _due(self, kept: Kept) -> int:
        return kept.time_us + self._after

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> Refused | None:
        return Refused.LATE if self._newer(event, watermark) is Refused.LATE else None

    def on_watermark(self, watermark: int) -> None:
        for key, kept in self._rows.take_due(watermark):
            self._say(key_of(key), kept.id, kept.value, self._due(kept))
            self._rows.delete(key)
        self.due = self._rows.next_due


def silent_at(_: bytes, kept: Kept, after_us: int) -> int:
    """Return the watermark at which a key is silent."""
    return kept.time_us + after_us


class _Answers(Untimed):
    """What both lookups say."""

    def __init__(self, gone: Gone, rows: Table[Kept], names: Names, emit: Emit, *, left: bool) -> None:
        self._gone, self._rows, self._names, self._emit, self._left = gone, rows, names, emit, left

    def _version(self, event: Event) -> Kept:
        assert event.t is not None
        return Kept(None, event.t, None if self._gone is not None and self._gone(event) else event.v)

    def _answer(self, key: str | None, id: str | None, time_us: int, found: Kept | None) -> None:
        value = None if found is None else found.value
        if value is None and not self._left:
            return
        kafka, json, _ = self._names[key]
        self._emit(kafka, _ANSWER % (json, encode_json(id), encode_json(value), time_us))


_ANSWER = b'{"k":%b,"i":%b,"v":%b,"t":%d}'


class LookupByArrival(_Answers):
    """The latest version of each key, deleted ones too."""

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> None:
        group = self._names[event.k].group
        known = None if event.k is None else self._rows.get(group)
        assert event.t is not None
        if side == 0:
            self._answer(event.k, event.i, event.t, known)
        elif event.k is not None and (known is None or event.t >= known.time_us):
            (self._rows.insert if known is None else self._rows.replace)(group, self._version(event))


class LookupByTime(_Answers):
    """Versions by (key, time), who waits by (key, time, offset), beside them by the watermark at which they are due.

    Who waits is due behind his own time, a version at its own: then it makes all before it useless.
    """

    def __init__(self, gone: Gone, rows: Table[Kept], names: Names, emit: Emit, *, left: bool) -> None:
        super().__init__(gone, rows, names, emit, left=left)
        self.due = NEVER

    @staticmethod
    def due_of(key: bytes, kept: Kept) -> int:
        """Return the watermark at which a row is due."""
        return kept.time_us + (key[:1] == WAITING)

    @staticmethod
    def group_of(key: bytes) -> bytes | None:
        """Return what the versions of a key have in common."""
        return key[:-TIME] if key[:1] == VERSION else None

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> Refused | None:
        time = event.t
        assert time is not None
        if time < watermark:
            return Refused.LATE
        place = self._names[event.k].group + time_key(time)
        if side == 0:
            self._rows.insert(WAITING + place + offset.to_bytes(TIME, "big"), Kept(event.i, time, event.v))
            due = time + 1
        elif event.k is None:
            return None
        else:
            due, version = time, self._version(event)
            if self._rows.get(VERSION + place) is None:
                self._rows.insert(VERSION + place, version, due)
            else:
                self._rows.advance(VERSION + place, version, due)  # The one that it replaces may have been dealt with.
        self.due = min(self.due, due)
        return None

    def on_watermark(self, watermark: int) -> None:
        for key, kept in self._rows.take_due(watermark):
            group = group_at(key, 1)
            own = VERSION + group
            versions = self._rows.between(own, own, own + time_key(kept.time_us + 1))
            if key[:1] == WAITING:
                self._answer(key_of(group), kept.id, kept.time_us, versions[-1][1] if versions else None)
                self._rows.delete(key)
                continue
            for version, _ in versions if kept.value is None else versions[:-1]:
                self._rows.delete(version)
        self.due = self._rows.next_due

    def recover(self, watermark: int) -> None:
        self.due = self._rows.begin(watermark)
