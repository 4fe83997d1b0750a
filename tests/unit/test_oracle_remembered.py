"""What is remembered is what would be found anew, whatever rules were asked for before; explanations are all found."""

from __future__ import annotations

from dataclasses import fields, replace
from enum import Enum
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bench.foretold import declarations
from semantics.catalogue import all_expectations, find
from semantics.expectation import Expectation, after, raw, script
from semantics.notation import print_step
from semantics.oracle import PARTS, Prediction, consulted, predict
from semantics.oracle.possibilities import possibilities
from semantics.oracle.remembered import _Watched
from semantics.rules import CONTRACT, BadRecord, Rules, SessionLateness, TrailingBatch, WatermarkAdvance
from semantics.verdict import explain, undemanded

DECLARED = [declared.rules for _, declared in declarations() if declared.rules.overridden()]
KINDS: dict[str, type[Enum]] = {field.name: type(getattr(CONTRACT, field.name)) for field in fields(Rules)}
EXPECTATIONS = st.sampled_from(all_expectations())


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    """Rules that an engine declares, some of them, with a few others beside."""
    some = draw(st.sampled_from(DECLARED))
    kept = draw(st.sets(st.sampled_from(some.overridden())))
    others: dict[str, Any] = {
        name: draw(st.sampled_from(KINDS[name])) for name in draw(st.sets(st.sampled_from(list(KINDS)), max_size=3))
    }
    return Rules(**({name: getattr(some, name) for name in kept} | others))


def anew(expectation: Expectation, asked: Rules) -> frozenset[Prediction]:
    return possibilities(expectation.pipeline, expectation.timeline, asked, PARTS)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(EXPECTATIONS, st.lists(rules(), min_size=2, max_size=6))
def test_what_is_remembered_is_what_would_be_found_anew(expectation: Expectation, several: list[Rules]) -> None:
    for asked in several:
        assert predict(expectation.pipeline, expectation.timeline, asked) == anew(expectation, asked)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(EXPECTATIONS, rules(), rules())
def test_rules_that_were_not_consulted_change_nothing(expectation: Expectation, asked: Rules, other: Rules) -> None:
    read = consulted(expectation.pipeline, expectation.timeline, asked)
    mixed: dict[str, Any] = {name: getattr(asked if name in read else other, name) for name in KINDS}
    assert anew(expectation, Rules(**mixed)) == anew(expectation, asked)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(EXPECTATIONS, rules())
def test_explanations_are_the_smallest_of_all_sets_and_all_of_these(expectation: Expectation, asked: Rules) -> None:
    names = [name for name in asked.overridden() if name != "sink"]
    assume(undemanded(expectation, asked) and len(names) <= 10)
    sets = [found for size in range(len(names) + 1) for found in combinations(names, size)]
    sound = [found for found in sets if not undemanded(expectation, asked.returned(found))]
    assert list(explain(expectation, asked)) == [found for found in sound if len(found) == len(sound[0])]
    with_sink = explain(expectation, asked, with_sink=True)
    assert with_sink == tuple((*found, "sink") for found in explain(expectation, asked))


def test_a_rule_is_consulted_only_where_it_can_matter() -> None:
    tumbling = find("TW-01")
    read = consulted(tumbling.pipeline, tumbling.timeline, CONTRACT)
    assert "window_close" in read
    assert not read & {"session_touch", "session_lateness", "row_lateness", "trailing_batch", "restart_clock"}
    batch = consulted(tumbling.pipeline, tumbling.timeline, Rules(watermark_advance=WatermarkAdvance.BATCH))
    assert batch - read == {"trailing_batch"}


def test_rules_that_explain_only_together_are_found_together() -> None:
    three = Rules(
        watermark_advance=WatermarkAdvance.BATCH,
        session_lateness=SessionLateness.OWN_SPAN,
        trailing_batch=TrailingBatch.NO,
    )
    assert explain(find("SW-07"), three) == (
        ("watermark_advance", "session_lateness"),
        ("session_lateness", "trailing_batch"),
    )


def test_a_rule_that_matters_only_once_another_is_returned_is_found() -> None:
    """The engine has failed before it comes to the session whose lateness it would judge otherwise."""
    session = find("SW-07")
    torn = replace(
        session,
        timeline=script(raw(b"{"), *map(print_step, session.timeline)),
        demand=after(["dead:bad_record"], [], [], [], ["a[7,20)=2", "z[18,28)=1"]),
    )
    fails = Rules(bad_record=BadRecord.FAIL, session_lateness=SessionLateness.OWN_SPAN)
    assert "session_lateness" not in consulted(torn.pipeline, torn.timeline, fails)
    assert explain(torn, fails) == (("session_lateness", "bad_record"),)


def test_the_oracle_cannot_ask_for_all_rules_at_once() -> None:
    watched: Any = _Watched(CONTRACT)
    for name in ("overridden", "returned", "sinks"):
        with pytest.raises(AttributeError, match="is no rule"):
            getattr(watched, name)
    assert watched.read() == ()
    assert watched.runs is CONTRACT.runs
    assert watched.read() == ("runs",)
