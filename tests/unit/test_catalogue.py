"""The catalogue judges others, so it is judged first: every demand is what the contract's rules predict."""

from __future__ import annotations

from collections import Counter

import pytest

from semantics.catalogue import FAMILIES, all_expectations, find
from semantics.errors import UnknownName
from semantics.expectation import Expectation
from semantics.oracle import predict
from semantics.pipeline import Dedup, clock
from semantics.rules import CONTRACT
from semantics.time import us
from semantics.timeline import Crash, Restart
from semantics.verdict import undemanded

EVERY = pytest.mark.parametrize("expectation", all_expectations(), ids=lambda expectation: expectation.id)


@EVERY
def test_demands_all_that_the_contract_leaves_open(expectation: Expectation) -> None:
    """A script whose outcome hangs on an order that nobody promised needs a settle between."""
    assert not undemanded(expectation)


@EVERY
def test_says_why_it_matters(expectation: Expectation) -> None:
    assert expectation.because.endswith(".")
    assert not expectation.claim.endswith(".")
    assert expectation.family in FAMILIES


def test_ids_are_unique() -> None:
    assert not [id for id, count in Counter(e.id for e in all_expectations()).items() if count > 1]


def test_no_two_expectations_are_one() -> None:
    scripts = Counter((expectation.pipeline, expectation.timeline) for expectation in all_expectations())
    assert max(scripts.values()) == 1


def test_every_prediction_is_settled_before_the_next_step() -> None:
    for expectation in all_expectations():
        for prediction in predict(expectation.pipeline, expectation.timeline, CONTRACT):
            assert len(prediction) == len(expectation.timeline)


def test_an_unknown_id_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownName, match="Did you mean WM-01"):
        find("WM_01")


def test_sixty_are_for_newcomers() -> None:
    """Those that show the most. Restarts and crashes cost seconds each."""
    core = [e for e in all_expectations() if e.core]
    assert len(core) == 60
    assert {e.family for e in core} == set(FAMILIES)
    assert sum(any(isinstance(step, Crash | Restart) for step in e.timeline) for e in core) <= 12


def test_dedup_asks_for_no_horizon_but_the_delay() -> None:
    """No other can be had from every engine."""
    for pipeline in (e.pipeline for e in all_expectations()):
        if isinstance(pipeline, Dedup):
            assert us(pipeline.horizon) == clock(pipeline.input)
