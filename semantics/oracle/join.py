"""The interval join: pairs of equal key with lo <= right time - left time <= hi, each once, as soon as both are there.

A row is kept while a partner may still come: a left one until w > its time + hi, a right one until w > its time - lo.
"May come" is the *other* side's clock's word, so that without one there the row is kept for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from semantics.oracle.clocks import BEFORE_ALL, Dump
from semantics.oracle.operator import NEVER, Missed, Operator, row_is_late
from semantics.pipeline import How, Join, PairTime, clocked
from semantics.rows import PairRow, Ref, Row
from semantics.rules import JoinClock, LateOuterRow, NullJoinKey, OuterNull, Rules
from semantics.time import us
from semantics.timeline import Event


@dataclass(slots=True, eq=False)
class Kept:
    """A buffered row; one without a time stays for ever. `settled`: it needs no padding, or none any more."""

    id: str
    time_us: int | None
    settled: bool


class Side:
    """One side's buffer. A row's last possible partner is at its time + `reach_us`.

    `preserved`: its unmatched rows come out. `evicts`: the other side has a clock.
    """

    def __init__(self, *, preserved: bool, clocked: bool, evicts: bool, reach_us: int) -> None:
        self.preserved = preserved
        self.clocked = clocked
        self.evicts = evicts
        self.reach_us = reach_us
        self.rows: dict[str | None, list[Kept]] = {}


class IntervalJoin(Operator):
    """Both buffers of one task, by key."""

    def __init__(self, pipeline: Join, rules: Rules) -> None:
        super().__init__()
        self.rules = rules
        match rules.null_join_key:
            case NullJoinKey.NO_MATCH:
                self.null_matches = False
            case NullJoinKey.MATCH:
                self.null_matches = True
            case NullJoinKey.MATCH_IN_FULL:
                self.null_matches = pipeline.how is How.FULL
        self.lo_us, self.hi_us = us(pipeline.lo), us(pipeline.hi)
        self.time = pipeline.time
        how, (left, right) = pipeline.how, (clocked(pipeline.left), clocked(pipeline.right))
        self.left = Side(preserved=how.keeps_left, clocked=left, evicts=right, reach_us=self.hi_us)
        self.right = Side(preserved=how.keeps_right, clocked=right, evicts=left, reach_us=-self.lo_us)

    def uses(self, event: Event, side: int) -> bool:
        return (self.left, self.right)[side].preserved or self.matchable(event)

    def event_of(self, row: Row) -> Event:
        assert isinstance(row, PairRow)
        times = [None if side is None else side.time_us for side in (row.left, row.right)]
        known = [time for time in times if time is not None]
        match self.time:
            case PairTime.LATER:
                time_us = max(known, default=None)
            case PairTime.LEFT:
                time_us = times[0]
            case PairTime.RIGHT:
                time_us = times[1]
            case unknown:
                assert_never(unknown)
        return Event(row.key, time_us, f"{row.left.id if row.left else ''}:{row.right.id if row.right else ''}")

    def matchable(self, event: Event) -> bool:
        """Return whether the event can have a partner."""
        return event.time_us is not None and (event.key is not None or self.null_matches)

    def take(self, event: Event, before: int, side: int) -> Missed | None:
        is_left = side == 0
        own, other = (self.left, self.right) if is_left else (self.right, self.left)
        row = Kept(event.id, event.time_us, settled=not own.preserved)
        late = own.clocked and row.time_us is not None and self.is_late(row.time_us, before)
        if late and not (own.preserved and self.rules.late_outer_row is LateOuterRow.PAD):
            return Missed()
        matchable = self.matchable(event)
        if matchable:
            for partner in other.rows.get(event.key, ()):
                left, right = (row, partner) if is_left else (partner, row)
                if left.time_us is not None and right.time_us is not None and self.within(right.time_us - left.time_us):
                    self.settle(left)
                    self.settle(right)
                    self.rows.append(PairRow(event.key, _ref(left), _ref(right)))
        if not row.settled and (late or self.rules.outer_null is OuterNull.EAGER):
            self.pad(own, event.key, row)
        if not late and (matchable or own.preserved):
            own.rows.setdefault(event.key, []).append(row)
            if own.evicts and row.time_us is not None:
                self.due = min(self.due, row.time_us + own.reach_us)
        return None

    def is_late(self, time_us: int, watermark: int) -> bool:
        """Return whether a row is late, by its own time."""
        return row_is_late(time_us, watermark, self.rules.row_lateness)

    def within(self, distance_us: int) -> bool:
        """Return whether right time - left time is within the bounds."""
        return self.lo_us <= distance_us <= self.hi_us

    def settle(self, row: Kept) -> None:
        """Note that a row was matched."""
        row.settled = True

    def pad(self, side: Side, key: str | None, row: Kept) -> None:
        """Say that a row has no partner."""
        row.settled = True
        self.rows.append(PairRow(key, _ref(row), None) if side is self.left else PairRow(key, None, _ref(row)))

    def close(self, now: int) -> None:
        if now < self.due:
            return
        for side in (self.left, self.right):
            for key, row in self._expired(side, now):
                if not row.settled:
                    self.pad(side, key, row)
        sides = [side for side in (self.left, self.right) if side.evicts]
        kept = ((row.time_us, side) for side in sides for rows in side.rows.values() for row in rows)
        self.due = min((time + side.reach_us for time, side in kept if time is not None), default=NEVER)

    def held(self) -> Iterator[str | None]:
        return (key for side in (self.left, self.right) for key, rows in side.rows.items() for _ in rows)

    def dump(self) -> Dump:
        return tuple(
            tuple(sorted(((key, k.id, k.time_us, k.settled) for key, rows in s.rows.items() for k in rows), key=repr))
            for s in (self.left, self.right)
        )

    def load(self, dump: Dump) -> None:
        for side, kept in zip((self.left, self.right), dump, strict=True):
            side.rows = {}
            for key, id, time_us, settled in kept:
                side.rows.setdefault(key, []).append(Kept(id, time_us, settled))
        self.due = BEFORE_ALL

    def _expired(self, side: Side, watermark: int) -> list[tuple[str | None, Kept]]:
        """Take the rows out of a buffer that can have no partner any more."""
        if not side.evicts:
            return []
        # Where null rows come out at the bound, the row goes with them: else a null could stand beside a match.
        at_bound = side.preserved and self.rules.outer_null is OuterNull.AT_BOUND
        last = watermark - side.reach_us if at_bound else watermark - side.reach_us - 1
        if self.rules.join_clock is JoinClock.MINUS_1MS:
            last = (watermark - side.reach_us) // 1_000 * 1_000 - 1_000
        expired: list[tuple[str | None, Kept]] = []
        for key, rows in list(side.rows.items()):
            gone = [row for row in rows if row.time_us is not None and row.time_us <= last]
            if gone:
                expired += [(key, row) for row in gone]
                side.rows[key] = [row for row in rows if row not in gone]
                if not side.rows[key]:
                    del side.rows[key]
        return expired


def _ref(row: Kept) -> Ref:
    return Ref(row.id, row.time_us)
