"""A second evaluation that knows no time: sort, split, group. Where nothing is late, the oracle must agree with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from semantics.expr import ID, VALUE, expr
from semantics.oracle import predict
from semantics.pipeline import (
    Aggregate,
    Emit,
    Filter,
    Function,
    How,
    Join,
    KeyBy,
    Select,
    Session,
    Source,
    Stream,
    Tumbling,
)
from semantics.rows import EventRow, PairRow, Ref, Row, ValueRow, Values, WindowRow
from semantics.rules import Rules, WatermarkAdvance, WatermarkScope, WatermarkStart
from semantics.time import T0_US
from semantics.timeline import Event, Flush, Send, Timeline

BOTH = (Function.COUNT, Function.SUM)
END_US = 10_000_000
DELAY_US = 15
KEYS: list[list[str | None]] = [["a"], ["a", "b", "c", None]]
RULES = [
    Rules(),
    Rules(watermark_advance=WatermarkAdvance.BATCH),
    Rules(watermark_start=WatermarkStart.EPOCH, watermark_scope=WatermarkScope.SOURCE_MIN),
]
ONE_PARTITION_RULES = Rules(watermark_scope=WatermarkScope.SOURCE_MAX, watermark_advance=WatermarkAdvance.BATCH)


def micros(count: int) -> timedelta:
    return timedelta(microseconds=count)


def source(name: str = "in") -> Source:
    return Source(name, delay=micros(DELAY_US))


@st.composite
def scripts(draw: st.DrawFn, inputs: Sequence[str] = ("in",), lanes: int = 1) -> tuple[Timeline, list[Event]]:
    """Draw a script in which no event is as far behind as the delay, whatever the order between partitions."""
    count = draw(st.integers(1, 10))
    times = draw(st.lists(st.integers(-9, 20), min_size=count, max_size=count))
    early = draw(st.lists(st.sampled_from([0, DELAY_US // 2, DELAY_US - 1]), min_size=count, max_size=count))
    keys = draw(st.sampled_from(KEYS))
    drawn = []
    for number, (time_us, jitter) in enumerate(zip(times, early, strict=True)):
        key = draw(st.sampled_from(keys))
        lane = 0 if key is None else "abc".index(key) % lanes
        event = Event(key, time_us, f"e{number}", draw(st.integers(-3, 3)), draw(st.sampled_from(inputs)), lane)
        drawn.append((time_us + jitter, number, event))
    events = [event for _, _, event in sorted(drawn, key=lambda item: item[:2])]
    cuts = sorted(draw(st.sets(st.integers(1, count - 1), max_size=3))) if count > 1 else []
    parts = [events[a:b] for a, b in zip([0, *cuts], [*cuts, count], strict=True)]
    return tuple(Send(tuple(part)) for part in parts), events


def final_rows(pipeline: Aggregate | Join | Stream, timeline: Timeline, rules: Rules) -> list[Counter[Row]]:
    """Return the rows of whole scripts, one Counter a possible outcome; all of them clean."""
    predictions = predict(pipeline, timeline, rules)
    for prediction in predictions:
        assert all(step.late == step.dead == 0 for step in prediction)
        if isinstance(timeline[-1], Flush):
            assert prediction[-1].state == 0
    return [Counter(row for step in prediction for row in step.rows) for prediction in predictions]


def aggregated(events: Sequence[Event]) -> Values:
    return ("n", len(events)), ("sum", sum(event.value for event in events))


def by_key(events: Sequence[Event]) -> dict[str | None, list[Event]]:
    groups: dict[str | None, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.time_us or 0):
        groups[event.key].append(event)
    return groups


@settings(max_examples=150, deadline=None)
@given(scripts(lanes=2), st.integers(1, 25), st.sampled_from(RULES))
def test_tumbling_windows(script: tuple[Timeline, list[Event]], size_us: int, rules: Rules) -> None:
    timeline, events = script
    expected: Counter[Row] = Counter()
    for key, group in by_key(events).items():
        for number in {(T0_US + (event.time_us or 0)) // size_us for event in group}:
            start = number * size_us - T0_US
            inside = [event for event in group if start <= (event.time_us or 0) < start + size_us]
            expected[WindowRow(key, start, start + size_us, aggregated(inside))] += 1
    pipeline = Aggregate(source(), BOTH, window=Tumbling(micros(size_us)))
    assert all(rows == expected for rows in final_rows(pipeline, (*timeline, Flush(END_US)), rules))


@settings(max_examples=150, deadline=None)
@given(scripts(), st.integers(1, 12), st.sampled_from([*RULES, ONE_PARTITION_RULES]))
def test_sessions(script: tuple[Timeline, list[Event]], gap_us: int, rules: Rules) -> None:
    timeline, events = script
    expected: Counter[Row] = Counter()
    for key, group in by_key(events).items():
        runs: list[list[Event]] = []
        for event in group:
            if runs and (event.time_us or 0) - (runs[-1][-1].time_us or 0) <= gap_us:
                runs[-1].append(event)
            else:
                runs.append([event])
        for run in runs:
            first, last = run[0].time_us or 0, run[-1].time_us or 0
            expected[WindowRow(key, first, last + gap_us, aggregated(run))] += 1
    pipeline = Aggregate(source(), BOTH, window=Session(micros(gap_us)))
    assert all(rows == expected for rows in final_rows(pipeline, (*timeline, Flush(END_US)), rules))


@settings(max_examples=150, deadline=None)
@given(
    scripts(inputs=("L", "R"), lanes=2),
    st.integers(-12, 12),
    st.integers(0, 12),
    st.sampled_from(How),
    st.sampled_from(RULES[:2]),
)
def test_interval_joins(
    script: tuple[Timeline, list[Event]], lo_us: int, width_us: int, how: How, rules: Rules
) -> None:
    timeline, events = script
    hi_us = lo_us + width_us
    expected: Counter[Row] = Counter()
    for left in (event for event in events if event.input == "L"):
        partners = [
            right
            for right in events
            if right.input == "R"
            and left.key is not None
            and left.key == right.key
            and lo_us <= (right.time_us or 0) - (left.time_us or 0) <= hi_us
        ]
        for right in partners:
            expected[PairRow(left.key, Ref(left.id, left.time_us), Ref(right.id, right.time_us))] += 1
        if how is How.LEFT and not partners:
            expected[PairRow(left.key, Ref(left.id, left.time_us), None)] += 1
    pipeline = Join(source("L"), source("R"), lo=micros(lo_us), hi=micros(hi_us), how=how)
    assert all(rows == expected for rows in final_rows(pipeline, (*timeline, Flush(END_US)), rules))


@settings(max_examples=40, deadline=None)
@given(scripts(lanes=3), st.sampled_from([*RULES, ONE_PARTITION_RULES]))
def test_running_aggregates_end_with_the_total(script: tuple[Timeline, list[Event]], rules: Rules) -> None:
    timeline, events = script
    pipeline = Aggregate(source(), BOTH, emit=Emit.UPDATE)
    for prediction in predict(pipeline, timeline, rules):
        last = {row.key: row for step in prediction for row in step.rows}
        assert last == {key: ValueRow(key, aggregated(group)) for key, group in by_key(events).items()}


@settings(max_examples=40, deadline=None)
@given(scripts(lanes=3), st.sampled_from(RULES))
def test_stateless_operators(script: tuple[Timeline, list[Event]], rules: Rules) -> None:
    timeline, events = script
    pipeline = Select(Filter(source(), expr(VALUE, ">", 0)), expr(VALUE, "-", 5))
    expected = Counter(EventRow(e.key, e.id, e.value - 5, e.time_us) for e in events if e.value > 0)
    assert all(rows == expected for rows in final_rows(pipeline, timeline, rules))


@settings(max_examples=40, deadline=None)
@given(scripts(lanes=2), st.integers(1, 25), st.sampled_from(RULES[:2]))
def test_windows_behind_a_key_by(script: tuple[Timeline, list[Event]], size_us: int, rules: Rules) -> None:
    timeline, events = script
    pipeline = Aggregate(KeyBy(source(), ID), BOTH, window=Tumbling(micros(size_us)))
    ends = Send(tuple(Event(f"end{lane}", END_US, "end", 1, "in", lane) for lane in range(2)))
    keyed = [replace(event, key=event.id) for event in events]
    expected: Counter[Row] = Counter()
    for event in keyed:
        start = (T0_US + (event.time_us or 0)) // size_us * size_us - T0_US
        expected[WindowRow(event.key, start, start + size_us, aggregated([event]))] += 1
    for rows in final_rows(pipeline, (*timeline, ends), rules):
        assert Counter({row: count for row, count in rows.items() if row.key != "end"}) == expected


@settings(max_examples=40, deadline=None)
@given(scripts(inputs=("L", "R")), st.sampled_from([Rules(), ONE_PARTITION_RULES]))
def test_a_join_that_only_sees_one_side_says_nothing_when_inner(
    script: tuple[Timeline, list[Event]], rules: Rules
) -> None:
    timeline, _ = script
    one_sided = tuple(
        Send(tuple(e for e in step.events if e.input == "L")) for step in timeline if isinstance(step, Send)
    )
    pipeline = Join(source("L"), source("R"), lo=micros(-5), hi=micros(5))
    assert all(not rows for rows in final_rows(pipeline, one_sided, rules))
