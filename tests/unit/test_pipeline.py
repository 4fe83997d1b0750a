"""The algebra, its expressions and its scripts refuse what has no meaning, in a sentence with the way out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.codec import from_json, to_json
from semantics.errors import InvalidPipeline, InvalidTimeline
from semantics.expectation import script
from semantics.expr import ID, KEY, VALUE, Binary, Expr, Field, Kind, Literal, Op, expr, kind
from semantics.oracle.simple import evaluate
from semantics.pipeline import (
    Aggregate,
    Emit,
    Explode,
    Filter,
    Function,
    How,
    Join,
    KeyBy,
    PairTime,
    Pipeline,
    Select,
    Session,
    Source,
    Tumbling,
    Union,
    Watermark,
    clock,
    origin,
    rekeyed,
    sources,
    steps,
)
from semantics.time import s
from semantics.timeline import (
    SENTINEL_KEY,
    Crash,
    CrashPoint,
    Event,
    Flush,
    Idle,
    Raw,
    Scale,
    Send,
    check,
    partitions,
    sentinel,
)

CLOCKED = Source(delay=s(1))
POSITIVE = Filter(CLOCKED, expr(VALUE, ">", 0))


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Source("in-put"), "An input's name is an identifier"),
        (lambda: Source(delay=s(-1)), "cannot run ahead"),
        (lambda: Tumbling(s(0)), "a window's size must be above zero"),
        (lambda: Session(s(-1)), "a session's gap must be above zero"),
        (lambda: Session(s(10), longest=s(9)), "the longest cannot be 0:00:09"),
        (lambda: Aggregate(CLOCKED, (), window=Tumbling(s(1))), "at least one function"),
        (lambda: Aggregate(CLOCKED, (Function.SUM,) * 2, window=Tumbling(s(1))), "each once"),
        (lambda: Aggregate(CLOCKED), "never closes: say emit=Emit.UPDATE"),
        (lambda: Aggregate(Source(), window=Tumbling(s(1))), "give its source a delay"),
        (lambda: Join(Source("L"), Source("R"), lo=s(1), hi=s(0)), "Nothing lies between"),
        (lambda: Join(CLOCKED, CLOCKED, lo=s(0), hi=s(0)), "name them apart"),
        (lambda: Join(Source("L"), CLOCKED, lo=s(0), hi=s(0), how=How.LEFT), "give both sources a delay"),
        (lambda: Explode(CLOCKED, most=0), "becomes at least one: most is 0"),
        (lambda: Union((CLOCKED,)), "two inputs or more"),
        (lambda: Union((CLOCKED, POSITIVE)), "name them apart"),
        (lambda: Union((CLOCKED, Source("R"))), "speaks for all inputs of a union"),
        (lambda: Watermark(Source(), s(-1)), "must not be negative"),
        (lambda: Watermark(POSITIVE, s(1)), "There is a clock already"),
        (lambda: Watermark(Aggregate(Source(), emit=Emit.UPDATE), s(1)), "stands before the first Aggregate"),
        (lambda: Watermark(KeyBy(Source(), ID), s(1)), "stands before the first KeyBy"),
        (
            lambda: Join(CLOCKED, Source("R", delay=s(0)), lo=s(0), hi=s(0), how=How.FULL, time=PairTime.LEFT),
            "Not every row of a full join has a left time",
        ),
        (lambda: Aggregate(Join(CLOCKED, Source("R"), lo=s(0), hi=s(0)), window=Tumbling(s(1))), "give its source a"),
        (lambda: Filter(CLOCKED, VALUE), "A filter's condition must be a truth value, and value is an integer"),
        (lambda: Select(CLOCKED, KEY), "A value must be an integer"),
        (lambda: KeyBy(CLOCKED, expr(VALUE, "+", 1)), "A key must be a string"),
        (lambda: Filter(CLOCKED, expr(KEY, "<", 3)), "'<' does not take"),
        (lambda: Filter(CLOCKED, expr(VALUE, "and", 3)), "'and' does not take an integer"),
        (lambda: Select(CLOCKED, expr(ID, "+", "x")), r"'\+' does not take a string"),
        (lambda: expr(VALUE, "%", 2), "'%' is no operator; there are"),
        (lambda: Field("price"), "no field 'price'"),
    ],
)
def test_what_has_no_meaning_is_refused(build: Callable[[], object], says: str) -> None:
    with pytest.raises(InvalidPipeline, match=says):
        build()


def test_a_pipeline_knows_its_sources_and_steps() -> None:
    keyed = KeyBy(Select(POSITIVE, expr(VALUE, "*", 2)), ID)
    assert [type(step) for step in steps(keyed)] == [Filter, Select, KeyBy]
    assert (origin(keyed), clock(keyed)) == (CLOCKED, 1_000_000)
    assert clock(Source()) is None
    joined = Join(Source("L"), keyed, lo=s(0), hi=s(0))
    assert [source.name for source in sources(joined)] == ["L", "in"]
    assert [rekeyed(p) for p in (joined, keyed, POSITIVE, Aggregate(keyed, emit=Emit.UPDATE))] == [
        True,
        True,
        False,
        True,
    ]


INTEGERS = st.recursive(
    st.one_of(st.just(VALUE), st.builds(Literal, st.integers(-9, 9))),
    lambda inner: st.builds(Binary, st.sampled_from([Op.ADD, Op.SUBTRACT, Op.MULTIPLY]), inner, inner),
    max_leaves=5,
)
TEXTS = st.one_of(st.just(KEY), st.just(ID), st.builds(Literal, st.sampled_from("abc")))
COMPARISONS = st.sampled_from([op for op in Op if op.value[0] in "=!<>"])
TRUTHS = st.recursive(
    st.one_of(st.builds(Binary, COMPARISONS, INTEGERS, INTEGERS), st.builds(Binary, COMPARISONS, TEXTS, TEXTS)),
    lambda inner: st.builds(Binary, st.sampled_from([Op.AND, Op.OR]), inner, inner),
    max_leaves=4,
)
EVENTS = st.builds(Event, st.sampled_from(["a", "b", "c"]), st.just(0), st.sampled_from("abc"), st.integers(-9, 9))


@given(TRUTHS | INTEGERS | TEXTS, EVENTS)
def test_an_expression_means_what_it_prints(expression: Expr, event: Event) -> None:
    fields = {"key": event.key, "id": event.id, "value": event.value}
    assert evaluate(expression, event) == eval(str(expression), {}, fields)  # noqa: S307 - printed by us just now
    types = {Kind.TEXT: str, Kind.INTEGER: int, Kind.TRUTH: bool}
    assert type(evaluate(expression, event)) is types[kind(expression)]


@pytest.mark.parametrize("op", ["==", "!=", "<", "<=", ">", ">="])
def test_a_comparison_with_null_is_false(op: str) -> None:
    assert evaluate(expr(KEY, op, "a"), Event(None, 0)) is False
    assert evaluate(expr("a", op, KEY), Event(None, 0)) is False


STREAMS = st.recursive(
    st.builds(Source, st.just("L"), delay=st.just(s(1))),
    lambda inner: st.one_of(
        st.builds(Filter, inner, TRUTHS), st.builds(Select, inner, INTEGERS), st.builds(KeyBy, inner, TEXTS)
    ),
    max_leaves=3,
)
DURATIONS = st.integers(1, 10**9).map(lambda micros: timedelta(microseconds=micros))
PIPELINES: st.SearchStrategy[Pipeline] = st.one_of(
    STREAMS,
    st.builds(
        Aggregate,
        STREAMS,
        st.permutations(list(Function)).map(tuple),
        window=st.one_of(st.builds(Tumbling, DURATIONS), st.builds(Session, DURATIONS)),
        emit=st.sampled_from(Emit),
    ),
    st.builds(Aggregate, STREAMS, emit=st.just(Emit.UPDATE)),
    st.builds(Join, STREAMS, st.just(CLOCKED), lo=DURATIONS.map(lambda d: -d), hi=DURATIONS, how=st.sampled_from(How)),
)


@given(PIPELINES)
def test_pipelines_survive_the_way_to_an_engine(pipeline: Pipeline) -> None:
    assert from_json(to_json(pipeline)) == pipeline


def test_partitions_are_those_that_a_script_names() -> None:
    assert partitions(script("a@0", Flush(1))) == 1
    assert partitions(script("a@0 b@0/2")) == 3
    assert partitions((Send((Raw(b"", partition=1),)),)) == 2


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (("L:a@0",), "step 1: no input 'L' in this pipeline; it has in"),
        (("a@0", "a@1/1"), "step 2: key a stands in two partitions"),
        ((Crash(CrashPoint.AFTER_SINK),), "follow it by events"),
        ((Scale(0),), "somebody has to work"),
        ((Crash(CrashPoint.AFTER_SINK, takeover=True), Send(())), "nobody to take over"),
        ((Scale(2), Crash(CrashPoint.AFTER_SINK, takeover=True, wipe_state=True), Send(())), "no state to wipe"),
        ((Crash(CrashPoint.AFTER_SINK), Idle(s(1))), "step 1: a crash strikes the next step's processing"),
        ((f"{SENTINEL_KEY}@0",), "the sentinel's own; use flush"),
    ],
)
def test_a_script_that_cannot_be_played_is_refused(steps: tuple[str | Idle | Crash, ...], says: str) -> None:
    with pytest.raises(InvalidTimeline, match=says):
        check(script(*steps), ("in",))


def test_null_keys_may_stand_in_several_partitions() -> None:
    check(script("~@0 ~@0/1", Crash(CrashPoint.AFTER_SINK), Flush(1)), ("in",))


def test_a_sentinel_goes_where_it_is_sent() -> None:
    event = sentinel("L", 2, 60_000_000)
    assert (event.key, event.input, event.partition, event.time_us) == (SENTINEL_KEY, "L", 2, 60_000_000)
