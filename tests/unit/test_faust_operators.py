"""The operators of the Faust engine against the oracle: the same scripts, without Kafka. And the table under them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from engines.codec import from_json, to_json
from engines.faust.compile import memory_for, store_for
from engines.faust.keys import group_at, key_of, key_time, name_of, time_key
from engines.faust.program import Program, Record
from engines.faust.store import Caches, TaskRecord
from engines.wire import encode_event, row_decoder
from semantics.expectation import script
from semantics.expr import ID, KEY, LEFT_VALUE, RIGHT_VALUE, VALUE, Expr, Literal, expr
from semantics.notation import print_row, print_step
from semantics.oracle import predict
from semantics.pipeline import (
    Absence,
    Aggregate,
    AsOf,
    Dedup,
    Emit,
    Explode,
    Filter,
    Function,
    Hopping,
    How,
    Join,
    KeyBy,
    Lookup,
    PairTime,
    Pipeline,
    Select,
    Session,
    Source,
    Stream,
    Timer,
    Tumbling,
    Union,
    Upsert,
    Watermark,
    Window,
    clocked,
    sources,
)
from semantics.rows import Row, ValueRow, WindowRow, sort_key
from semantics.time import T0_US
from semantics.timeline import Event, Idle, Raw, Send, Timeline

SECONDS = st.integers(-3, 40).map(lambda n: timedelta(seconds=n))
DELAYS = st.integers(0, 15).map(lambda n: timedelta(seconds=n))
FUNCTIONS = st.one_of(
    st.just((Function.COUNT,)), st.lists(st.sampled_from(Function), min_size=1, unique=True).map(tuple)
)
PATIENCE = timedelta(seconds=5)
GRACES = st.sampled_from([0, 0, 1, 7, 13]).map(lambda n: timedelta(seconds=n))


@dataclass(frozen=True)
class Fetched:
    """A record as the fetcher hands it over."""

    offset: int
    value: bytes | None
    key: bytes | None = None


def streams(name: str, *, clock: bool | None = None, rekey: bool = True) -> st.SearchStrategy[Stream]:
    delays = DELAYS if clock else (st.none() if clock is False else st.none() | DELAYS)
    wheres = st.sampled_from([expr(VALUE, ">", 1), expr(expr(KEY, "==", "a"), "or", expr(ID, "!=", "e3"))])
    values = st.sampled_from([expr(VALUE, "*", 3), expr(expr(VALUE, "-", 5), "+", VALUE)])
    guards = st.none() | st.integers(1, 20).map(lambda n: timedelta(seconds=n))
    sources = st.builds(
        lambda delay, guard, late, patient: Source(
            name, delay=delay, future=None if delay is None else guard, late_output=late and delay is not None,
            idle_after=PATIENCE if patient and delay is not None else None,
        ),
        delays, st.one_of(st.none(), st.none(), guards), st.booleans(), st.booleans(),
    )  # fmt: skip

    def extend(inner: st.SearchStrategy[Stream]) -> st.SearchStrategy[Stream]:
        steps = [st.builds(Filter, inner, wheres), st.builds(Select, inner, values)]
        return st.one_of(*steps, *([st.builds(KeyBy, inner, st.sampled_from([ID, KEY]))] if rekey else []))

    return st.recursive(sources, extend, max_leaves=3)


AT_MOST = st.sampled_from([1, 2, 100])
RUNNING = st.builds(Aggregate, streams("in"), FUNCTIONS, emit=st.just(Emit.UPDATE), at_most=AT_MOST)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Windows of all shapes, sizes that no slide divides among them."""
    size, half = draw(st.integers(1, 12)), timedelta(seconds=0.5)
    match draw(st.sampled_from([Tumbling, Hopping, Session])):
        case shape if shape is Tumbling:
            return Tumbling(2 * size * half, offset=draw(st.integers(0, 2 * size - 1)) * half, grace=draw(GRACES))
        case shape if shape is Hopping:
            slide = draw(st.integers(max(1, size // 2), 2 * size))
            offset = draw(st.integers(0, slide - 1)) * half
            return Hopping(2 * size * half, slide * half, offset=offset, grace=draw(GRACES))
        case _:
            gaps: list[timedelta | Expr] = [2 * size * half, 2 * size * half, VALUE, expr(VALUE, "*", 4)]
            longest = draw(st.none() | st.integers(size, 3 * size).map(lambda n: 2 * n * half))
            return Session(draw(st.sampled_from(gaps)), grace=draw(GRACES), longest=longest)


WINDOWS = windows()
WINDOWED = st.one_of(
    st.builds(Aggregate, streams("in", clock=True), FUNCTIONS, window=WINDOWS, at_most=AT_MOST),
    st.builds(Aggregate, streams("in"), FUNCTIONS, window=WINDOWS, emit=st.just(Emit.UPDATE), at_most=AT_MOST),
)
BOUNDS = st.lists(st.integers(-9, 9), min_size=2, max_size=2).map(sorted)


WHERES = st.sampled_from([
    expr(LEFT_VALUE, "<", RIGHT_VALUE),
    expr(expr(LEFT_VALUE, ">", 0), "and", expr(expr(RIGHT_VALUE, "!=", 2), "and", expr(LEFT_VALUE, "!=", RIGHT_VALUE))),
    expr(expr(LEFT_VALUE, ">", 1), "or", expr(RIGHT_VALUE, ">", 1)),
])  # fmt: skip


@st.composite
def joins(draw: st.DrawFn, left: Stream, right: Stream, how: How) -> Join:
    """Joins of all kinds: within bounds, some of them open or exclusive, or in windows; with a condition or without."""
    where = draw(st.none() | WHERES)
    if draw(st.integers(0, 3)) == 0:
        size = draw(st.integers(1, 20))
        window = Tumbling(timedelta(seconds=size), offset=timedelta(seconds=draw(st.integers(0, size - 1))))
        return Join(left, right, window=window, how=how, where=where)
    lo, hi = (timedelta(seconds=bound) for bound in draw(BOUNDS))
    open_lo = not how.keeps_right and draw(st.integers(0, 4)) == 0
    open_hi = not how.keeps_left and draw(st.integers(0, 4)) == 0
    lo_exclusive = not open_lo and lo < hi and draw(st.booleans())
    hi_exclusive = not open_hi and lo < hi and draw(st.booleans())
    return Join(
        left, right, lo=None if open_lo else lo, hi=None if open_hi else hi, how=how, where=where,
        lo_exclusive=lo_exclusive, hi_exclusive=hi_exclusive,
    )  # fmt: skip


@st.composite
def any_joins(draw: st.DrawFn) -> Join:
    how = draw(st.sampled_from(How))
    clock = True if how.keeps_left or how.keeps_right else None
    return draw(joins(draw(streams("L", clock=clock)), draw(streams("R", clock=clock)), how))


JOINS = any_joins()
TOPS = st.builds(
    Aggregate, streams("in", clock=True), st.sampled_from([(Function.COUNT,), (Function.AVG, Function.LAST)]),
    window=windows().filter(lambda window: not isinstance(window, Session)), top=st.integers(1, 3),
)  # fmt: skip
EXPIRING = st.builds(
    Aggregate, streams("in", clock=True), FUNCTIONS, emit=st.just(Emit.UPDATE), at_most=AT_MOST, ttl=DELAYS
)
GONES = st.sampled_from([None, expr(VALUE, "<", 0), expr(VALUE, "==", 1)])
LATEST = st.one_of(
    st.builds(Upsert, streams("in"), gone=GONES),
    st.builds(Absence, streams("in", clock=True), after=DELAYS.filter(bool)),
    st.builds(
        Absence, streams("in"), after=st.sampled_from([PATIENCE, 2 * PATIENCE]), timer=st.just(Timer.PROCESSING_TIME)
    ),
    st.builds(
        Lookup, streams("L"), streams("R", clock=False),
        as_of=st.just(AsOf.ARRIVAL), how=st.sampled_from([How.INNER, How.LEFT]), gone=GONES,
    ),
    st.builds(
        Lookup, streams("L", clock=True), streams("R", clock=True),
        as_of=st.just(AsOf.EVENT_TIME), how=st.sampled_from([How.INNER, How.LEFT]), gone=GONES,
    ),
)  # fmt: skip
DEDUPS = st.builds(Dedup, streams("in", clock=True), horizon=DELAYS)
PIPELINES: st.SearchStrategy[Pipeline] = st.one_of(
    streams("in"), RUNNING, WINDOWED, WINDOWED, WINDOWED, JOINS, JOINS, DEDUPS, TOPS, EXPIRING, LATEST, LATEST
)


@st.composite
def outer_joins(draw: st.DrawFn) -> Join:
    left, right = (Source(name, delay=timedelta(seconds=draw(st.integers(0, 4)))) for name in "LR")
    how = draw(st.sampled_from([How.LEFT, How.RIGHT, How.FULL, How.SEMI, How.ANTI]))
    if draw(st.booleans()):
        return draw(joins(left, right, how))
    lo, width = draw(st.integers(-6, 3)), draw(st.integers(0, 9))
    return Join(left, right, lo=timedelta(seconds=lo), hi=timedelta(seconds=lo + width), how=how)


RAWS = [b"", b"{", b"[]", b'{"v":"x"}', b'{"k":"a","v":1.5}', b'{"k":7,"v":1,"t":0}', b'{"k":"a","v":null,"t":5}',
        b'{"k":"a","i":"r","v":2,"t":1767225601000000,"more":[1]}', b'{"k":"a","v":2}']  # fmt: skip


@st.composite
def timelines(draw: st.DrawFn, inputs: tuple[str, ...]) -> Timeline:
    """Short scripts on one partition, each step's events on few inputs."""
    steps: list[Send | Idle] = []
    number = 0
    for _ in range(draw(st.integers(1, 5))):
        if draw(st.integers(0, 4)) == 0:
            steps.append(Idle(PATIENCE))
            continue
        events: list[Event | Raw] = []
        for _ in range(draw(st.integers(1, 4))):
            number += 1
            input = draw(st.sampled_from(inputs))
            if draw(st.integers(0, 9)) == 0:
                events.append(Raw(draw(st.sampled_from(RAWS)), input))
                continue
            times = st.integers(-20, 60).map(lambda n: n * 500_000)
            time_us = draw(times if draw(st.integers(0, 12)) else st.none())
            key = draw(st.sampled_from(["a", "b", None]))
            id = draw(st.sampled_from([f"e{number}", f"e{number}", "e1", ""]))
            events.append(Event(key, time_us, id, draw(st.integers(-2, 3)), input))
        steps.append(Send(tuple(events)))
    return tuple(steps)


@st.composite
def dense_joins(draw: st.DrawFn) -> tuple[Pipeline, Timeline]:
    """Outer joins of one key, or of none, and close times, so that rows meet, and time passes them."""
    sides = st.sampled_from(["L", "R"])
    steps = draw(
        st.lists(st.tuples(sides, st.lists(st.integers(0, 25), min_size=1, max_size=3)), min_size=2, max_size=7)
    )
    keys, values = st.sampled_from(["a", "a", "a", None]), st.integers(0, 3)
    timeline = tuple(
        Send(tuple(Event(draw(keys), at * 1_000_000, f"{n}_{m}", draw(values), side) for m, at in enumerate(times)))
        for n, (side, times) in enumerate(steps)
    )
    return draw(outer_joins()), timeline


@st.composite
def dense_dedups(draw: st.DrawFn) -> tuple[Pipeline, Timeline]:
    """Few ids at close times: repeats, late ones, and ids that are forgotten and come again."""
    batches = st.lists(st.tuples(st.sampled_from("pq"), st.integers(0, 25)), min_size=1, max_size=4)
    timeline = tuple(
        Send(tuple(Event("a", at * 1_000_000, id, n) for id, at in batch))
        for n, batch in enumerate(draw(st.lists(batches, min_size=2, max_size=7)))
    )
    delay, horizon = draw(st.integers(0, 6)), draw(st.integers(0, 8))
    return Dedup(Source(delay=timedelta(seconds=delay)), horizon=timedelta(seconds=horizon)), timeline


WHOLE = [function for function in Function if function not in (Function.AVG, Function.COLLECT)]
INTEGRAL = st.lists(st.sampled_from(WHOLE), min_size=1, max_size=2, unique=True).map(tuple)


@st.composite
def trees(draw: st.DrawFn) -> Pipeline:
    """Operators that feed operators: up to four levels of anything over up to four inputs."""
    names = iter("ABCD")
    clock = draw(st.sampled_from([True, True, True, False]))
    keys: list[Expr] = [ID, KEY, Literal("all")]
    wheres = st.sampled_from([expr(VALUE, ">", 0), expr(VALUE, "<", 3), expr(KEY, "!=", "b")])

    def step(inner: Pipeline, *, rekey: bool = True) -> Pipeline:
        match draw(st.integers(0, 3 if rekey else 2)):
            case 0:
                return Filter(inner, draw(wheres))
            case 1:
                return Select(inner, draw(st.sampled_from([expr(VALUE, "+", 1), expr(VALUE, "*", 2)])))
            case 2:
                return Explode(inner, most=draw(st.integers(1, 3)))
            case _:
                return KeyBy(inner, draw(st.sampled_from(keys)))

    def source(spare: int) -> Pipeline:
        """Return an input; with a clock behind it, or behind a union."""
        if not clock or draw(st.integers(0, 2)):
            patience = PATIENCE if clock and draw(st.booleans()) else None
            return Source(next(names), delay=draw(DELAYS) if clock else None, idle_after=patience)
        inner: Pipeline = Source(next(names))
        if spare and draw(st.booleans()):
            inner = Union((inner, Source(next(names))))
        for _ in range(draw(st.integers(0, 2))):
            inner = step(inner, rekey=False)
        return Watermark(inner, draw(DELAYS))

    def tree(depth: int, spare: int) -> Pipeline:
        """`spare`: how many inputs there may be beyond one."""
        if depth == 0:
            return source(spare)
        binary, final = ["join", "union"] if spare else [], ["window", "window", "dedup"] if clock else []
        match draw(st.sampled_from(["step", "running", "update", *final, *binary])):
            case "step":
                return step(tree(depth - 1, spare))
            case "running":
                return Aggregate(tree(depth - 1, spare), draw(INTEGRAL), emit=Emit.UPDATE)
            case "update":
                return Aggregate(tree(depth - 1, spare), draw(INTEGRAL), window=draw(WINDOWS), emit=Emit.UPDATE)
            case "window":
                return Aggregate(tree(depth - 1, spare), draw(INTEGRAL), window=draw(WINDOWS))
            case "dedup":
                return Dedup(tree(depth - 1, spare), horizon=draw(DELAYS))
            case "union":
                return Union((tree(depth - 1, 0), tree(depth - 1, spare - 1)))
            case _:
                how, time = (draw(st.sampled_from(How)) if clock else How.INNER), draw(st.sampled_from(PairTime))
                if {PairTime.LEFT: how.keeps_right, PairTime.RIGHT: how.keeps_left}.get(time):
                    time = PairTime.LATER
                joined = draw(joins(tree(depth - 1, 0), tree(depth - 1, spare - 1), how))
                if how.pairs and joined.window is None:
                    joined = replace(joined, time=time)
                # With an open bound there may be no watermark behind it, which what follows is generated for.
                assume(clocked(joined) or not clock)
                return joined

    return tree(draw(st.integers(2, 4)), draw(st.integers(0, 1)))


@st.composite
def chains(draw: st.DrawFn) -> tuple[Pipeline, Timeline]:
    pipeline = draw(trees())
    return pipeline, draw(timelines(tuple(source.name for source in sources(pipeline))))


@st.composite
def scripts(draw: st.DrawFn) -> tuple[Pipeline, Timeline]:
    pipeline = draw(PIPELINES)
    return pipeline, draw(timelines(tuple(source.name for source in sources(pipeline))))


def arranged(pipeline: Pipeline, rows: list[Row]) -> tuple[Row, ...]:
    """Updates keep each key's order, all other rows have none."""
    if isinstance(pipeline, Aggregate) and pipeline.emit is Emit.UPDATE:

        def by_key(row: Row) -> tuple[bool, str, int]:
            assert isinstance(row, WindowRow | ValueRow)
            return row.key is None, row.key or "", row.start_us if isinstance(row, WindowRow) else 0

        return tuple(sorted(rows, key=by_key))
    return tuple(sorted(rows, key=sort_key))


class Run:
    """A program on a store that commits after every step, as a task would, and is saved now and then."""

    def __init__(self, pipeline: Pipeline, path: Path | None) -> None:
        self.pipeline, self.path = pipeline, path
        self.rows: list[Row] = []
        self.dead: list[str] = []
        self.changelog: dict[bytes, bytes | None] = {}
        self.unsaved: dict[bytes, bytes | None] = {}
        self.commits = 0
        self.record = TaskRecord()
        self.rows_before = 0
        self.open()

    def open(self) -> None:
        self.store = None if self.path is None else store_for(self.pipeline, self.path, Caches())
        self.table: Any = memory_for(self.pipeline) if self.store is None else self.store.rows
        decode = row_decoder(self.pipeline)

        def emit(key: bytes | None, value: bytes) -> None:
            row = decode(value)
            assert key == (None if row.key is None else row.key.encode())
            self.rows.append(row)

        def bury(name: str, record: Record, reason: str) -> None:
            assert name in self.program.inputs
            assert record.offset >= 0
            self.dead.append(reason)

        self.program = Program(self.pipeline, self.table, emit, bury)
        if self.store is not None:
            self.rows_before = self.store.record.rows
            self.program.load(self.store.record)

    def commit(self) -> None:
        self.record = self.program.save({})
        self.record.rows = self.rows_before + self.table.added
        self.commits += 1
        if self.store is not None:
            changes = dict(self.table.changes())
            self.changelog.update(changes)
            self.unsaved.update(changes)
            self.store.settle(self.record.encode(), self.commits)
            if self.commits % 3 == 0:
                self.store.save()
                self.unsaved = {}

    def crash(self, *, wipe: bool) -> None:
        """Lose what is not committed; what is not saved comes back from the changelog, with `wipe` all of it."""
        assert self.store is not None
        assert self.path is not None
        del self.program, self.table
        self.store.close()
        if wipe:
            self.path = self.path.with_name(self.path.name + "w")
        store = store_for(self.pipeline, self.path, Caches())
        assert store.read_to == (0 if wipe else self.commits // 3 * 3)
        store.restore(self.changelog if wipe else self.unsaved, self.record.encode(), self.commits // 3 * 3)
        assert store.is_complete(), "a sound restore is never refused"
        store.close()
        self.open()

    def step(self, step: Send | Idle, first_offset: int, now_us: int) -> tuple[Any, ...]:
        late, duplicates, self.rows, self.dead = self.program.late, self.program.duplicates, [], []
        self.program.wall.now_us = now_us
        if isinstance(step, Idle):
            self.program.tick(now_us)
        for name, input in self.program.inputs.items():
            if isinstance(step, Idle):
                if input.patient and not input.idle:
                    self.program.hush(name)
                continue
            events = [event for event in step.events if event.input == name]
            records = [Fetched(first_offset + n, encode_event(event).value) for n, event in enumerate(events)]
            self.program.feed(name, records)
        self.program.tidy()
        mark = self.program.watermark
        held = sum(1 for _ in self.table.scan())
        wm = None if mark is None else mark - T0_US
        counted = self.program.late - late, self.program.duplicates - duplicates, tuple(sorted(self.dead))
        return arranged(self.pipeline, self.rows), wm, *counted, held


def check(pipeline: Pipeline, timeline: Timeline, path: Path | None, *, crash: bool, wipe: bool) -> None:
    assert from_json(to_json(pipeline)) == pipeline
    run = Run(pipeline, path)
    seen = []
    now_us = T0_US
    for number, step in enumerate(timeline):
        now_us += 5_000_000 if isinstance(step, Idle) else 1
        assert isinstance(step, Send | Idle)
        if crash and path is not None:
            run.step(step, 100 * number, now_us)
            run.crash(wipe=wipe)
        seen.append(run.step(step, 100 * number, now_us))
        run.commit()
    predicted = {tuple((r.rows, r.wm, r.late, r.dup, r.dead, r.state) for r in p) for p in predict(pipeline, timeline)}
    if tuple(seen) not in predicted:
        lines = [f"{pipeline}"]
        for number, step in enumerate(timeline):
            lines.append(f"  {print_step(step)}")
            for said, outcome in [("seen", seen), *(("predicted", p) for p in predicted)]:
                rows, *figures = outcome[number]
                lines.append(f"    {said}: {' '.join(map(print_row, rows))} {figures}")
        pytest.fail("\n".join(lines))
    if run.store is not None:
        del run.program, run.table
        run.store.close()


@settings(max_examples=1200, deadline=None)
@given(scripts())
def test_it_does_what_the_oracle_predicts(script: tuple[Pipeline, Timeline]) -> None:
    check(*script, None, crash=False, wipe=False)


@settings(max_examples=1500, deadline=None)
@given(chains())
def test_operators_that_feed_operators_do_too(script: tuple[Pipeline, Timeline]) -> None:
    check(*script, None, crash=False, wipe=False)


def test_no_watermark_falls_when_an_input_is_back_not_across_a_restart_either(tmp_path: Path) -> None:
    """A union of two that were left out altogether is behind the third when one of them is back."""

    def source(name: str, *, patient: bool) -> Source:
        return Source(name, delay=timedelta(0), idle_after=PATIENCE if patient else None)

    inner = Dedup(Union((source("L", patient=True), source("R", patient=True))), horizon=timedelta(0))
    pipeline = Dedup(Union((inner, source("X", patient=False))), horizon=timedelta(0))
    timeline = script("L:a@10 R:a@20", "X:a@30", Idle(PATIENCE), "L:a@12", "X:a@25", "L:a@29")
    check(pipeline, timeline, tmp_path / "0", crash=True, wipe=True)
    last = [{(step.wm, step.late) for step in prediction} for prediction in predict(pipeline, timeline)]
    assert all((30_000_000, 1) in steps for steps in last)


@settings(max_examples=300, deadline=None)
@given(dense_joins())
def test_an_outer_join_pads_what_met_nobody(script: tuple[Pipeline, Timeline]) -> None:
    check(*script, None, crash=False, wipe=False)


@settings(max_examples=300, deadline=None)
@given(dense_dedups())
def test_a_dedup_forgets_when_it_should(script: tuple[Pipeline, Timeline]) -> None:
    check(*script, None, crash=False, wipe=False)


@st.composite
def dense_latest(draw: st.DrawFn) -> tuple[Pipeline, Timeline]:
    """Few keys at close times, small delays: versions that come out of order, deletions, silences, late ones."""
    pipeline = draw(st.one_of(LATEST, LATEST, EXPIRING))
    names = tuple(source.name for source in sources(pipeline))
    keys = st.sampled_from(["a", "a", "b", None])
    event = st.tuples(st.sampled_from(names), keys, st.integers(0, 25), st.integers(-1, 2))
    batches = draw(st.lists(st.lists(event, min_size=1, max_size=4), min_size=2, max_size=7))
    timeline = tuple(
        Send(
            tuple(Event(key, at * 1_000_000, f"{n}_{m}", value, name) for m, (name, key, at, value) in enumerate(batch))
        )
        for n, batch in enumerate(batches)
    )
    return pipeline, timeline


@settings(max_examples=500, deadline=None)
@given(dense_latest())
def test_the_latest_is_the_latest(script: tuple[Pipeline, Timeline]) -> None:
    check(*script, None, crash=False, wipe=False)


@settings(max_examples=80, deadline=None)
@given(
    script=st.one_of(dense_latest(), scripts(), dense_dedups(), chains(), chains()),
    crash=st.booleans(),
    wipe=st.booleans(),
)
def test_it_does_so_on_disk_across_crashes(
    scratch: Callable[[], AbstractContextManager[str]], script: tuple[Pipeline, Timeline], crash: bool, wipe: bool
) -> None:
    with scratch() as path:
        check(*script, Path(path) / "0", crash=crash, wipe=wipe)


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-(1 << 63), (1 << 63) - 1))
def test_times_sort_as_keys(one: int, other: int) -> None:
    assert (time_key(one) < time_key(other)) == (one < other)
    assert key_time(time_key(one)) == one


@given(st.none() | st.text(st.characters(exclude_categories=["Cs"])), st.binary(max_size=9))
@example("".join(map(chr, range(0x100))) + "\u2028\u2029\ufeff\uffff\U0001f600\U0010ffff", b"")
def test_a_group_is_found_in_a_row_key(key: str | None, rest: bytes) -> None:
    name = name_of(key)
    assert group_at(b"\x01" + name.group + rest, 1) == name.group
    assert key_of(name.group) == key
    assert msgspec.json.decode(name.json) == key
    assert name.json == orjson.dumps(key)


def test_a_kept_key_holds_no_buffer_of_its_encoder() -> None:
    """As `orjson.dumps` does: 4 kB a key."""
    tracemalloc.start()
    try:
        kept = [name_of(f"user-{number}") for number in range(1000)]
        assert tracemalloc.get_traced_memory()[0] / len(kept) < 1000
    finally:
        tracemalloc.stop()
