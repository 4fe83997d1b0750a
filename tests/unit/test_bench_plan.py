from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import load
from bench.plan import InvalidPlan, Plan, scenario
from engines.errors import EnvironmentNotReady
from engines.wire import row_decoder
from scenarios.running_count import SCENARIO
from semantics.errors import UnknownName
from semantics.pipeline import Source
from semantics.rows import EventRow


def plan(**changed: Any) -> Plan:
    usual: dict[str, Any] = {
        "engines": ("reference",),
        "scenario": SCENARIO,
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


def test_events_are_due_by_the_schedule_alone() -> None:
    assert load.intended_ns(4, 2000.0).tolist() == [0, 500_000, 1_000_000, 1_500_000]


def test_events_are_the_same_for_the_same_seed_and_of_the_stated_size() -> None:
    due = load.intended_ns(500, 2000.0)
    first, again, other = (
        load.prepare(SCENARIO, SCENARIO.draw(seed, 500), due, seed) for seed in (1, 1, 2)
    )  # fmt: skip
    assert first == again
    assert first != other
    assert {len(message.value or b"") for message in first} == {SCENARIO.event_bytes}


def test_events_can_be_read_as_what_they_are() -> None:
    keys = SCENARIO.draw(1, 3)
    messages = load.prepare(SCENARIO, keys, load.intended_ns(3, 1000.0), 1)
    rows = [row_decoder(Source("in"))(message.value or b"") for message in messages]
    names = [SCENARIO.key(int(index)) for index in keys]
    assert rows == [EventRow(name, f"e{number}", 1, number * 1000) for number, name in enumerate(names)]
    assert [message.key for message in messages] == [name.encode() for name in names]


def test_keys_are_drawn_uniformly() -> None:
    counts = np.bincount(SCENARIO.draw(1, 1_000_000), minlength=SCENARIO.keys)
    assert len(counts) == SCENARIO.keys
    # Chi-square over its degrees of freedom is 1 +- sqrt(2 / 9999) for uniform draws; six of these on either side.
    assert ((counts - 100) ** 2 / 100).mean() == pytest.approx(1, abs=0.085)
