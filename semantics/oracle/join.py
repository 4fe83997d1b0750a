"""Joins: pairs of equal key with lo <= right time - left time <= hi, or in one window, as soon as both are there.

A row is kept while a partner may still come: a left one until w > its time + hi, a right one until w > its time - lo,
in a window until w >= its end. "May come" is the *other* side's clock's word, so that without one there the row is kept
for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from semantics.expr import lower_bounds, own_conditions
from semantics.oracle.clocks import BEFORE_ALL, Dump
from semantics.oracle.operator import NEVER, Missed, Operator, row_is_late
from semantics.oracle.simple import evaluate
from semantics.pipeline import How, Join, PairTime, clocked
from semantics.rows import EventRow, PairRow, Ref, Row
from semantics.rules import (
    JoinClock,
    LateOuterRow,
    NullJoinKey,
    OuterNull,
    OwnConditionFalse,
    RowLateness,
    Rules,
    ValueBound,
)
from semantics.time import T0_US, us
from semantics.timeline import Event


@dataclass(slots=True, eq=False)
class Kept:
    """A buffered row; one without a time stays for ever. `settled`: it needs no padding, or none any more."""

    id: str
    time_us: int | None
    value: int | None
    settled: bool


class Side:
    """One side's buffer. A row's last possible partner is at its time + `reach_us`, None: there is always one more.

    `preserved`: its unmatched rows come out. `evicts`: the other side has a clock.
    """

    def __init__(self, *, name: str, preserved: bool, clocked: bool, evicts: bool, reach_us: int | None) -> None:
        self.name = name
        self.preserved = preserved
        self.clocked = clocked
        self.evicts = evicts and reach_us is not None
        self.reach_us = reach_us or 0
        self.rows: dict[str | None, list[Kept]] = {}


def _by_time(row: Kept) -> tuple[bool, int]:
    return row.time_us is not None, row.time_us or 0


class IntervalJoin(Operator):
    """Both buffers of one task, by key."""

    def __init__(self, pipeline: Join, rules: Rules) -> None:
        super().__init__()
        self.rules, self.pipeline = rules, pipeline
        self.how, self.window, self.where = pipeline.how, pipeline.window, pipeline.where
        self.lo_us, self.hi_us = pipeline.bounds_us
        self._exclusive = pipeline.hi_exclusive, pipeline.lo_exclusive
        self.time = pipeline.time
        how, (left, right) = pipeline.how, (clocked(pipeline.left), clocked(pipeline.right))
        back_us = None if self.lo_us is None else -self.lo_us
        reach = (0, 0) if self.window is not None else (self.hi_us, back_us)
        self.left = Side(name="left", preserved=how.keeps_left, clocked=left, evicts=right, reach_us=reach[0])
        self.right = Side(name="right", preserved=how.keeps_right, clocked=right, evicts=left, reach_us=reach[1])

    def uses(self, event: Event, side: int) -> bool:
        own = (self.left, self.right)[side]
        return own.preserved or self.matchable(event, own)

    def event_of(self, row: Row) -> Event:
        if not isinstance(row, PairRow):
            return super().event_of(row)
        times = [None if side is None else side.time_us for side in (row.left, row.right)]
        known = [time if self.window is None else self.end(time) - 1 for time in times if time is not None]
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

    def matchable(self, event: Event, side: Side) -> bool:
        """Return whether the event can have a partner."""
        keyed = event.key is not None or self.null_matches()
        return event.time_us is not None and keyed and self.fits(event, side)

    def null_matches(self) -> bool:
        """Return whether two null keys are equal."""
        match self.rules.null_join_key:
            case NullJoinKey.NO_MATCH:
                return False
            case NullJoinKey.MATCH:
                return True
            case NullJoinKey.MATCH_IN_FULL:
                return self.how is How.FULL
            case unknown:
                assert_never(unknown)

    def fits(self, event: Event, side: Side) -> bool:
        """Return whether no condition on the event's own fields excludes any partner."""
        return all(evaluate(condition, event, event) for condition in own_conditions(self.where, side.name))

    def take(self, event: Event, before: int, side: int) -> Missed | None:
        is_left = side == 0
        own, other = (self.left, self.right) if is_left else (self.right, self.left)
        row = Kept(event.id, event.time_us, event.value, settled=not own.preserved)
        late = own.clocked and row.time_us is not None and self.is_late(row.time_us, before)
        if late and not (own.preserved and self.rules.late_outer_row is LateOuterRow.PAD):
            return Missed()
        matchable, gone = self.matchable(event, own), False
        if matchable:
            # The contract leaves the order of one event's pairs open; a sorted store has them by the partner's time.
            for partner in sorted(other.rows.get(event.key, ()), key=_by_time):
                left, right = (row, partner) if is_left else (partner, row)
                if not gone and self.pairs(event.key, left, right):
                    self.settle(left)
                    self.settle(right)
                    gone = self.meet(event.key, left, right) and left is row
        at_once = not self.fits(event, own) and self.rules.own_condition_false is OwnConditionFalse.AT_ONCE
        if not row.settled and (late or at_once or self.rules.outer_null is OuterNull.EAGER):
            self.pad(own, event.key, row)
        if not late and not gone and (matchable or (own.preserved and not at_once)):
            own.rows.setdefault(event.key, []).append(row)
            if own.evicts and row.time_us is not None:
                self.due = min(self.due, self.last(own, row.time_us))
        return None

    def is_late(self, time_us: int, watermark: int) -> bool:
        """Return whether a row is late, by its own time, or by its window's end."""
        if self.window is None or self.rules.row_lateness is RowLateness.NEVER:
            return row_is_late(time_us, watermark, self.rules)
        return self.end(time_us) <= watermark

    def pairs(self, key: str | None, left: Kept, right: Kept) -> bool:
        """Return whether two rows of one key are a pair."""
        if left.time_us is None or right.time_us is None:
            return False
        if self.window is not None:
            near = self.end(left.time_us) == self.end(right.time_us)
        else:
            near = self.within(right.time_us - left.time_us)
        sides = (Event(key, row.time_us, row.id, row.value) for row in (left, right))
        return near and (self.where is None or evaluate(self.where, *sides))

    def within(self, distance_us: int) -> bool:
        """Return whether right time - left time is within the bounds."""
        lo, hi = self.lo_us, self.hi_us
        return (lo is None or lo <= distance_us) and (hi is None or distance_us <= hi)

    def end(self, time_us: int) -> int:
        """Return the end of the window that holds an instant."""
        assert self.window is not None
        size_us, offset_us = us(self.window.size), us(self.window.offset)
        return time_us - (time_us + T0_US - offset_us) % size_us + size_us

    def last(self, side: Side, time_us: int) -> int:
        """Return the last instant at which a row's partner can be."""
        return time_us + side.reach_us if self.window is None else self.end(time_us) - 1

    def meet(self, key: str | None, left: Kept, right: Kept) -> bool:
        """Say what a pair makes known; return whether the left row needs no other partner, and is gone."""
        if self.how.pairs:
            self.rows.append(PairRow(key, _ref(left), _ref(right)))
            return False
        if self.how is How.SEMI:
            self.rows.append(EventRow(key, left.id, left.value, left.time_us))
        if left in self.left.rows.get(key, ()):
            self.left.rows[key].remove(left)
            if not self.left.rows[key]:
                del self.left.rows[key]
        return True

    def settle(self, row: Kept) -> None:
        """Note that a row was matched."""
        row.settled = True

    def pad(self, side: Side, key: str | None, row: Kept) -> None:
        """Say that a row has no partner."""
        row.settled = True
        if self.how is How.ANTI:
            self.rows.append(EventRow(key, row.id, row.value, row.time_us))
            return
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
        self.due = min((self.last(side, time) for time, side in kept if time is not None), default=NEVER)

    def held(self) -> Iterator[str | None]:
        return (key for side in (self.left, self.right) for key, rows in side.rows.items() for _ in rows)

    def dump(self) -> Dump:
        rows = (
            (number, key, row.id, row.time_us, row.value, row.settled)
            for number, side in enumerate((self.left, self.right))
            for key, rows in side.rows.items()
            for row in rows
        )
        return tuple(sorted(rows, key=repr))

    def load(self, dump: Dump) -> None:
        sides = self.left, self.right
        for side in sides:
            side.rows = {}
        for number, key, *row in dump:
            sides[number].rows.setdefault(key, []).append(Kept(*row))
        self.due = BEFORE_ALL

    def is_over(self, side: Side, time_us: int, watermark: int) -> bool:
        """Return whether a row can have no partner any more."""
        last = self.last(side, time_us)
        if self.window is not None:
            return watermark > last
        if time_us > taken_for_times(self.pipeline, side.name) and self.rules.value_bound is ValueBound.IS_A_TIME:
            return False
        if self.rules.join_clock is JoinClock.MINUS_1MS:
            # Only what is inclusive is a millisecond late, and both are counted from the bound as it was written.
            exclusive = self._exclusive[side is self.right]
            bound_us = side.reach_us + exclusive
            return time_us <= (watermark - bound_us) // 1_000 * 1_000 - (0 if exclusive else 1_000)
        # Where null rows come out at the bound, the row goes with them: else a null could stand beside a match.
        at_bound = side.preserved and self.rules.outer_null is OuterNull.AT_BOUND
        return watermark >= last if at_bound else watermark > last

    def _expired(self, side: Side, watermark: int) -> list[tuple[str | None, Kept]]:
        """Take the rows out of a buffer that can have no partner any more."""
        if not side.evicts:
            return []
        expired: list[tuple[str | None, Kept]] = []
        for key, rows in list(side.rows.items()):
            gone = [row for row in rows if row.time_us is not None and self.is_over(side, row.time_us, watermark)]
            if gone:
                expired += [(key, row) for row in gone]
                side.rows[key] = [row for row in rows if row not in gone]
                if not side.rows[key]:
                    del side.rows[key]
        # In the order of time: what reads these rows may ask which one came last.
        return sorted(expired, key=lambda row: row[1].time_us or 0)


def taken_for_times(join: Join, *names: str) -> int:
    """Return the lowest time that conditions on preserved sides' own values say, where such a value is one."""
    bounds = (
        (number, exclusive)
        for name, kept in (("left", join.how.keeps_left), ("right", join.how.keeps_right))
        if kept and name in names and join.window is None
        for number, exclusive in lower_bounds(join.where, name)
    )
    times = (number * 1_000_000 - (0 if exclusive else 1_000) - T0_US for number, exclusive in bounds)
    return min(times, default=NEVER)


def _ref(row: Kept) -> Ref:
    return Ref(row.id, row.time_us)
