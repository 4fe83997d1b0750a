"""Scenarios: what cannot be judged is refused, and the truth about the rest is what a second, plain count says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plan import SCENARIOS
from scenarios.scenario import Generate, InvalidScenario, Scenario
from scenarios.truth import FLUSHED, due, flush_us
from semantics.expr import KEY, VALUE, expr
from semantics.oracle import Machine
from semantics.pipeline import (
    Aggregate,
    Emit,
    Filter,
    Function,
    Hopping,
    Join,
    KeyBy,
    Pipeline,
    Session,
    Source,
    Tumbling,
    Window,
)
from semantics.rows import ValueRow, WindowRow
from semantics.time import T0_US, s
from semantics.timeline import SENTINEL_KEY, Event, sentinel

SOURCE = Source(delay=s(2))
RUNNING = Aggregate(Source(), (Function.COUNT, Function.SUM), emit=Emit.UPDATE)
WINDOWS = Aggregate(SOURCE, window=Tumbling(s(1)))


def scenario(pipeline: Pipeline = RUNNING, events: Generate | None = None, name: str = "mine") -> Scenario:
    return Scenario(name=name, claim="x", pipeline=pipeline, events=events or given_events([]))


def given_events(events: Sequence[Any]) -> Generate:
    def generate(random: np.random.Generator, due_us: Sequence[int]) -> Iterator[Event]:
        del random, due_us
        yield from events

    return generate


@pytest.mark.parametrize("name", ["", "Mine", "my scenario", "-x", "a/b", "x" * 41])
def test_a_name_that_cannot_be_in_a_topic_is_refused(name: str) -> None:
    with pytest.raises(InvalidScenario, match="goes into topics"):
        scenario(name=name)


@pytest.mark.parametrize(
    ("pipeline", "says"),
    [
        (Aggregate(Source(), (Function.SUM,), emit=Emit.UPDATE), "add Function.COUNT"),
        (Aggregate(SOURCE, window=Tumbling(s(1)), emit=Emit.UPDATE), "leave out emit"),
        (Aggregate(KeyBy(SOURCE, KEY), window=Tumbling(s(1))), "key_by"),
        (Aggregate(Filter(SOURCE, expr(VALUE, ">", 1)), window=Tumbling(s(1))), "let its filter pass"),
        (Join(Source("L"), Source("R"), lo=s(0), hi=s(1)), "the bench judges"),
        (Source(), "the bench judges"),
    ],
)
def test_what_the_bench_cannot_judge_exactly_is_refused(pipeline: Pipeline, says: str) -> None:
    with pytest.raises(InvalidScenario, match=says):
        scenario(pipeline)


@pytest.mark.parametrize(
    ("pipeline", "bad", "says"),
    [
        (RUNNING, "a@1", "event 2: a generator yields Event, not str"),
        (RUNNING, Event(None, 0), "event 2: its key"),
        (RUNNING, Event(SENTINEL_KEY, 0), "is taken"),
        (RUNNING, Event("a", 0, input="other"), "say 'in' and no partition"),
        (RUNNING, Event("a", 0, partition=1), "say 'in' and no partition"),
        (RUNNING, Event("a", 0, value=1 << 63), "64-bit"),
        (RUNNING, Event("a", 0, value=True), "64-bit"),
        (RUNNING, Event("a", 0.5), "time an integer"),  # type: ignore[arg-type]
        (WINDOWS, Event("a", None), "event 2: it has no time"),
        (WINDOWS, Event("a", -2_000_000), "2 s behind the highest time before it"),
    ],
)
def test_an_event_that_cannot_be_benched_is_refused_with_its_number(pipeline: Pipeline, bad: Any, says: str) -> None:
    work = scenario(pipeline, given_events([Event("a", 0), bad]))
    with pytest.raises(InvalidScenario, match=says):
        list(work.generate(1, [0, 1]))


def test_just_below_the_delay_and_without_a_time_where_none_is_needed_is_fine() -> None:
    assert len(list(scenario(WINDOWS, given_events([Event("a", 0), Event("a", -1_999_999)])).generate(1, [0, 1]))) == 2
    assert len(list(scenario(RUNNING, given_events([Event("a", None)])).generate(1, [0]))) == 1


@pytest.mark.parametrize(("count", "says"), [(1, "1 events, and 2 were asked for"), (3, "only 2 were asked for")])
def test_too_few_or_too_many_events_are_refused(count: int, says: str) -> None:
    with pytest.raises(InvalidScenario, match=says):
        list(scenario(events=given_events([Event("a", 0)] * count)).generate(1, [0, 1]))


def test_a_generator_without_end_is_stopped() -> None:
    def endless(random: np.random.Generator, due_us: Sequence[int]) -> Iterator[Event]:
        del random, due_us
        while True:
            yield Event("a", 0)

    with pytest.raises(InvalidScenario, match="only 2 were asked for"):
        list(scenario(events=endless).generate(1, [0, 1]))


def test_a_generator_that_fails_is_named() -> None:
    def failing(random: np.random.Generator, due_us: Sequence[int]) -> Iterator[Event]:
        del random
        yield Event("a", due_us[99])

    with pytest.raises(InvalidScenario, match="its generator failed: IndexError"):
        list(scenario(events=failing).generate(1, [0]))


def test_a_generator_that_is_not_its_seeds_is_found_out() -> None:
    drawn: list[int] = []

    def restless(random: np.random.Generator, due_us: Sequence[int]) -> Iterator[Event]:
        del random
        for at in due_us:
            drawn.append(at)
            yield Event(f"k{len(drawn)}", at)

    with pytest.raises(InvalidScenario, match="event 1: another one for the same seed"):
        scenario(events=restless).rehearse(1, [0, 1])


@pytest.mark.parametrize("work", SCENARIOS.values(), ids=list(SCENARIOS))
def test_what_comes_with_weir_can_be_benched(work: Scenario) -> None:
    work.rehearse(1, range(0, 10_000_000, 500))


def test_the_truth_of_a_running_aggregate_is_a_row_an_event() -> None:
    passing = Aggregate(Filter(Source(), expr(VALUE, ">", 0)), (Function.SUM, Function.COUNT), emit=Emit.UPDATE)
    events = [Event("a", 0, value=5), Event("b", 1, value=-1), Event("a", 2, value=3), Event("b", 3, value=1)]
    assert list(due(scenario(passing), events)) == [
        (0, ValueRow("a", (("sum", 5), ("n", 1)))),
        (2, ValueRow("a", (("sum", 8), ("n", 2)))),
        (3, ValueRow("b", (("sum", 1), ("n", 1)))),
    ]


TIMES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1_900_000)), min_size=1, max_size=40)


def lagging(drawn: Sequence[tuple[str, int]]) -> list[Event]:
    """Make events half a second apart, each behind by less than the delay."""
    return [Event(key, at * 500_000 - behind, f"e{at}") for at, (key, behind) in enumerate(drawn)]


@given(TIMES)
def test_the_truth_of_tumbling_windows_is_a_plain_count_and_their_cause_the_first_event_that_closes_them(
    drawn: list[tuple[str, int]],
) -> None:
    events = lagging(drawn)
    plain = Counter((e.key, ((e.time_us or 0) + T0_US) // 1_000_000 * 1_000_000 - T0_US) for e in events)
    rows = list(due(scenario(WINDOWS), events))
    assert {(row.key, row.start_us): dict(row.values)["n"] for _, row in rows if isinstance(row, WindowRow)} == plain
    for cause, row in rows:
        assert isinstance(row, WindowRow)
        closing = (n for n, e in enumerate(events) if (e.time_us or 0) - 2_000_000 >= row.end_us)
        assert cause == next(closing, FLUSHED)


WINDOWED: list[Window] = [
    Tumbling(s(3), offset=s(1)),
    Tumbling(s(2), grace=s(3)),
    Hopping(s(4), s(1.5)),
    Session(s(1)),
    Session(s(2), grace=s(5)),
]


@pytest.mark.parametrize("window", WINDOWED, ids=["offset", "grace", "hopping", "session", "session grace"])
@given(drawn=TIMES)
def test_the_truth_does_not_depend_on_how_keys_are_spread(window: Window, drawn: list[tuple[str, int]]) -> None:
    """Else engines with one clock a partition and engines with one for all could not be judged by it."""
    work = scenario(Aggregate(SOURCE, window=window))
    events = lagging(drawn)
    spread = Machine(work.pipeline, partitions=2)
    found: Counter[object] = Counter()
    close_us = flush_us(work, max(event.time_us or 0 for event in events))
    homes = [replace(event, partition=ord(event.key or "") % 2) for event in events]
    for event in [*homes, *(sentinel("in", lane, close_us) for lane in (0, 1))]:
        task = spread.feed(event.partition, (event,))
        found.update(row for row in task.rows if row.key != SENTINEL_KEY)
        assert task.late == 0
        task.drain()
    assert found == Counter(row for _, row in due(work, events))
    assert {key for task in spread.tasks for key in task.held()} <= {SENTINEL_KEY}
