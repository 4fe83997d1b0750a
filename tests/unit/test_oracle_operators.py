"""Hopping windows, grace, extremes, dedup and full joins against hand-worked answers; other rule values beside them."""

from __future__ import annotations

import re

from semantics.expectation import raw, script
from semantics.notation import print_row
from semantics.oracle import Prediction, predict
from semantics.pipeline import Aggregate, Dedup, Emit, Function, Hopping, How, Join, Pipeline, Session, Source, Tumbling
from semantics.rules import (
    CONTRACT,
    Close,
    DedupForget,
    LateCount,
    LateOuterRow,
    NullJoinKey,
    OuterNull,
    RowLateness,
    Rules,
    WatermarkAdvance,
)
from semantics.time import s
from semantics.timeline import Flush, Restart, Step

BATCH = Rules(watermark_advance=WatermarkAdvance.BATCH)
END = Flush(1_000_000_000)


def windowed(window: Tumbling | Hopping | Session, *functions: Function, delay: float = 0) -> Aggregate:
    return Aggregate(Source(delay=s(delay)), functions or (Function.COUNT,), window=window)


def dedup(delay: float = 10, horizon: float = 10) -> Dedup:
    return Dedup(Source(delay=s(delay)), horizon=s(horizon))


def join(how: How, lo: float = -2, hi: float = 5) -> Join:
    return Join(Source("L", delay=s(0)), Source("R", delay=s(0)), lo=s(lo), hi=s(hi), how=how)


def only(pipeline: Pipeline, *steps: str | Step, rules: Rules = CONTRACT) -> Prediction:
    (prediction,) = predict(pipeline, script(*steps), rules)
    return prediction


def rows(pipeline: Pipeline, *steps: str | Step, rules: Rules = CONTRACT) -> list[str]:
    """Return what each step shows, pairs without their events' ids."""
    prediction = only(pipeline, *steps, rules=rules)
    return [re.sub(r"#\w+(?=[,)])", "", " ".join(map(print_row, step.rows))) for step in prediction]


class TestHopping:
    def test_an_event_is_in_all_windows_that_hold_it(self) -> None:
        assert rows(windowed(Hopping(s(10), s(5))), "a@0", "z@10") == ["", "a[-5,5)=1 a[0,10)=1"]

    def test_a_slide_need_not_divide_the_size(self) -> None:
        assert rows(windowed(Hopping(s(10), s(4))), "a@9 a@10", END)[1] == "a[4,14)=2 a[8,18)=2"

    def test_a_slide_of_its_size_is_tumbling(self) -> None:
        steps = ("a@0 a@9.999999 b@10", "a@-1", END)
        assert rows(windowed(Hopping(s(10), s(10))), *steps) == rows(windowed(Tumbling(s(10))), *steps)

    def test_an_event_is_late_only_if_it_is_for_all_windows(self) -> None:
        result = only(windowed(Hopping(s(10), s(5))), "z@10", "a@7", "a@4", END)
        assert [step.late for step in result] == [0, 0, 1, 0]
        assert "a[5,15)=1" in map(print_row, result[3].rows)

    def test_partial_aggregates_are_counted_a_window(self) -> None:
        rules = Rules(late_count=LateCount.PER_PARTIAL_AGGREGATE, watermark_advance=WatermarkAdvance.BATCH)
        steps = ("z@10", "a@7 a@8 a@4")  # [-5,5) once, [0,10) for all three.
        assert [step.late for step in only(windowed(Hopping(s(10), s(5))), *steps, rules=rules)] == [0, 2]

    def test_offset_moves_the_grid(self) -> None:
        pipeline = windowed(Hopping(s(10), s(5), offset=s(2)))
        assert rows(pipeline, "a@2", END)[1] == "a[-3,7)=1 a[2,12)=1"


class TestGrace:
    def test_a_window_is_final_at_its_end_and_grace(self) -> None:
        result = only(windowed(Tumbling(s(10), grace=s(5))), "a@1", "z@14.999999", "a@2", "y@15", "a@3")
        assert [len(step.rows) for step in result] == [0, 0, 0, 1, 0]
        assert [step.late for step in result] == [0, 0, 0, 0, 1]

    def test_after_end_means_after_end_and_grace(self) -> None:
        rules = Rules(window_close=Close.AFTER_END)
        assert rows(windowed(Tumbling(s(10), grace=s(5))), "a@1", "z@15", "z@15.000001", rules=rules)[1:] == [
            "",
            "a[0,10)=1",
        ]

    def test_a_session_grows_within_its_grace(self) -> None:
        pipeline = windowed(Session(s(10), grace=s(5)))
        assert rows(pipeline, "a@0", "z@14", "a@9", "y@24") == ["", "", "", "a[0,19)=2"]
        assert [step.late for step in only(pipeline, "z@14", "a@-1", "y@15", "a@-0.5")] == [0, 1, 0, 1]


class TestExtremes:
    def test_of_a_window_in_the_order_of_the_pipeline(self) -> None:
        pipeline = windowed(Tumbling(s(10)), Function.MAX, Function.COUNT, Function.MIN)
        assert rows(pipeline, "a=-5@1 a=-2@2 a=-9@3", END)[1] == "a[0,10){max=-2 n=3 min=-9}"

    def test_of_merged_sessions(self) -> None:
        pipeline = windowed(Session(s(10)), Function.MIN, Function.MAX, delay=20)
        assert rows(pipeline, "a=5@0 a=1@16", "a=9@8", END)[2] == "a[0,26){min=1 max=9}"

    def test_of_a_running_aggregate(self) -> None:
        pipeline = Aggregate(Source(), (Function.MIN,), emit=Emit.UPDATE)
        assert rows(pipeline, "a=3@0 a=7@1 a=2@2") == ["a=3 a=3 a=2"]


class TestDedup:
    def test_the_first_to_arrive_passes(self) -> None:
        result = only(dedup(), "a#x@5 a#x@3 b#x@4", "a#x@6")
        assert [" ".join(map(print_row, step.rows)) for step in result] == ["a#x@5 b#x@4", ""]
        assert [(step.dup, step.late, step.state) for step in result] == [(1, 0, 2), (1, 0, 2)]

    def test_forgets_past_the_horizon_of_the_first(self) -> None:
        steps = ("a#x@0", "a#x@9", "a#y@20", "a#x@11", "a#z@20.000001", "a#x@12")
        result = only(dedup(), *steps)
        assert [step.dup for step in result] == [0, 1, 0, 1, 0, 0]
        assert [step.state for step in result] == [1, 1, 2, 2, 2, 3]
        at_horizon = only(dedup(), *steps, rules=Rules(dedup_forget=DedupForget.AT_HORIZON))
        assert [step.dup for step in at_horizon] == [0, 1, 0, 0, 0, 1]

    def test_late_is_judged_first_by_the_time_of_the_row(self) -> None:
        steps = ("a#x@5", "a#y@15", "a#x@4.999999", "a#x@5")
        assert [(step.late, step.dup) for step in only(dedup(), *steps)] == [(0, 0), (0, 0), (1, 0), (0, 1)]
        rules = Rules(row_lateness=RowLateness.AT_OR_BEFORE)
        assert [(step.late, step.dup) for step in only(dedup(), *steps, rules=rules)][2:] == [(1, 0), (1, 0)]

    def test_late_rows_are_counted_one_by_one(self) -> None:
        rules = Rules(late_count=LateCount.PER_PARTIAL_AGGREGATE, watermark_advance=WatermarkAdvance.BATCH)
        assert only(dedup(), "a#x@50", "a#y@1 a#y@1", rules=rules)[1].late == 2

    def test_forgets_between_micro_batches_or_between_records(self) -> None:
        steps = ("a#x@0 a#y@100 a#x@101",)
        assert [only(dedup(), *steps, rules=rules)[0].dup for rules in (CONTRACT, BATCH)] == [0, 1]

    def test_remembers_and_forgets_across_a_restart(self) -> None:
        result = only(dedup(), "a#x@0", Restart(), "a#x@3", "a#y@20.1", "a#x@12")
        assert [step.dup for step in result] == [0, 0, 1, 0, 0]

    def test_needs_a_time(self) -> None:
        (step,) = only(dedup(), "a#x@~ a#x@1")
        assert (step.dead, len(step.rows)) == (("no_time",), 1)

    def test_what_cannot_be_read_is_no_repeat(self) -> None:
        assert [(step.dead, step.dup) for step in only(dedup(), "a#x@0", raw(b"{", b"{"))] == [
            ((), 0),
            (("bad_record", "bad_record"), 0),
        ]


class TestOuterJoins:
    def test_each_side_is_padded_past_its_own_bound(self) -> None:
        steps = ("L:l@10 R:r@10", "L:y@12 R:z@12", "L:y@12.1 R:z@12.1", "L:y@15.1 R:z@15.1")
        # r's last partner stands at 10 + 2, that of l at 10 + 5. The others are still waiting.
        assert rows(join(How.RIGHT), *steps)[2:] == ["r(_,10)", "z(_,12) z(_,12.1)"]
        assert rows(join(How.LEFT), *steps)[2:] == ["", "l(10,_)"]
        assert rows(join(How.FULL), *steps)[2:] == ["r(_,10)", "l(10,_) z(_,12) z(_,12.1)"]

    def test_a_match_settles_both_sides(self) -> None:
        assert rows(join(How.FULL), "R:a@1", "L:a@0", END) == ["", "a(0,1)", ""]

    def test_at_the_bound_either_row_goes_with_its_null(self) -> None:
        rules = Rules(outer_null=OuterNull.AT_BOUND)
        assert rows(join(How.FULL), "R:a@3", "L:y@5", "R:z@5", "L:a@5", rules=rules) == ["", "", "a(_,3)", ""]
        assert rows(join(How.FULL), "R:a@3", "L:y@5", "R:z@5", "L:a@5") == ["", "", "", "a(5,3)"]

    def test_eager_nulls_come_from_either_side(self) -> None:
        rules = Rules(outer_null=OuterNull.EAGER)
        assert rows(join(How.FULL), "R:a@1", "L:a@0", rules=rules) == ["a(_,1)", "a(0,1)"]

    def test_late_rows_are_dropped_or_padded_on_the_preserved_sides(self) -> None:
        steps = ("L:y@50 R:z@50", "L:a@1", "R:b@2")
        pad = Rules(late_outer_row=LateOuterRow.PAD)
        assert rows(join(How.FULL), *steps)[1:] == ["", ""]
        assert rows(join(How.FULL), *steps, rules=pad)[1:] == ["a(1,_)", "b(_,2)"]
        assert rows(join(How.RIGHT), *steps, rules=pad)[1:] == ["", "b(_,2)"]

    def test_null_keys_match_nothing_or_each_other_or_only_in_full(self) -> None:
        steps = ("L:~@0", "R:~@1")
        in_full = Rules(null_join_key=NullJoinKey.MATCH_IN_FULL)
        assert rows(join(How.FULL), *steps, END) == ["", "", "~(_,1) ~(0,_)"]
        assert [rows(join(how), *steps, rules=in_full)[1] for how in How] == ["", "", "", "~(0,1)", "", ""]
        assert rows(join(How.INNER), *steps, rules=Rules(null_join_key=NullJoinKey.MATCH))[1] == "~(0,1)"

    def test_keeps_what_can_still_come_out(self) -> None:
        steps = ("L:~@0 R:~@0",)
        assert [only(join(how), *steps)[0].state for how in How] == [0, 1, 1, 2, 0, 1]
