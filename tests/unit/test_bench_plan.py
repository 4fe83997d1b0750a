from __future__ import annotations

import socket
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import load
from bench.plan import SCENARIOS, InvalidPlan, Plan, due_us, intended_ns, scenario
from engines.errors import EnvironmentNotReady
from engines.wire import row_decoder
from scenarios.running_count import KEYS
from scenarios.running_count import SCENARIO as RUNNING_COUNT
from scenarios.scenario import Scenario
from semantics.errors import UnknownName
from semantics.expr import ID
from semantics.pipeline import Aggregate, Emit, KeyBy, Source
from semantics.rows import EventRow
from semantics.time import T0_US


def plan(**changed: Any) -> Plan:
    usual: dict[str, Any] = {
        "engines": ("reference",),
        "scenario": RUNNING_COUNT,
        "rate": 2000.0,
        "duration_s": 20.0,
        "warmup_s": None,
        "partitions": 2,
        "broker": None,
        "output": Path("runs"),
        "seed": 1,
    }
    return Plan(**(usual | changed))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"rate": 0.0}, "--rate is events a second, above zero, not 0"),
        ({"rate": -5.0}, "--rate is events a second, above zero, not -5"),
        ({"rate": float("nan")}, "--rate"),
        ({"rate": float("inf")}, "--rate"),
        ({"duration_s": 1.0}, "--duration is at least 5 s, not 1"),
        ({"duration_s": float("nan")}, "--duration"),
        ({"warmup_s": -1.0}, "--warmup"),
        ({"runs": 0}, "--runs is 1 to 100, not 0"),
        ({"partitions": 0}, "--partitions is 1 to 64, not 0"),
        ({"seed": -1}, "--seed"),
        ({"rate": 1e6, "duration_s": 600.0}, "lower --rate or --duration"),
        ({"rate": 7.9, "duration_s": 5.0}, "39.5 events measured tell not even a median"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_argument_that_is_wrong(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidPlan, match=says):
        plan(**changed)


def test_nothing_installed_is_the_machines_fault() -> None:
    with pytest.raises(EnvironmentNotReady, match="python -m bench doctor"):
        plan(engines=())


@pytest.mark.parametrize("address", ["localhost", "localhost:", ":9092", "h:0", "h:99999", "h:port", "a/b:1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidPlan, match="--broker is HOST:PORT"):
        plan(broker=address)


def test_a_password_in_the_address_is_not_repeated() -> None:
    with pytest.raises(InvalidPlan) as caught:
        plan(broker="me:canary@broker:9092")
    assert "canary" not in str(caught.value)


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="Did you mean running-count"):
        scenario("runing-count")
    with pytest.raises(UnknownName, match="Did you mean reference"):
        plan(engines=("refrence",))


def test_only_a_minute_decides() -> None:
    assert plan(duration_s=20.0).heading.startswith("smoke, not for decisions")
    assert plan(duration_s=60.0).heading == ""


def test_a_shorter_warm_up_than_declared_does_not_decide() -> None:
    assert plan(duration_s=60.0, warmup_s=0.5).heading.endswith("(reference warmed up for 0.5 s of 1 s)")
    assert plan(duration_s=60.0, warmup_s=1.0).heading == ""


def test_runs_are_interleaved_forwards_and_backwards() -> None:
    assert plan(engines=("reference", "faust"), runs=3).order() == [
        ("reference", 1),
        ("faust", 1),
        ("faust", 2),
        ("reference", 2),
        ("reference", 3),
        ("faust", 3),
    ]
    assert plan().order() == [("reference", 1)]


def test_events_are_due_by_the_schedule_alone() -> None:
    due = intended_ns(4, 2000.0)
    assert due.tolist() == [0, 500_000, 1_000_000, 1_500_000]
    assert list(due_us(due)) == [0, 500, 1000, 1500]


@pytest.mark.parametrize("work", SCENARIOS.values(), ids=list(SCENARIOS))
def test_events_are_the_same_for_the_same_seed_and_of_the_stated_size(work: Scenario) -> None:
    due = due_us(intended_ns(500, 2000.0))
    first, again, other = (load.prepare(work, work.generate(seed, due), seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(first) == 500
    assert {len(first.at(number)[1]) for number in range(500)} == {work.event_bytes}


def test_events_can_be_read_as_what_they_are() -> None:
    drawn = list(RUNNING_COUNT.generate(1, [0, 1000, 2000]))
    packed = load.prepare(RUNNING_COUNT, drawn, 1)
    messages = [packed.at(number) for number in range(3)]
    rows = [row_decoder(Source("in"))(value) for _, value, _ in messages]
    assert rows == [EventRow(event.key, event.id, 1, event.time_us) for event in drawn]
    assert [key for key, _, _ in messages] == [(event.key or "").encode() for event in drawn]
    assert [stamp for _, _, stamp in messages] == [(T0_US + (event.time_us or 0)) // 1000 for event in drawn]


def test_events_that_no_broker_acknowledged_are_counted_by_key() -> None:
    unsure = load.Unsure()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # Accepts, and never answers.
        producer = load.connect(f"127.0.0.1:{silent.getsockname()[1]}", unsure)
        for key in ("a", "b", "a"):
            producer.produce("nowhere", b"{}", key)
        load.drain(producer, within_s=0.01)
    assert unsure.events == {"a": 2, "b": 1}


def test_keys_are_drawn_uniformly() -> None:
    drawn = Counter(event.key for event in RUNNING_COUNT.generate(1, range(1_000_000)))
    assert len(drawn) == KEYS
    # Chi-square over its degrees of freedom is 1 +- sqrt(2 / 9999) for uniform draws; six of these on either side.
    assert sum((count - 100) ** 2 / 100 for count in drawn.values()) / KEYS == pytest.approx(1, abs=0.085)


def test_a_replaced_key_takes_one_partition() -> None:
    counted = Aggregate(KeyBy(Source(), ID), emit=Emit.UPDATE)
    work = replace(RUNNING_COUNT, pipeline=counted)
    with pytest.raises(InvalidPlan, match="say --partitions 1"):
        plan(scenario=work)
    assert plan(scenario=work, partitions=1).events(5.0) == 50_000


def test_ten_minutes_at_20_000_a_second_fit_and_events_too_big_do_not() -> None:
    assert plan(rate=20_000.0, duration_s=600.0).events(60.0) == 13_200_000
    with pytest.raises(InvalidPlan, match="12000000 events are more than the 3067833 of this size"):
        plan(scenario=replace(RUNNING_COUNT, event_bytes=1000), rate=20_000.0, duration_s=600.0)
