"""What Spark's design lacks is said before anything runs, with a page that says so; all else is native."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engines.contract import Support
from engines.spark.declaration import declaration
from engines.spark.variants import VARIANTS, trigger
from semantics.catalogue import all_expectations, find
from semantics.expectation import script
from semantics.expr import ID, VALUE, expr
from semantics.notation import print_row
from semantics.oracle import predict
from semantics.pipeline import (
    Absence,
    Aggregate,
    AsOf,
    Dedup,
    Emit,
    Explode,
    Filter,
    Hopping,
    Join,
    KeyBy,
    Lookup,
    PairTime,
    Pipeline,
    Session,
    Source,
    Tumbling,
    Upsert,
)
from semantics.rules import TrailingBatch
from semantics.time import s

CLOCKED = Source(delay=s(10))


@pytest.mark.parametrize(
    "pipeline",
    [
        Aggregate(CLOCKED, window=Tumbling(s(10), grace=s(1))),
        Aggregate(CLOCKED, window=Hopping(s(10), s(5), grace=s(1)), emit=Emit.UPDATE),
        Aggregate(CLOCKED, window=Session(s(10), grace=s(1)), emit=Emit.UPDATE),
        Dedup(CLOCKED, horizon=s(11)),
        Dedup(CLOCKED, horizon=s(9)),
    ],
)
def test_what_it_lacks_is_not_run(pipeline: Pipeline) -> None:
    found = declaration().capability(pipeline, 1)
    assert found.support is Support.UNSUPPORTED
    assert "https://" in found.reason
    assert not found.error, "Spark itself would not refuse it: it knows no word for it."


def test_sessions_that_update_are_refused_by_spark_itself() -> None:
    found = declaration().capability(Aggregate(CLOCKED, window=Session(s(10)), emit=Emit.UPDATE), 1)
    assert (found.support, found.error) == (Support.UNSUPPORTED, "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION")


COUNTS = Aggregate(CLOCKED, window=Tumbling(s(5)))


@pytest.mark.parametrize(
    ("pipeline", "error"),
    [
        (
            Aggregate(Join(CLOCKED, Source("R", delay=s(0)), lo=s(0), hi=s(5)), window=Tumbling(s(10))),
            "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION",
        ),
        (Aggregate(COUNTS, window=Tumbling(s(10)), emit=Emit.UPDATE), "_LEGACY_ERROR_TEMP_3102"),
    ],
)
def test_chains_that_spark_itself_refuses(pipeline: Pipeline, error: str) -> None:
    found = declaration().capability(pipeline, 1)
    assert (found.support, found.error) == (Support.UNSUPPORTED, error)
    assert "https://" in found.reason


@pytest.mark.parametrize(
    "pipeline",
    [
        Aggregate(COUNTS, window=Tumbling(s(10))),
        Aggregate(Dedup(CLOCKED, horizon=s(10)), window=Tumbling(s(5)), emit=Emit.UPDATE),
        Aggregate(Join(CLOCKED, Source("R", delay=s(0)), lo=s(0), hi=s(5), time=PairTime.LEFT), window=Tumbling(s(10))),
        Join(COUNTS, Source("R", delay=s(0)), lo=s(0), hi=s(5)),
    ],
)
def test_chains_that_append_are_native(pipeline: Pipeline) -> None:
    assert declaration().capability(pipeline, 1).support is Support.NATIVE


@pytest.mark.parametrize(
    "pipeline",
    [
        Upsert(CLOCKED),
        Absence(CLOCKED, after=s(5)),
        Lookup(Source("L"), Source("T"), as_of=AsOf.ARRIVAL),
        Lookup(KeyBy(Source("L", delay=s(0)), ID), Source("T", delay=s(0)), as_of=AsOf.EVENT_TIME),
        Aggregate(CLOCKED, emit=Emit.UPDATE, ttl=s(5)),
        Aggregate(Source(delay=s(0), late_output=True), window=Session(s(5))),
        Aggregate(Source(delay=s(0), future=s(60)), window=Tumbling(s(5))),
        Aggregate(Aggregate(CLOCKED, emit=Emit.UPDATE), window=Tumbling(s(5))),
        Filter(Aggregate(Source(), emit=Emit.UPDATE), expr(VALUE, ">", 3)),
    ],
)
def test_what_spark_has_no_operator_for_is_a_recipe_where_its_store_allows_one(pipeline: Pipeline) -> None:
    assert declaration().capability(pipeline, 1).support is Support.RECIPE
    assert "the sink" in declaration("txn-sink").capability(pipeline, 1).reason.lower()
    shipped = declaration("shipped").capability(pipeline, 1)
    assert (shipped.support, shipped.error.rpartition(".")[2], shipped.at_start) == (
        Support.UNSUPPORTED, "STORE_BACKEND_NOT_SUPPORTED_FOR_TWS", False,
    )  # fmt: skip


def test_workers_come_and_go_but_nobody_takes_over_from_a_driver() -> None:
    declared = declaration()
    played = {id: declared.can(find(id).pipeline, find(id).timeline) for id in ("EO-18", "EO-19")}
    assert played["EO-18"].support is Support.NATIVE
    assert played["EO-19"].support is Support.UNSUPPORTED
    assert "https://" in played["EO-19"].reason


@pytest.mark.parametrize("variant", VARIANTS)
def test_of_the_catalogue_nothing_is_left_to_be_written(variant: str) -> None:
    declared = declaration(variant)
    assert all(declared.can(e.pipeline, e.timeline).support is not Support.NOT_IMPLEMENTED for e in all_expectations())


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if trigger(variant).bounded])
def test_a_run_that_ends_has_no_timers_of_processing_time(variant: str) -> None:
    assert declaration().capability(find("ST-22").pipeline, 1).support is Support.RECIPE
    assert declaration(variant).capability(find("ST-22").pipeline, 1).support is Support.UNSUPPORTED
    assert declaration(variant).capability(find("ST-16").pipeline, 1).support is Support.RECIPE


def test_a_run_of_one_batch_leaves_what_it_closes_to_the_next_run_with_input() -> None:
    """The reason why available-now has taken its place."""
    once, now = declaration("once").rules, declaration("available-now").rules
    assert once == replace(now, trailing_batch=TrailingBatch.NO)
    window = Aggregate(Source(delay=s(0)), window=Tumbling(s(10)))
    [one], [all_there_is] = (predict(window, script("a@1 z@10", "z@11"), rules) for rules in (once, now))
    assert [[print_row(row) for row in step.rows] for step in one] == [[], ["a[0,10)=1"]]
    assert [[print_row(row) for row in step.rows] for step in all_there_is] == [["a[0,10)=1"], []]


@pytest.mark.parametrize(("variant", "unseen"), [("", False), ("available-now", False), ("once", True)])
def test_a_kill_that_only_output_shows_is_not_played_where_nothing_comes_out(variant: str, unseen: bool) -> None:
    closes, counts = find("EO-03"), find("EO-01")
    assert (declaration(variant).can(closes.pipeline, closes.timeline).support is Support.UNSUPPORTED) is unseen
    assert declaration(variant).can(counts.pipeline, counts.timeline).support is Support.NATIVE


@pytest.mark.parametrize(
    "pipeline",
    [
        Aggregate(Source(delay=s(0), late_output=True, future=s(60)), window=Tumbling(s(5))),
        Aggregate(Source(delay=s(0), late_output=True), window=Tumbling(s(5)), emit=Emit.UPDATE),
        Aggregate(Source(delay=s(0), late_output=True), window=Session(VALUE)),
        Aggregate(Explode(Source(delay=s(0), late_output=True)), window=Tumbling(s(5))),
    ],
)
def test_dead_letters_that_are_not_written_yet(pipeline: Pipeline) -> None:
    assert declaration().capability(pipeline, 1).support is Support.NOT_IMPLEMENTED


def test_a_recipe_whose_rows_have_no_clock_feeds_nothing_that_needs_one() -> None:
    forgetful = Aggregate(CLOCKED, emit=Emit.UPDATE, ttl=s(5))
    found = declaration().capability(Aggregate(forgetful, window=Tumbling(s(5))), 1)
    assert found.support is Support.NOT_IMPLEMENTED


def test_the_catalogue_is_native_but_for_that() -> None:
    lacking = {
        e.family for e in all_expectations() if declaration().capability(e.pipeline, 1).support != Support.NATIVE
    }
    assert lacking <= {"WM", "TW", "SW", "SSJ", "CH", "ST", "LJ", "CDC", "NK"}
