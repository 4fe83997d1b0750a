"""A second evaluation that knows no time: sort, split, group. Where nothing is late, the oracle must agree with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from semantics.expr import ID, LEFT_VALUE, RIGHT_VALUE, VALUE, Expr, expr
from semantics.oracle import predict
from semantics.oracle.simple import evaluate, through
from semantics.pipeline import (
    Aggregate,
    Dedup,
    Emit,
    Explode,
    Filter,
    Function,
    Hopping,
    How,
    Join,
    KeyBy,
    PairTime,
    Pipeline,
    Select,
    Session,
    Source,
    Stateful,
    Tumbling,
    Union,
    nodes,
)
from semantics.rows import EventRow, PairRow, Ref, Row, ValueRow, Values, WindowRow
from semantics.rules import CONTRACT, DedupForget, Rules, WatermarkAdvance, WatermarkScope, WatermarkStart
from semantics.time import T0_US
from semantics.timeline import Event, Flush, Send, Timeline

ALL = tuple(Function)
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


def final_rows(pipeline: Pipeline, timeline: Timeline, rules: Rules) -> list[Counter[Row]]:
    """Return the rows of whole scripts, one Counter a possible outcome; all of them clean."""
    predictions = predict(pipeline, timeline, rules)
    for prediction in predictions:
        assert not any(step.late or step.dead for step in prediction)
        if isinstance(timeline[-1], Flush):
            assert prediction[-1].state == 0
    return [Counter(row for step in prediction for row in step.rows) for prediction in predictions]


def at(event: Event) -> int:
    assert event.time_us is not None
    return event.time_us


def ref(event: Event) -> Ref:
    return Ref(event.id, event.time_us)


@st.composite
def windows(draw: st.DrawFn) -> Tumbling | Hopping:
    size, grace = draw(st.integers(1, 25)), draw(st.sampled_from([0, 3]))
    if draw(st.booleans()):
        return Tumbling(micros(size), offset=micros(draw(st.integers(0, size - 1))), grace=micros(grace))
    slide = draw(st.integers(1, size))
    offset = micros(draw(st.integers(0, slide - 1)))
    return Hopping(micros(size), micros(slide), offset=offset, grace=micros(grace))


def windowed(events: Sequence[Event], window: Tumbling | Hopping) -> list[Row]:
    """Return the rows of every window around the events that holds any of them, tried one by one."""
    size, offset = (duration // micros(1) for duration in (window.size, window.offset))
    slide = window.slide // micros(1) if isinstance(window, Hopping) else size
    rows: list[Row] = []
    for key, group in by_key(events).items():
        for start in (start for start in range(-150, 200) if (T0_US + start - offset) % slide == 0):
            inside = [event for event in group if start <= at(event) < start + size]
            if inside:
                rows.append(WindowRow(key, start, start + size, aggregated(inside)))
    return rows


def sessions(events: Sequence[Event], gap_us: int, longest_us: int = 1 << 60) -> list[Row]:
    """Return the rows of all runs of events of one key that are no farther apart than the gap, nor behind a cut."""

    def part(event: Event) -> int:
        return (T0_US + at(event)) // longest_us

    def end(event: Event) -> int:
        return min(at(event) + gap_us, (part(event) + 1) * longest_us - T0_US)

    rows: list[Row] = []
    for key, group in by_key(events).items():
        runs: list[list[Event]] = []
        for event in group:
            before = runs[-1][-1] if runs else None
            if before and at(event) - at(before) <= gap_us and part(event) == part(before):
                runs[-1].append(event)
            else:
                runs.append([event])
        rows += [WindowRow(key, at(run[0]), end(run[-1]), aggregated(run)) for run in runs]
    return rows


def joined(lefts: Sequence[Event], rights: Sequence[Event], join: Join) -> list[Row]:
    """Return the rows of an interval join, all against all."""
    assert join.lo is not None
    assert join.hi is not None
    bounds = range(join.lo // micros(1), join.hi // micros(1) + 1)
    pairs = [
        (left, right)
        for left in lefts
        for right in rights
        if left.key is not None and left.key == right.key and at(right) - at(left) in bounds
    ]
    if join.how in (How.SEMI, How.ANTI):
        passing = [e for e in lefts if any(e is left for left, _ in pairs) is (join.how is How.SEMI)]
        return [EventRow(e.key, e.id, e.value, e.time_us) for e in passing]
    rows: list[Row] = [PairRow(left.key, ref(left), ref(right)) for left, right in pairs]
    if join.how.keeps_left:
        rows += [PairRow(e.key, ref(e), None) for e in lefts if not any(e is left for left, _ in pairs)]
    if join.how.keeps_right:
        rows += [PairRow(e.key, None, ref(e)) for e in rights if not any(e is right for _, right in pairs)]
    return rows


def aggregated(events: Sequence[Event]) -> Values:
    """`events` in the order of arrival: of those at one time, the first and the last are told by it."""
    values = [event.value or 0 for event in sorted(events, key=at)]
    plain = ("n", len(values)), ("sum", sum(values)), ("min", min(values)), ("max", max(values))
    mean = sum(values) / len(values)
    return *plain, ("avg", mean), ("first", values[0]), ("last", values[-1]), ("collect", tuple(values[:100]))


def by_key(events: Sequence[Event]) -> dict[str | None, list[Event]]:
    groups: dict[str | None, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.time_us or 0):
        groups[event.key].append(event)
    return groups


@settings(max_examples=150, deadline=None)
@given(scripts(lanes=2), windows(), st.sampled_from(RULES))
def test_windows(script: tuple[Timeline, list[Event]], window: Tumbling | Hopping, rules: Rules) -> None:
    timeline, events = script
    expected = Counter[Row](windowed(events, window))
    pipeline = Aggregate(source(), ALL, window=window)
    assert all(rows == expected for rows in final_rows(pipeline, (*timeline, Flush(END_US)), rules))


@settings(max_examples=60, deadline=None)
@given(scripts(lanes=2), windows(), st.sampled_from(RULES), st.booleans())
def test_windows_that_update_end_as_the_final_ones(
    script: tuple[Timeline, list[Event]], window: Tumbling | Hopping, rules: Rules, clocked: bool
) -> None:
    timeline, events = script
    pipeline = Aggregate(source() if clocked else Source(), ALL, window=window, emit=Emit.UPDATE)
    for prediction in predict(pipeline, timeline, rules):
        last = {(row.key, row.start_us): row for step in prediction for row in step.rows if isinstance(row, WindowRow)}
        assert Counter(last.values()) == Counter(windowed(events, window))


@settings(max_examples=150, deadline=None)
@given(
    scripts(),
    st.integers(1, 12),
    st.integers(0, 5),
    st.none() | st.integers(0, 20),
    st.sampled_from([*RULES, ONE_PARTITION_RULES]),
)
def test_sessions(
    script: tuple[Timeline, list[Event]], gap_us: int, grace_us: int, more_us: int | None, rules: Rules
) -> None:
    timeline, events = script
    longest = None if more_us is None else micros(gap_us + more_us)
    expected = Counter(sessions(events, gap_us, 1 << 60 if more_us is None else gap_us + more_us))
    pipeline = Aggregate(source(), ALL, window=Session(micros(gap_us), grace=micros(grace_us), longest=longest))
    assert all(rows == expected for rows in final_rows(pipeline, (*timeline, Flush(END_US)), rules))


@settings(max_examples=150, deadline=None)
@given(
    scripts(inputs=("L", "R"), lanes=2),
    st.integers(-12, 12),
    st.integers(0, 12),
    st.sampled_from([None, expr(LEFT_VALUE, "<=", RIGHT_VALUE), expr(LEFT_VALUE, ">", 0)]),
    st.sampled_from(How),
    st.sampled_from(RULES[:2]),
)
def test_interval_joins(
    script: tuple[Timeline, list[Event]], lo_us: int, width_us: int, where: Expr | None, how: How, rules: Rules
) -> None:
    timeline, events = script
    hi_us = lo_us + width_us
    expected: Counter[Row] = Counter()
    lefts, rights = ([event for event in events if event.input == name] for name in "LR")
    pairs = [
        (left, right)
        for left in lefts
        for right in rights
        if left.key is not None and left.key == right.key and lo_us <= at(right) - at(left) <= hi_us
        if where is None or evaluate(where, left, right)
    ]
    matched = [left for left, _ in pairs]
    if how in (How.SEMI, How.ANTI):
        passing = [e for e in lefts if (e in matched) is (how is How.SEMI)]
        expected.update(EventRow(e.key, e.id, e.value, e.time_us) for e in passing)
    for left, right in pairs if how.pairs else ():
        expected[PairRow(left.key, ref(left), ref(right))] += 1
    if how in (How.LEFT, How.FULL):
        expected.update(PairRow(e.key, ref(e), None) for e in lefts if e not in matched)
    if how in (How.RIGHT, How.FULL):
        expected.update(PairRow(e.key, None, ref(e)) for e in rights if e not in [right for _, right in pairs])
    # Next to a bound that is excluded lies one that is not.
    wider = Join(
        source("L"), source("R"), lo=micros(lo_us - 1), hi=micros(hi_us + 1), how=how, where=where,
        lo_exclusive=True, hi_exclusive=True,
    )  # fmt: skip
    assert all(rows == expected for rows in final_rows(wider, (*timeline, Flush(END_US)), rules))
    pipeline = Join(source("L"), source("R"), lo=micros(lo_us), hi=micros(hi_us), how=how, where=where)
    assert all(rows == expected for rows in final_rows(pipeline, (*timeline, Flush(END_US)), rules))


@settings(max_examples=100, deadline=None)
@given(scripts(inputs=("L", "R"), lanes=2), st.integers(1, 20), st.sampled_from(How), st.sampled_from(RULES[:2]))
def test_windowed_joins(script: tuple[Timeline, list[Event]], size_us: int, how: How, rules: Rules) -> None:
    timeline, events = script

    def window(event: Event) -> int:
        return (T0_US + at(event)) // size_us

    lefts, rights = ([event for event in events if event.input == name] for name in "LR")
    pairs = [(e, f) for e in lefts for f in rights if e.key is not None and e.key == f.key and window(e) == window(f)]
    expected: Counter[Row] = Counter(PairRow(e.key, ref(e), ref(f)) for e, f in pairs if how.pairs)
    if how in (How.SEMI, How.ANTI):
        passing = [e for e in lefts if any(e is left for left, _ in pairs) is (how is How.SEMI)]
        expected.update(EventRow(e.key, e.id, e.value, e.time_us) for e in passing)
    if how in (How.LEFT, How.FULL):
        expected.update(PairRow(e.key, ref(e), None) for e in lefts if all(e is not left for left, _ in pairs))
    if how in (How.RIGHT, How.FULL):
        expected.update(PairRow(f.key, None, ref(f)) for f in rights if all(f is not right for _, right in pairs))
    pipeline = Join(source("L"), source("R"), window=Tumbling(micros(size_us)), how=how)
    assert all(rows == expected for rows in final_rows(pipeline, (*timeline, Flush(END_US)), rules))


@settings(max_examples=150, deadline=None)
@given(
    scripts(lanes=2),
    st.integers(0, 60),
    st.sampled_from("xyz"),
    st.sampled_from([CONTRACT, Rules(dedup_forget=DedupForget.AT_HORIZON)]),
)
def test_dedup(script: tuple[Timeline, list[Event]], horizon_us: int, twin: str, rules: Rules) -> None:
    """Every third event shares an id. Walk through each partition by hand, with the highest time as the only clock."""
    timeline, events = script
    renamed = {e.id: replace(e, id=twin) if int(e.id[1:]) % 3 == 0 else e for e in events}
    timeline = tuple(
        Send(tuple(renamed[e.id] for e in step.events if isinstance(e, Event)))
        for step in timeline
        if isinstance(step, Send)
    )
    passed: Counter[Row] = Counter()
    repeats = 0
    for lane in range(2):
        firsts: dict[tuple[str | None, str], int] = {}
        highest = -(10**9)
        for event in (renamed[e.id] for e in events if e.partition == lane):
            first = firsts.get((event.key, event.id))
            gone = 0 if rules.dedup_forget is DedupForget.AT_HORIZON else 1
            if first is None or highest - DELAY_US >= first + horizon_us + gone:
                firsts[event.key, event.id] = at(event)
                passed[EventRow(event.key, event.id, event.value, event.time_us)] += 1
            else:
                repeats += 1
            highest = max(highest, at(event))
    (prediction,) = predict(Dedup(source(), horizon=micros(horizon_us)), (*timeline, Flush(END_US)), rules)
    assert Counter(row for step in prediction for row in step.rows) == passed
    assert sum(step.dup for step in prediction) == repeats
    assert prediction[-1].state == 0


@settings(max_examples=40, deadline=None)
@given(scripts(lanes=3), st.sampled_from([*RULES, ONE_PARTITION_RULES]))
def test_running_aggregates_end_with_the_total(script: tuple[Timeline, list[Event]], rules: Rules) -> None:
    timeline, events = script
    pipeline = Aggregate(source(), ALL, emit=Emit.UPDATE)
    for prediction in predict(pipeline, timeline, rules):
        last = {row.key: row for step in prediction for row in step.rows}
        assert last == {key: ValueRow(key, aggregated(group)) for key, group in by_key(events).items()}


@settings(max_examples=40, deadline=None)
@given(scripts(lanes=3), st.sampled_from(RULES))
def test_stateless_operators(script: tuple[Timeline, list[Event]], rules: Rules) -> None:
    timeline, events = script
    pipeline = Select(Filter(source(), expr(VALUE, ">", 0)), expr(VALUE, "-", 5))
    expected = Counter(EventRow(e.key, e.id, e.value - 5, e.time_us) for e in events if e.value and e.value > 0)
    assert all(rows == expected for rows in final_rows(pipeline, timeline, rules))


@settings(max_examples=40, deadline=None)
@given(scripts(lanes=2), st.integers(1, 25), st.sampled_from(RULES[:2]))
def test_windows_behind_a_key_by(script: tuple[Timeline, list[Event]], size_us: int, rules: Rules) -> None:
    timeline, events = script
    pipeline = Aggregate(KeyBy(source(), ID), ALL, window=Tumbling(micros(size_us)))
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


FUNCTIONS = [(Function.COUNT,), (Function.SUM, Function.COUNT), (Function.MAX,), (Function.MIN, Function.SUM)]


@st.composite
def final_trees(draw: st.DrawFn, names: tuple[str, ...] = ("L", "R"), depth: int = 3) -> Pipeline:
    """Pipelines whose operators say final rows only, so that order of arrival makes no difference."""
    if depth == 0:
        first, *others = (source(name) for name in names)
        return Union((first, *others)) if others else first
    kinds = ["filter", "select", "explode", "window", "window", "session"]
    match draw(st.sampled_from([*kinds, "join", "join"] if len(names) > 1 else kinds)):
        case "filter":
            return Filter(draw(final_trees(names, depth - 1)), expr(VALUE, ">", draw(st.integers(-2, 2))))
        case "select":
            return Select(draw(final_trees(names, depth - 1)), expr(VALUE, "+", draw(st.integers(-2, 2))))
        case "explode":
            return Explode(draw(final_trees(names, depth - 1)), most=2)
        case "window":
            inner, functions = draw(final_trees(names, depth - 1)), draw(st.sampled_from(FUNCTIONS))
            return Aggregate(inner, functions, window=draw(windows()))
        case "session":
            inner, functions = draw(final_trees(names, depth - 1)), draw(st.sampled_from(FUNCTIONS))
            # A window's row can come exactly at the watermark, and so touch a session that is final by then (C5): with
            # a grace it cannot.
            least = int(any(isinstance(node, Stateful) for node in nodes(inner)))
            window = Session(micros(draw(st.integers(1, 12))), grace=micros(draw(st.integers(least, 5))))
            return Aggregate(inner, functions, window=window)
        case _:
            left, right = (draw(final_trees((name,), depth - 1)) for name in names)
            lo, how = draw(st.integers(-12, 12)), draw(st.sampled_from(How))
            times = [PairTime.LATER, *([PairTime.LEFT] if how.pairs and not how.keeps_right else [])]
            hi, time = lo + draw(st.integers(0, 12)), draw(st.sampled_from(times))
            return Join(left, right, lo=micros(lo), hi=micros(hi), how=how, time=time)


def offline(node: Pipeline, events: Sequence[Event]) -> list[Row]:
    """Return all rows of a node, each operator run to its end before the next one begins."""

    def read(stream: Pipeline) -> list[Event]:
        return [as_event(stream, row) for row in offline(stream, events)]

    match node:
        case Source(name):
            return [EventRow(e.key, e.id, e.value, e.time_us) for e in events if e.input == name]
        case Union(streams):
            return [row for stream in streams for row in offline(stream, events)]
        case Filter() | Select() | Explode():
            passed = [event for whole in read(node.input) for event in through((node,), whole)]
            return [EventRow(e.key, e.id, e.value, e.time_us) for e in passed]
        case Aggregate(stream, functions, window=(Tumbling() | Hopping()) as window):
            return [picked(row, functions) for row in windowed(read(stream), window)]
        case Aggregate(stream, functions, window=Session(gap)):
            assert isinstance(gap, timedelta)
            return [picked(row, functions) for row in sessions(read(stream), gap // micros(1))]
        case Join(left, right):
            return joined(read(left), read(right), node)
    raise AssertionError(node)


def picked(row: Row, functions: Sequence[Function]) -> Row:
    assert isinstance(row, WindowRow)
    return replace(row, values=tuple((function.value, dict(row.values)[function.value]) for function in functions))


def as_event(node: Pipeline, row: Row) -> Event:
    """Return a row as the event that semantics/README.md says it is."""
    match row:
        case EventRow(key, id, value, time_us):
            return Event(key, time_us, id, value)
        case WindowRow(key, start_us, end_us, values):
            first = values[0][1]
            assert isinstance(first, int)
            return Event(key, end_us - 1, f"{T0_US + start_us}-{T0_US + end_us}", first)
        case PairRow(key, left, right):
            assert isinstance(node, Join)
            times = [side.time_us or 0 for side in (left, right) if side is not None]
            time_us = times[0] if node.time is PairTime.LEFT else max(times)
            return Event(key, time_us, f"{left.id if left else ''}:{right.id if right else ''}", 1)
    raise AssertionError(row)


@settings(max_examples=250, deadline=None)
@given(scripts(inputs=("L", "R"), lanes=2), final_trees(), st.sampled_from(RULES))
def test_operators_that_feed_operators(script: tuple[Timeline, list[Event]], pipeline: Pipeline, rules: Rules) -> None:
    timeline, events = script
    expected = Counter(offline(pipeline, events))
    for rows in final_rows(pipeline, (*timeline, Flush(END_US)), rules):
        assert rows == expected
