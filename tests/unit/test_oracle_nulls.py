"""The oracle's rules about what cannot be read, has no time or no key, and about what a kill makes a clock forget."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semantics.expectation import script
from semantics.expr import VALUE, expr
from semantics.notation import print_row, print_time
from semantics.oracle import StepResult, predict
from semantics.pipeline import (
    Aggregate,
    Dedup,
    Emit,
    Filter,
    Function,
    How,
    Join,
    Pipeline,
    Select,
    Session,
    Source,
    Tumbling,
)
from semantics.rules import BadRecord, FilteredClock, NullTime, RestartClock, Rules, WatermarkAdvance
from semantics.time import s
from semantics.timeline import Crash, CrashPoint, Raw, Send, Step

NULLS = Rules(bad_record=BadRecord.NULL_FIELDS)
SQL_NULL = Rules(null_time=NullTime.SQL_NULL)
PUSHED = Rules(filtered_clock=FilteredClock.IGNORED)
FORGETFUL = Rules(watermark_advance=WatermarkAdvance.BATCH, restart_clock=RestartClock.GLOBAL_ONLY)
CLOCKED = Source(delay=s(0))


def join(how: How = How.INNER) -> Join:
    return Join(Source("L", delay=s(0)), Source("R", delay=s(0)), lo=s(0), hi=s(5), how=how)


def only(pipeline: Pipeline, *steps: str | Step | bytes, rules: Rules) -> tuple[StepResult, ...]:
    timeline = script(*(Send((Raw(step),)) if isinstance(step, bytes) else step for step in steps))
    (prediction,) = predict(pipeline, timeline, rules)
    return prediction


def rows(pipeline: Pipeline, *steps: str | Step | bytes, rules: Rules) -> list[str]:
    return [" ".join(map(print_row, step.rows)) for step in only(pipeline, *steps, rules=rules)]


class TestNullFields:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (b'{"k":"a","v":', "~=~@~"),
            (b"[1]", "~=~@~"),
            (b'{"k":7,"i":true,"v":"x","t":1767225605000000}', "7#true=~@5"),
            (b'{"k":"a","v":1.5,"t":"noon"}', "a=~@~"),
            (b'{"k":"caf\xe9","v":1,"t":1767225605000000}', "caf\ufffd@5"),
        ],
    )
    def test_are_those_that_cannot_be_read(self, value: bytes, shown: str) -> None:
        (result,) = only(Source(), value, rules=NULLS)
        assert (print_row(*result.rows), result.dead) == (shown, ())

    def test_are_counted_and_no_number(self) -> None:
        pipeline = Aggregate(Source(), (Function.COUNT, Function.SUM, Function.MIN), emit=Emit.UPDATE)
        found = rows(pipeline, b'{"k":"a"}', "a=3@1", b'{"k":"a"}', rules=NULLS)
        assert found == ["a{n=1 sum=~ min=~}", "a{n=2 sum=3 min=3}", "a{n=3 sum=3 min=3}"]

    def test_compare_false_and_add_to_null(self) -> None:
        more = Select(Source(), expr(VALUE, "+", 1))
        assert rows(more, b'{"k":"a"}', rules=NULLS) == ["a=~@~"]
        assert rows(Filter(more, expr(VALUE, "!=", 9)), b'{"k":"a"}', rules=NULLS) == [""]

    def test_move_time_if_it_is_not_among_them(self) -> None:
        value = b'{"k":"a","v":[],"t":1767225605000000}'
        assert only(Aggregate(CLOCKED, window=Tumbling(s(10))), value, rules=NULLS)[0].wm == 5_000_000

    def test_or_the_engine_fails(self) -> None:
        assert only(Source(), b"7", rules=Rules(bad_record=BadRecord.FAIL))[0].failed == "bad_record"


class TestNullTime:
    """Where it is SQL's null, it depends on the operator what becomes of it."""

    @pytest.mark.parametrize("window", [Tumbling(s(10)), Session(s(10))])
    def test_is_dropped_by_windows(self, window: Tumbling | Session) -> None:
        (first, _) = only(Aggregate(CLOCKED, window=window), "a@~", "z@60", rules=SQL_NULL)
        assert (first.rows, first.dead, first.late, first.state) == ((), (), 0, 0)

    def test_is_taken_where_no_time_is_needed(self) -> None:
        assert rows(CLOCKED, "a@~", rules=SQL_NULL) == ["a#e1@~"]
        assert rows(Aggregate(CLOCKED, emit=Emit.UPDATE), "a@~", rules=SQL_NULL) == ["a=1"]

    @pytest.mark.parametrize(("how", "kept"), [(How.INNER, 0), (How.LEFT, 1), (How.RIGHT, 1), (How.FULL, 2)])
    def test_is_kept_for_ever_where_it_would_be_padded(self, how: How, kept: int) -> None:
        rules = replace(SQL_NULL, filtered_clock=FilteredClock.IGNORED)
        result = only(join(how), "L:a@~", "R:a@~", "L:x@60", "R:x@60", "L:y@120", "R:y@120", rules=rules)
        assert [step.state for step in result][1:] == [kept, kept + 1, kept + 2, kept + 3, kept + 2]
        assert all(row.key != "a" for step in result for row in step.rows)

    def test_is_1970_to_a_dedup_but_never_late(self) -> None:
        dedup = Dedup(Source(delay=s(10)), horizon=s(10))
        # Whatever has 1970 for its time is forgotten as soon as there is a watermark.
        result = only(dedup, "a#x@~ a#x@20", "a#y@21 a#x@~", "a#x@22 a#x@~", rules=SQL_NULL)
        shown = [" ".join(sorted(map(print_row, step.rows))) for step in result]
        assert shown == ["a#x@~", "a#x@~ a#y@21", "a#x@22"]
        assert [(step.late, step.dup) for step in result] == [(0, 1), (0, 0), (0, 1)]


@pytest.mark.parametrize(("how", "mark"), [(How.INNER, "~"), (How.LEFT, "~"), (How.RIGHT, "50"), (How.FULL, "50")])
def test_null_keys_do_not_reach_the_clock_below_which_they_are_filtered(how: How, mark: str) -> None:
    result = only(join(how), "L:a@50", "R:~@50", "R:~@1", rules=PUSHED)
    assert print_time(result[1].wm) == mark
    assert result[2].late == (mark == "50")


class TestKill:
    """What a process that knew more than the query's watermark takes with it."""

    @pytest.mark.parametrize("point", [CrashPoint.AFTER_SINK, CrashPoint.AFTER_PROGRESS])
    def test_a_micro_batch_before_the_one_that_emits_was_recorded(self, point: CrashPoint) -> None:
        found = rows(join(How.LEFT), "L:a@0", "L:x@60", Crash(point), "R:y@60", rules=FORGETFUL)
        assert found[-1] == "a(0#e1,_)"

    @pytest.mark.parametrize(
        ("point", "mark"),
        [(CrashPoint.BEFORE_PROCESS, "0"), (CrashPoint.AFTER_SINK, "0"), (CrashPoint.AFTER_PROGRESS, "3")],
    )
    def test_the_one_that_emits_is_replayed_unless_it_was_recorded_too(self, point: CrashPoint, mark: str) -> None:
        result = only(join(), "L:a@0", "R:b@0", "L:x@60", Crash(point), "R:a@3", rules=FORGETFUL)
        assert (print_row(*result[-1].rows), print_time(result[-1].wm)) == ("a(0#e1,3#e4)", mark)
