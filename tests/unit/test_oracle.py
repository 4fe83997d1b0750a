"""The oracle against hand-worked answers: the contract first, then every value of every rule beside it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from semantics.errors import InvalidTimeline
from semantics.expectation import script
from semantics.expr import ID, VALUE, expr
from semantics.notation import print_row, print_time
from semantics.oracle import Prediction, StepResult, predict
from semantics.pipeline import (
    Absence,
    Aggregate,
    Emit,
    Filter,
    Function,
    How,
    Join,
    KeyBy,
    Pipeline,
    Select,
    Session,
    Source,
    Timer,
    Tumbling,
)
from semantics.rules import (
    CONTRACT,
    BadRecord,
    Close,
    FilteredClock,
    JoinClock,
    LateCount,
    LateOuterRow,
    MultiInput,
    NullJoinKey,
    NullKey,
    NullTime,
    OuterNull,
    RecoveredState,
    RestartClock,
    RestartTimers,
    RowLateness,
    Rules,
    Runs,
    SessionLateness,
    SessionTouch,
    TrailingBatch,
    WatermarkAdvance,
    WatermarkResolution,
    WatermarkScope,
    WatermarkStart,
)
from semantics.time import s
from semantics.timeline import Crash, CrashPoint, Event, Flush, Idle, Raw, Restart, Send, Step

BATCH = Rules(watermark_advance=WatermarkAdvance.BATCH)
ONE_CLOCK = Rules(watermark_scope=WatermarkScope.SOURCE_MAX)
END = Flush(1_000_000_000)


def tumbling(delay: float | None = 0, size: float = 10, emit: Emit = Emit.FINAL) -> Aggregate:
    return Aggregate(Source(delay=None if delay is None else s(delay)), window=Tumbling(s(size)), emit=emit)


def session(delay: float = 0, gap: float = 10) -> Aggregate:
    return Aggregate(Source(delay=s(delay)), window=Session(s(gap)))


def join(lo: float = -2, hi: float = 5, how: How = How.LEFT, left: float | None = 0, right: float | None = 0) -> Join:
    delays = [None if delay is None else s(delay) for delay in (left, right)]
    return Join(Source("L", delay=delays[0]), Source("R", delay=delays[1]), lo=s(lo), hi=s(hi), how=how)


RUNNING = Aggregate(Source(), emit=Emit.UPDATE)


def predictions(pipeline: Pipeline, *steps: str | Step, rules: Rules = CONTRACT) -> frozenset[Prediction]:
    return predict(pipeline, script(*steps), rules)


def only(pipeline: Pipeline, *steps: str | Step, rules: Rules = CONTRACT) -> Prediction:
    (prediction,) = predictions(pipeline, *steps, rules=rules)
    return prediction


def text(step: StepResult) -> str:
    return " ".join(print_row(row) for row in step.rows)


def rows(pipeline: Pipeline, *steps: str | Step, rules: Rules = CONTRACT) -> list[str]:
    """Return what each step shows, pairs without their events' ids."""
    return [_without_ids(text(step)) for step in only(pipeline, *steps, rules=rules)]


def every(pipeline: Pipeline, *steps: str | Step, rules: Rules = CONTRACT) -> set[tuple[str, ...]]:
    return {
        tuple(_without_ids(text(step)) for step in prediction)
        for prediction in predictions(pipeline, *steps, rules=rules)
    }


def _without_ids(printed: str) -> str:
    return re.sub(r"#\w+(?=[,)])", "", printed)


class TestRecoveredState:
    """What a kill leaves to the successor, while the position is that of the last commit."""

    SCRIPT = ("a@1", Crash(CrashPoint.AFTER_SINK), "a@2 b@3", "a@4 b@5")
    AHEAD = Rules(recovered_state=RecoveredState.AHEAD)
    BY_CHANCE = Rules(recovered_state=RecoveredState.BY_CHANCE)

    def test_ahead_counts_again_what_is_processed_again(self) -> None:
        assert every(RUNNING, *self.SCRIPT, rules=self.AHEAD) == {("a=1", "", "a=2 a=3 b=1 b=2", "a=4 b=3")}

    @pytest.mark.parametrize("point", [CrashPoint.BEFORE_PROCESS, CrashPoint.AFTER_PROGRESS])
    def test_ahead_is_exact_where_nothing_was_processed_that_is_not_committed(self, point: CrashPoint) -> None:
        assert rows(RUNNING, "a@1", Crash(point), "a@2", rules=self.AHEAD) == ["a=1", "", "a=2"]

    def test_by_chance_rolls_back_what_a_commit_has_seen_or_does_not(self) -> None:
        ends = {outcome[-1] for outcome in every(RUNNING, *self.SCRIPT, rules=self.BY_CHANCE)}
        assert ends == {"a=3 b=3", "a=4 b=3"}

    def test_by_chance_a_lost_disk_may_be_the_loss_of_all(self) -> None:
        wiped = every(RUNNING, "a@1", Restart(wipe_state=True), "a@2", rules=self.BY_CHANCE)
        assert wiped == {("a=1", "", "a=2"), ("a=1", "", "a=1")}

    def test_an_operator_without_state_is_never_ahead(self) -> None:
        assert rows(Source(), "a@1", Crash(CrashPoint.AFTER_SINK), "a@2", rules=self.AHEAD)[-1].endswith("@2")


class TestTumbling:
    def test_is_final_at_the_watermark_that_reaches_its_end(self) -> None:
        assert rows(tumbling(delay=10), "a@1 a@9 a@10", "a@19.999999", "b@20") == ["", "", "a[0,10)=2"]

    def test_is_late_for_a_window_that_is_final_and_not_before(self) -> None:
        result = only(tumbling(), "a@8", "a@1", "a@10", "a@9.999999", END)
        assert [text(step) for step in result] == ["", "", "a[0,10)=2", "", "a[10,20)=1"]
        assert [step.late for step in result] == [0, 0, 0, 1, 0]

    def test_is_aligned_to_1970_before_it_too(self) -> None:
        before = -1_767_225_600 - 3
        assert rows(tumbling(), f"a@{before}", "z@0")[1].startswith(f"a[{before - 7},{before + 3})=1")

    def test_sums_beside_counts(self) -> None:
        pipeline = Aggregate(Source(delay=s(0)), (Function.COUNT, Function.SUM), window=Tumbling(s(10)))
        assert rows(pipeline, "a=7@1 a=-2@2", "z@10") == ["", "a[0,10){n=2 sum=5}"]

    def test_updates_as_it_changes_and_says_nothing_at_close(self) -> None:
        assert rows(tumbling(emit=Emit.UPDATE), "a@1 a@2 b@3", "z@10") == [
            "a[0,10)=1 a[0,10)=2 b[0,10)=1",
            "z[10,20)=1",
        ]

    def test_that_never_closes_is_never_late_and_never_forgotten(self) -> None:
        never = Rules(window_close=Close.NEVER)
        result = only(tumbling(emit=Emit.UPDATE), "a@1", "z@60", "a@2", rules=never)
        assert [text(step) for step in result] == ["a[0,10)=1", "z[60,70)=1", "a[0,10)=2"]
        assert [step.state for step in result] == [1, 2, 2]

    def test_updates_once_a_micro_batch(self) -> None:
        assert rows(tumbling(emit=Emit.UPDATE), "a@1 a@2", rules=BATCH) == ["a[0,10)=2"]

    def test_state_is_a_row_a_key_and_window_without_the_sentinels(self) -> None:
        result = only(tumbling(), "a@1 b@1 a@9", "a@11", END)
        assert [(step.state, step.sentinels) for step in result] == [(2, 0), (1, 0), (0, 1)]

    def test_after_end_waits_for_more_and_is_as_lenient(self) -> None:
        rules = Rules(window_close=Close.AFTER_END)
        assert rows(tumbling(), "a@1", "a@10 a@2", "a@10.000001") == ["", "a[0,10)=1", ""]
        assert rows(tumbling(), "a@1", "a@10 a@2", "a@10.000001", rules=rules) == ["", "", "a[0,10)=2"]


class TestWatermark:
    def test_never_falls_and_stands_before_all_at_first(self) -> None:
        result = only(tumbling(delay=3), Idle(s(1)), "a@10", "a@2", Restart())
        assert [print_time(step.wm) for step in result] == ["~", "7", "7", "7"]

    def test_without_a_clock_there_is_none(self) -> None:
        for rules in (CONTRACT, Rules(watermark_start=WatermarkStart.EPOCH)):
            assert only(RUNNING, "a@10", rules=rules)[0].wm is None

    def test_filtered_events_move_it(self) -> None:
        pipeline = Aggregate(Filter(Source(delay=s(0)), expr(VALUE, "<", 5)), window=Tumbling(s(10)))
        assert rows(pipeline, "a@1", "a=9@10") == ["", "a[0,10)=1"]

    def test_filtered_events_may_be_unseen_by_it(self) -> None:
        pipeline = Aggregate(Filter(Source(delay=s(0)), expr(VALUE, "<", 5)), window=Tumbling(s(10)))
        rules = Rules(filtered_clock=FilteredClock.IGNORED)
        assert rows(pipeline, "a@1", "a=9@10", rules=rules) == ["", ""]

    def test_null_times_and_dead_letters_do_not(self) -> None:
        assert only(tumbling(), "a@1", "a@~")[1].wm == 1_000_000

    def test_of_a_task_is_that_of_its_own_partition(self) -> None:
        result = only(tumbling(), "a@50", "b@10/1 b@30/1")
        assert [text(step) for step in result] == ["", "b[10,20)=1"]
        assert [print_time(step.wm) for step in result] == ["~", "30"]

    def test_of_one_clock_is_the_highest_of_all_partitions(self) -> None:
        result = only(tumbling(), "a@50", "b@10/1", "b@60/1", rules=ONE_CLOCK)
        assert [text(step) for step in result] == ["", "", "a[50,60)=1"]
        assert [step.late for step in result] == [0, 1, 0]

    def test_of_one_clock_is_the_lowest_of_all_partitions_with_source_min(self) -> None:
        rules = Rules(watermark_scope=WatermarkScope.SOURCE_MIN)
        assert rows(tumbling(), "a@50", "b@10/1 b@30/1", "a@60", "b@60/1", rules=rules) == [
            "",
            "b[10,20)=1",
            "",
            "a[50,60)=1 b[30,40)=1",
        ]

    def test_behind_a_key_by_is_the_lowest_over_all_partitions(self) -> None:
        pipeline = Aggregate(KeyBy(Source(delay=s(0)), ID), window=Tumbling(s(10)))
        assert rows(pipeline, "a#x@1 a#x@50", "b#x@2/1", "b#y@10/1") == ["", "", "x[0,10)=2"]

    def test_of_a_task_is_the_lowest_of_its_inputs(self) -> None:
        result = only(join(), "L:a@0 L:z@100", "R:a@3", "R:z@100")
        assert [step.wm for step in result] == [None, 3_000_000, 100_000_000]

    def test_of_a_task_is_the_highest_of_its_inputs_with_multi_input_max(self) -> None:
        rules = Rules(multi_input=MultiInput.MAX)
        result = only(join(), "L:a@0 L:z@100", "R:a@3", rules=rules)
        assert [step.wm for step in result] == [100_000_000] * 2
        assert [_without_ids(text(step)) for step in result] == ["a(0,_)", ""]
        assert result[1].late == 1

    def test_moves_with_every_record(self) -> None:
        assert rows(tumbling(), "a@20 a@2", "z@100") == ["", "a[20,30)=1"]

    def test_moves_between_micro_batches(self) -> None:
        assert rows(tumbling(), "a@20 a@2", "z@100", rules=BATCH) == ["a[0,10)=1", "a[20,30)=1"]

    def test_judges_by_the_batch_before_when_the_engine_does_not_idle(self) -> None:
        rules = Rules(watermark_advance=WatermarkAdvance.BATCH, watermark_scope=WatermarkScope.SOURCE_MAX)
        found = every(tumbling(), "z@5", "a@20 b@2/1", END, rules=rules)
        assert found == {("", "b[0,10)=1 z[0,10)=1", "a[20,30)=1"), ("", "z[0,10)=1", "a[20,30)=1")}

    def test_resolution_truncates(self) -> None:
        coarse = Rules(watermark_resolution=WatermarkResolution.MILLISECOND)
        assert only(tumbling(), "a@9.9999")[0].wm == 9_999_900
        assert only(tumbling(), "a@9.9999", rules=coarse)[0].wm == 9_999_000
        assert rows(tumbling(delay=0.0005), "a@1", "a@10.0005", rules=coarse) == ["", "a[0,10)=1"]

    def test_start_at_the_epoch_makes_older_events_late_at_once(self) -> None:
        rules = Rules(watermark_start=WatermarkStart.EPOCH)
        result = only(tumbling(), "a@-20455d", rules=rules)
        assert (result[0].late, result[0].wm) == (1, None)
        assert only(tumbling(), "a@-20455d")[0].late == 0

    def test_a_restart_keeps_every_inputs_clock_or_only_the_query(self) -> None:
        rules = Rules(restart_clock=RestartClock.GLOBAL_ONLY)
        steps = ("L:a@0 R:z@0", "L:z@100", Restart(), "R:z@100")
        kept, forgot = only(join(), *steps), only(join(), *steps, rules=rules)
        assert [print_time(step.wm) for step in kept] == ["0", "0", "0", "100"]
        assert [print_time(step.wm) for step in forgot] == ["0", "0", "0", "0"]

    def test_where_each_step_is_a_run_it_forgets_what_a_restart_forgets(self) -> None:
        rules = Rules(restart_clock=RestartClock.GLOBAL_ONLY, runs=Runs.A_STEP)
        steps = ("L:a@0 R:z@0", "L:z@100", "R:z@100", "L:z@90 R:z@80")
        assert [print_time(step.wm) for step in only(join(), *steps)] == ["0", "0", "100", "100"]
        assert [print_time(step.wm) for step in only(join(), *steps, rules=rules)] == ["0", "0", "0", "80"]
        kept = Rules(runs=Runs.A_STEP)
        assert only(join(), *steps, rules=kept) == only(join(), *steps)

    def test_without_a_trailing_batch_what_is_closed_waits_for_the_next_input(self) -> None:
        steps = ("a@1", "z@10", "z@2", "z@11")
        waits = replace(BATCH, trailing_batch=TrailingBatch.NO)
        assert rows(tumbling(), *steps, rules=BATCH) == ["", "a[0,10)=1", "", ""]
        # The watermark that closes is that of the batch before; the one that makes late is older still.
        assert rows(tumbling(), *steps, rules=waits) == ["", "", "a[0,10)=1 z[0,10)=1", ""]

    def test_timers_of_processing_time_may_wait_for_input_after_a_restart(self) -> None:
        steps = ("a@1", Restart(), Idle(s(4)), "b@2", "c@3", Idle(s(4)))
        sleepy = Rules(restart_timers=RestartTimers.AT_INPUT)
        silent = Absence(Source(), after=s(4), timer=Timer.PROCESSING_TIME)
        assert rows(silent, *steps) == ["", "", "a#e1@1", "", "", "b#e2@2 c#e3@3"]
        assert rows(silent, *steps, rules=sleepy) == ["", "", "", "a#e1@1", "", "b#e2@2 c#e3@3"]

    @pytest.mark.parametrize(
        ("point", "watermarks"),
        [
            (CrashPoint.BEFORE_PROCESS, ["50", "70", "80"]),  # Replayed: the new process sees the step's events again.
            (CrashPoint.AFTER_PROGRESS, ["70", "70", "80"]),  # Recorded: it does not, but the watermark has moved.
        ],
    )
    def test_a_crash_forgets_what_was_seen_before_it(self, point: CrashPoint, watermarks: list[str]) -> None:
        rules = Rules(restart_clock=RestartClock.GLOBAL_ONLY, watermark_advance=WatermarkAdvance.BATCH)
        steps = ("L:a@0 L:z@100", "R:z@50", Crash(point), "R:z@70", "L:z@90", "R:z@80")
        assert [print_time(step.wm) for step in only(join(), *steps)[3:]] == ["70", "70", "80"]
        assert [print_time(step.wm) for step in only(join(), *steps, rules=rules)[3:]] == watermarks


class TestSession:
    def test_touching_spans_are_one(self) -> None:
        assert rows(session(delay=30), "a@0 a@10", "a@20.001 a@0.5", END) == ["", "", "a[0,20)=3 a[20.001,30.001)=1"]

    def test_touching_spans_are_two_with_split(self) -> None:
        rules = Rules(session_touch=SessionTouch.SPLIT)
        assert rows(session(delay=30), "a@0 a@10 a@19.999999", END, rules=rules) == ["", "a[0,10)=1 a[10,29.999999)=2"]

    def test_a_bridge_makes_two_one(self) -> None:
        result = only(session(delay=20), "a@0 a@16", "a@8", END)
        assert [step.state for step in result] == [2, 1, 0]
        assert text(result[2]) == "a[0,26)=3"

    def test_lateness_is_that_of_the_session_it_would_join(self) -> None:
        own = Rules(session_lateness=SessionLateness.OWN_SPAN)
        merged = only(session(), "a@10", "z@18", "a@8 a@8.000001", END)
        assert (merged[2].late, text(merged[3])) == (0, "a[8,20)=3 z[18,28)=1")
        alone = only(session(), "a@10", "z@18", "a@8 a@8.000001", END, rules=own)
        assert (alone[2].late, text(alone[3])) == (1, "a[8.000001,20)=2 z[18,28)=1")

    def test_close_after_its_end_takes_one_more(self) -> None:
        rules = Rules(session_close=Close.AFTER_END)
        assert rows(session(), "a@0", "z@10", "a@0", rules=CONTRACT) == ["", "a[0,10)=1", ""]
        assert rows(session(), "a@0", "z@10", "a@0", "z@11", rules=rules) == ["", "", "", "a[0,10)=2"]

    def test_an_event_that_touches_a_final_session_starts_another(self) -> None:
        assert rows(session(), "a@0", "z@10", "a@10", END)[3] == "a[10,20)=1 z[10,20)=1"


class TestRunning:
    def test_speaks_with_every_record_in_each_keys_order(self) -> None:
        assert rows(RUNNING, "b@1 a@2 b@1") == ["a=1 b=1 b=2"]

    def test_is_never_late(self) -> None:
        pipeline = Aggregate(Source(delay=s(0)), (Function.SUM,), emit=Emit.UPDATE)
        assert rows(pipeline, "a=5@100", "a=2@1") == ["a=5", "a=7"]

    def test_leaves_the_order_between_partitions_open(self) -> None:
        pipeline = Aggregate(KeyBy(Source(), ID), (Function.SUM,), emit=Emit.UPDATE)
        assert every(pipeline, "a#x=1@0 b#x=10@0/1") == {("x=1 x=11",), ("x=10 x=11",)}

    def test_leaves_the_cut_open(self) -> None:
        pipeline = Aggregate(KeyBy(Source(), ID), (Function.SUM,), emit=Emit.UPDATE)
        assert every(pipeline, "a#x=1@0 b#x=10@0/1", rules=BATCH) == {("x=1 x=11",), ("x=10 x=11",)}

    def test_takes_null_times_where_no_time_is_needed(self) -> None:
        assert rows(RUNNING, "a@~") == ["a=1"]


class TestJoin:
    def test_bounds_are_inclusive_and_a_pair_comes_at_once(self) -> None:
        steps = ("L:a@10", "R:a@8 R:a@15 R:a@7.999999 R:a@15.000001")
        assert rows(join(how=How.INNER), *steps) == ["", "a(10,8) a(10,15)"]

    def test_either_side_may_be_first_and_every_combination_pairs(self) -> None:
        steps = ("R:a@1 R:a@2", "L:a@0 L:a@1", "R:a@3")
        assert [step.count("(") for step in rows(join(left=10, right=10), *steps)] == [0, 4, 2]

    def test_an_unmatched_left_row_comes_out_past_the_bound(self) -> None:
        steps = ("L:a@0", "L:z@5 R:y@5", "L:z@5.000001", "R:y@5.000001")
        assert rows(join(), *steps) == ["", "", "", "a(0,_)"]

    def test_a_matched_one_does_not(self) -> None:
        assert rows(join(), "L:a@0", "R:a@1", END) == ["", "a(0,1)", ""]

    def test_rows_are_kept_while_a_partner_may_come(self) -> None:
        result = only(join(how=How.INNER), "L:a@10 R:b@10", "L:z@12 R:y@12", "L:z@12.1 R:y@12.1", "L:z@16 R:y@16")
        assert [step.state for step in result] == [2, 4, 5, 4]

    def test_a_late_row_is_dropped_on_either_side(self) -> None:
        result = only(join(), "L:z@5 R:y@5", "L:a@4.999999", "R:a@4", "L:a@5")
        assert [step.late for step in result] == [0, 1, 1, 0]

    def test_late_at_the_watermark_itself(self) -> None:
        rules = Rules(row_lateness=RowLateness.AT_OR_BEFORE)
        assert [step.late for step in only(join(), "L:z@5 R:y@9", "L:a@5", rules=rules)] == [0, 1]

    def test_never_late_joins_whatever_is_kept(self) -> None:
        rules = Rules(row_lateness=RowLateness.NEVER)
        steps = ("L:a@0", "L:z@4 R:y@4", "R:a@1")
        assert rows(join(), *steps) == ["", "", ""]
        assert rows(join(), *steps, rules=rules) == ["", "", "a(0,1)"]

    def test_a_clock_of_milliseconds_keeps_rows_a_whole_one_longer(self) -> None:
        rules = Rules(join_clock=JoinClock.MINUS_1MS)
        steps = ("L:a@0", "L:z@5.0005 R:y@5.0005", "L:z@5.001 R:y@5.001")
        assert rows(join(), *steps) == ["", "a(0,_)", ""]
        assert rows(join(), *steps, rules=rules) == ["", "", "a(0,_)"]

    def test_null_at_the_bound_takes_the_row_with_it(self) -> None:
        rules = Rules(outer_null=OuterNull.AT_BOUND)
        steps = ("L:a@0", "L:z@5 R:y@5", "R:a@5")
        assert rows(join(), *steps) == ["", "", "a(0,5)"]
        assert rows(join(), *steps, rules=rules) == ["", "a(0,_)", ""]

    def test_eager_nulls_stand_beside_a_match(self) -> None:
        rules = Rules(outer_null=OuterNull.EAGER)
        assert rows(join(), "L:a@0", "R:a@1", END, rules=rules) == ["a(0,_)", "a(0,1)", ""]
        assert rows(join(), "R:a@1", "L:a@0", END, rules=rules) == ["", "a(0,1)", ""]

    def test_a_late_left_row_may_be_padded_at_once_or_matched(self) -> None:
        rules = Rules(late_outer_row=LateOuterRow.PAD)
        result = only(join(), "R:a@6 R:y@6 L:z@6", "L:a@5 L:b@5", END, rules=rules)
        assert [_without_ids(text(step)) for step in result] == ["", "a(5,6) b(5,_)", "z(6,_)"]
        assert [step.late for step in result] == [0, 0, 0]
        assert [step.late for step in only(join(), "R:a@6 R:y@6 L:z@6", "L:a@5 L:b@5")] == [0, 2]

    def test_null_keys_match_nothing_but_are_padded(self) -> None:
        result = only(join(), "L:~@0", "R:~@1", END)
        assert [_without_ids(text(step)) for step in result] == ["", "", "~(0,_)"]
        assert [step.state for step in result] == [1, 1, 0]
        assert rows(join(), "L:~@0", "R:~@1", rules=Rules(null_join_key=NullJoinKey.MATCH)) == ["", "~(0,1)"]

    def test_a_side_without_a_clock_is_never_late_and_holds_nothing_back(self) -> None:
        pipeline = join(how=How.INNER, left=None)
        result = only(pipeline, "L:a@50 R:a@50", "R:z@100", "L:b@1 R:b@1", "L:z@100")
        assert [step.wm for step in result] == [50_000_000, 100_000_000, 100_000_000, 100_000_000]
        assert [step.late for step in result] == [0, 0, 1, 0]
        # The left row went with the right side's clock; right rows stay: a left partner may always come.
        assert [step.state for step in result] == [2, 2, 2, 3]

    def test_without_any_clock_nothing_is_evicted(self) -> None:
        result = only(join(how=How.INNER, left=None, right=None), "L:a@0", "R:z@1000", "R:a@5")
        assert (result[2].state, _without_ids(text(result[2])), result[2].wm) == (3, "a(0,5)", None)

    def test_leaves_the_order_between_inputs_open(self) -> None:
        found = predictions(join(), "L:z@100 R:z@100 R:a@3")
        assert {step.late for (step,) in found} == {0, 1}

    def test_a_row_whose_bound_is_past_already_is_padded_at_once(self) -> None:
        assert rows(join(lo=-9, hi=-5), "L:z@5 R:y@5", "L:a@7")[1] == "a(7,_)"


class TestNull:
    def test_a_null_key_is_a_group_of_its_own(self) -> None:
        assert rows(RUNNING, "~@0 ~@1") == ["~=1 ~=2"]

    def test_a_null_key_may_be_dropped(self) -> None:
        assert rows(RUNNING, "~@0 a@1", rules=Rules(null_key=NullKey.DROP)) == ["a=1"]

    def test_a_null_key_may_fail_the_rest_of_the_script(self) -> None:
        result = only(RUNNING, "a@0", "~@0", "a@1", rules=Rules(null_key=NullKey.FAIL))
        assert [step.failed for step in result] == ["", "null_key", "null_key"]

    def test_a_failure_is_one_outcome_among_the_orders(self) -> None:
        rules = Rules(null_key=NullKey.FAIL, watermark_scope=WatermarkScope.SOURCE_MAX)
        assert {p[0].failed for p in predictions(RUNNING, "~@0 a@0/1", rules=rules)} == {"null_key"}

    @pytest.mark.parametrize("pipeline", [tumbling(), tumbling(delay=None, emit=Emit.UPDATE), Source(delay=s(0))])
    def test_a_null_time_goes_to_the_dead_letters_where_time_is_needed(self, pipeline: Pipeline) -> None:
        (step,) = only(pipeline, "a@~")
        assert (step.rows, step.dead, step.late) == ((), ("no_time",), 0)
        (step,) = only(pipeline, "a@~", rules=Rules(null_time=NullTime.DROP_SILENTLY))
        assert (step.rows, step.dead) == ((), ())
        (step,) = only(pipeline, "a@~", rules=Rules(null_time=NullTime.FAIL))
        assert step.failed == "null_time"


class TestRaw:
    @pytest.mark.parametrize(
        "value",
        [
            b'{"k":',
            b"",
            b"\xff",
            b"7",
            b'{"k":"a"}',
            b'{"k":"a","v":"1"}',
            b'{"k":1,"v":1}',
            b'{"k":"a","v":1,"t":1.5}',
            b'{"v":true}',
            b'{"v":9223372036854775808}',
            b'{"v":1,"i":{}}',
            b"[" * 100_000,
            b'{"v":1,"k":"\xe9"}',
            b'{"v":1,"k":"\xed\xa0\x80"}',
            '{"v":1}'.encode("utf-16"),
        ],
    )
    def test_what_cannot_be_used_is_dead_and_the_stream_goes_on(self, value: bytes) -> None:
        step = Send((Raw(value), *_events("a@0")))
        (result,) = only(RUNNING, step)
        assert (text(result), result.dead) == ("a=1", ("bad_record",))
        (result,) = only(RUNNING, step, rules=Rules(bad_record=BadRecord.DROP_SILENTLY))
        assert (text(result), result.dead) == ("a=1", ())

    def test_what_can_be_used_is_an_event_like_any_other(self) -> None:
        step = Send((Raw(b'{"k":"a","v":3,"t":1767225605000000,"more":[1]}'),))
        assert rows(Source(delay=s(0)), step) == ["a=3@5"]


def _events(notation: str) -> tuple[Event | Raw, ...]:
    (step,) = script(notation)
    assert isinstance(step, Send)
    return step.events


class TestStateless:
    def test_filter_select_and_key_by_apply_in_order(self) -> None:
        pipeline = KeyBy(Select(Filter(Source(), expr(VALUE, ">=", 2)), expr(VALUE, "*", 10)), ID)
        assert rows(pipeline, "a#x=1@0 a#y=2@1 ~#z=3@~") == ["y#y=20@1 z#z=30@~"]

    def test_comparisons_with_null_are_false(self) -> None:
        for op in ("==", "!="):
            assert rows(Filter(Source(), expr(ID, "==", "never")), "~@0") == [""]
            assert rows(Filter(Source(), expr(expr(ID, "==", "e1"), "and", expr(VALUE, op, 9))), "a@0") in (
                [""],
                ["a#e1@0"],
            )


class TestLateCount:
    def test_counts_events_or_partial_aggregates_or_nothing(self) -> None:
        steps = ("z@100", "a@1 a@2 b@3 a@11")
        counts = {
            LateCount.PER_EVENT: 4,
            LateCount.PER_PARTIAL_AGGREGATE: 3,
            LateCount.NONE: None,
        }
        for value, count in counts.items():
            rules = Rules(late_count=value, watermark_advance=WatermarkAdvance.BATCH)
            assert only(tumbling(), *steps, rules=rules)[1].late == count

    def test_of_a_join_is_per_row(self) -> None:
        rules = Rules(late_count=LateCount.PER_PARTIAL_AGGREGATE, watermark_advance=WatermarkAdvance.BATCH)
        assert only(join(), "L:z@9 R:z@9", "L:a@1 L:a@1", rules=rules)[1].late == 2

    def test_of_sessions_is_by_own_span(self) -> None:
        rules = Rules(late_count=LateCount.PER_PARTIAL_AGGREGATE, watermark_advance=WatermarkAdvance.BATCH)
        assert only(session(), "z@100", "a@1 a@1 a@2", rules=rules)[1].late == 2


class TestScripts:
    def test_faults_and_idleness_change_nothing(self) -> None:
        calm = rows(session(delay=5), "a@0", "a@8", END)
        harm = (Crash(CrashPoint.MID_SINK, wipe_state=True), "a@8", Idle(s(3)), Restart(wipe_state=True), END)
        assert [step for step in rows(session(delay=5), "a@0", *harm) if step] == [step for step in calm if step]

    def test_flush_cannot_be_told_apart_behind_a_key_by(self) -> None:
        with pytest.raises(InvalidTimeline, match="end the script with events"):
            predict(KeyBy(Source(), ID), script("a@0", END))

    def test_a_top_behind_a_key_by_is_played_on_one_partition(self) -> None:
        # Each partition ranks its own keys, and a key's place is the engine's affair.
        ranked = Aggregate(KeyBy(Source(delay=s(0)), ID), window=Tumbling(s(10)), top=1)
        assert rows(ranked, "k#x@1 k#y@1", "k#z@60") == ["", "x[0,10)=1"]
        with pytest.raises(InvalidTimeline, match="which keys share a top"):
            predict(ranked, script("k#x@1 l#y@1/1", "k#z@60 l#w@60/1"))
        before = KeyBy(Aggregate(Source(delay=s(0)), window=Tumbling(s(10)), top=1), ID)
        assert len(only(before, "k@1 l@1/1", "k@60 l@60/1")[1].rows) == 2

    def test_an_unknown_input_is_said(self) -> None:
        with pytest.raises(InvalidTimeline, match="no input 'L'"):
            predict(RUNNING, script("L:a@0"))

    def test_too_many_orders_are_said(self) -> None:
        pipeline = Aggregate(KeyBy(Source(), ID), (Function.SUM,), emit=Emit.UPDATE)
        events = [f"k{p}#x={4**n * p}@0/{p}" for p in (1, 2, 3) for n in range(12)]
        with pytest.raises(InvalidTimeline, match=r"step 1.*put a settle between"):
            predict(pipeline, script(" ".join(events)))

    def test_outcomes_of_many_tasks_are_combined(self) -> None:
        # Each partition's join leaves its own order open.
        found = predictions(join(), "L:z@100 R:z@100 R:a@3 L:y@100/1 R:y@100/1 R:b@3/1")
        assert {step.late for (step,) in found} == {0, 1, 2}
