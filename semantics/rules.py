"""Rules: the named choices in which engines differ. The contract's values are the defaults.

An engine's `Declaration` lists its overrides, written by Weir on the engine's behalf, with a source each. The oracle
takes the rules as an argument.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any


class WatermarkScope(Enum):
    """Whose highest event time makes the watermark."""

    PARTITION = "partition"
    """Each task has the clock of its own input partition."""
    SOURCE_MAX = "source-max"
    """One clock a query: the highest over all partitions of an input."""
    SOURCE_MIN = "source-min"
    """One clock an operator: the lowest over the partitions' clocks."""


class WatermarkAdvance(Enum):
    """How often time moves."""

    RECORD = "record"
    """With every record, after it was judged."""
    BATCH = "batch"
    """Between micro-batches: the late filter uses the previous batch's watermark, eviction the current one."""


class WatermarkResolution(Enum):
    """The clock's granularity; it is truncated, never rounded."""

    MICROSECOND = "microsecond"
    MILLISECOND = "millisecond"


class WatermarkStart(Enum):
    """The watermark before any event."""

    BEFORE_ALL = "before-all"
    EPOCH = "epoch"
    """1970-01-01T00:00:00Z: earlier events are late at once."""


class FilteredClock(Enum):
    """Whether an event that a filter behind the clock removes has moved the clock."""

    MOVES = "moves"
    IGNORED = "ignored"
    """The optimizer pushes the filter below the clock, and filters null keys and times there too where a join can match
    nothing with them, nor let them out unmatched."""


class MultiInput(Enum):
    """How the clocks of several inputs make one."""

    MIN = "min"
    MAX = "max"


class OperatorClock(Enum):
    """Whose clocks an operator goes by, where a pipeline has several."""

    ITS_INPUTS = "its-inputs"
    """Those of what it reads."""
    QUERY = "query"
    """All of the pipeline's, together."""


class Close(Enum):
    """When a window or session is final."""

    AT_END = "at-end"
    """watermark >= end."""
    AFTER_END = "after-end"
    """watermark > end."""
    NEVER = "never"
    """Event time closes nothing: nothing is late, nothing final, no row of state forgotten."""


class JoinClock(Enum):
    """How far the watermark must be past a buffered row's bound before the row is given up (and padded)."""

    EXACT = "exact"
    MINUS_1MS = "minus-1ms"
    """A whole millisecond, counted in milliseconds, and what follows the join is held back by as much more. With times
    in whole milliseconds nobody sees the difference at the join itself."""


class RowLateness(Enum):
    """When an input row of a row operator (a join) is late."""

    BEFORE = "before"
    """time < watermark."""
    AT_OR_BEFORE = "at-or-before"
    NEVER = "never"


class SessionTouch(Enum):
    """What two sessions of one key do that touch exactly."""

    MERGE = "merge"
    SPLIT = "split"


class SessionLateness(Enum):
    """The span whose end decides whether a session event is late."""

    MERGED_SPAN = "merged-span"
    """The session that the event would merge into."""
    OWN_SPAN = "own-span"
    """The event's own [t, t+gap)."""


class OuterNull(Enum):
    """When an unmatched row of an outer join comes out."""

    AFTER_BOUND = "after-bound"
    """watermark > its last possible partner."""
    AT_BOUND = "at-bound"
    EAGER = "eager"


class LateOuterRow(Enum):
    """What becomes of a late row on the preserved side."""

    DROP = "drop"
    PAD = "pad"
    """Matched against what is buffered; padded at once if unmatched."""


class OwnConditionFalse(Enum):
    """When a row of a preserved side comes out unmatched if a condition on its own fields excludes any partner."""

    AT_BOUND = "at-bound"
    """Like any other: when no partner could come any more."""
    AT_ONCE = "at-once"


class ValueBound(Enum):
    """What the condition that a side's own value be above a number says of time to a join's preserved side."""

    NOTHING = "nothing"
    IS_A_TIME = "is-a-time"
    """That many seconds since 1970, up to which the side's rows are given up at most: those of this decade never are,
    unless the number is that large."""


class DedupForget(Enum):
    """When a dedup forgets an id that it has passed."""

    AFTER_HORIZON = "after-horizon"
    """watermark > time + horizon."""
    AT_HORIZON = "at-horizon"
    """watermark >= time + horizon."""


class NullKey(Enum):
    """How a null key groups."""

    OWN_GROUP = "own-group"
    DROP = "drop"
    FAIL = "fail"


class NullJoinKey(Enum):
    """Whether null equals null in a join."""

    NO_MATCH = "no-match"
    MATCH = "match"
    MATCH_IN_FULL = "match-in-full"
    """In a full outer join only."""


class BadRecord(Enum):
    """What becomes of a record that cannot be read as an event."""

    DEAD_LETTER = "dead-letter"
    DROP_SILENTLY = "drop-silently"
    NULL_FIELDS = "null-fields"
    """Each field that cannot be read is null, all of them where the whole record cannot: an event like any other.
    Bytes that are not UTF-8 are read as U+FFFD."""
    FAIL = "fail"


class NullTime(Enum):
    """What becomes of an event without a time where time is needed."""

    DEAD_LETTER = "dead-letter"
    DROP_SILENTLY = "drop-silently"
    SQL_NULL = "sql-null"
    """No comparison with it is true. Windows drop it; what needs no time passes or counts it; a join keeps it for ever
    on a side whose unmatched rows come out, and drops it on the other; a dedup takes it for 1970, but never late."""
    FAIL = "fail"


class LateCount(Enum):
    """How late events are counted."""

    PER_EVENT = "per-event"
    PER_PARTIAL_AGGREGATE = "per-partial-aggregate"
    """Once a (key, window) of a micro-batch."""
    NONE = "none"


class Counts(Enum):
    """What a kill does to counts of late events and repeats. Dead letters are counted where they lie."""

    KEPT = "kept"
    OF_A_PROCESS = "of-a-process"
    """They die with the process, though what they count was committed."""


class Average(Enum):
    """How the sum behind an average is kept."""

    EXACT = "exact"
    DOUBLE = "double"
    """As a 64-bit float, rounded with every event: above 2^53 small values get lost beside large ones."""


class TrailingBatch(Enum):
    """Whether what the last input closes comes out without another input."""

    YES = "yes"
    NO = "no"
    """A micro-batch without input is never run: what is due waits for the next one with input."""


class Runs(Enum):
    """How long a process lives that nobody stops."""

    FOR_EVER = "for-ever"
    A_STEP = "a-step"
    """As long as there is input: each step of a script is a run of its own, and whatever a restart forgets is forgotten
    between them."""


class RestartClock(Enum):
    """What a restart remembers of time."""

    KEPT = "kept"
    """Every input's clock."""
    GLOBAL_ONLY = "global-only"
    """Only the query's watermark: each input's own maximum is forgotten."""


class RestartTimers(Enum):
    """When timers of processing time that were set before a restart fire."""

    ON_TIME = "on-time"
    AT_INPUT = "at-input"
    """Not before the first input after it, however long that takes."""


class RecoveredState(Enum):
    """The state that a worker finds which takes over from another, while its position is that of the last commit."""

    COMMITTED = "committed"
    """That of the last commit."""
    AHEAD = "ahead"
    """After a kill, that of all that was processed, of which what was not committed is processed again.

    Once or twice: a group that rebalances as it starts again reads once more what it has read by then.
    """
    BY_CHANCE = "by-chance"
    """After a kill, either of these for each key that a commit has seen, and AHEAD for the others; where the local
    state is lost, COMMITTED or none at all."""


class Sink(Enum):
    """What a fault may do to the output. A rule of comparison, not a switch in the oracle."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"
    """Each demanded row at least once, nothing else; only where a fault struck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One value for every rule; the defaults are the contract."""

    watermark_scope: WatermarkScope = WatermarkScope.PARTITION
    watermark_advance: WatermarkAdvance = WatermarkAdvance.RECORD
    watermark_resolution: WatermarkResolution = WatermarkResolution.MICROSECOND
    watermark_start: WatermarkStart = WatermarkStart.BEFORE_ALL
    filtered_clock: FilteredClock = FilteredClock.MOVES
    multi_input: MultiInput = MultiInput.MIN
    operator_clock: OperatorClock = OperatorClock.ITS_INPUTS
    window_close: Close = Close.AT_END
    session_close: Close = Close.AT_END
    session_touch: SessionTouch = SessionTouch.MERGE
    session_lateness: SessionLateness = SessionLateness.MERGED_SPAN
    join_clock: JoinClock = JoinClock.EXACT
    row_lateness: RowLateness = RowLateness.BEFORE
    outer_null: OuterNull = OuterNull.AFTER_BOUND
    late_outer_row: LateOuterRow = LateOuterRow.DROP
    own_condition_false: OwnConditionFalse = OwnConditionFalse.AT_BOUND
    value_bound: ValueBound = ValueBound.NOTHING
    dedup_forget: DedupForget = DedupForget.AFTER_HORIZON
    null_key: NullKey = NullKey.OWN_GROUP
    null_join_key: NullJoinKey = NullJoinKey.NO_MATCH
    bad_record: BadRecord = BadRecord.DEAD_LETTER
    null_time: NullTime = NullTime.DEAD_LETTER
    late_count: LateCount = LateCount.PER_EVENT
    counts: Counts = Counts.KEPT
    average: Average = Average.EXACT
    trailing_batch: TrailingBatch = TrailingBatch.YES
    runs: Runs = Runs.FOR_EVER
    restart_clock: RestartClock = RestartClock.KEPT
    restart_timers: RestartTimers = RestartTimers.ON_TIME
    recovered_state: RecoveredState = RecoveredState.COMMITTED
    sink: Sink = Sink.EXACTLY_ONCE

    def overridden(self) -> tuple[str, ...]:
        """Return the names of the rules that differ from the contract, in the order of declaration."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is not f.default)

    def returned(self, names: tuple[str, ...]) -> Rules:
        """Return these rules with the named ones set back to the contract."""
        contract: dict[str, Any] = {f.name: f.default for f in fields(self) if f.name in names}
        return replace(self, **contract)


CONTRACT = Rules()
