"""The catalogue has teeth: each planted bug and each rule value that is not the contract's is caught, and by whom.

Not here: bugs of the order of commits, which need a process that dies between two writes. They are planted into the
real engine (tests/integration/test_faust_teeth.py). Nor `sink`, which says how outputs are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import pytest

from engines import registry
from engines.journal import Journal
from engines.memory import MemoryLog
from engines.player import Player
from semantics.catalogue import all_expectations, find
from semantics.rules import (
    CONTRACT,
    Average,
    BadRecord,
    Close,
    Counts,
    DedupForget,
    FilteredClock,
    JoinClock,
    LateCount,
    LateOuterRow,
    MultiInput,
    NullJoinKey,
    NullKey,
    NullTime,
    OperatorClock,
    OuterNull,
    OwnConditionFalse,
    RecoveredState,
    RestartClock,
    RestartTimers,
    RowLateness,
    Rules,
    Runs,
    SessionLateness,
    SessionTouch,
    TrailingBatch,
    ValueBound,
    WatermarkAdvance,
    WatermarkResolution,
    WatermarkScope,
    WatermarkStart,
)
from semantics.timeline import Crash, Scale
from semantics.verdict import Value, judge, undemanded

BUG_CAUGHT_BY = {
    "watermark-falls": {"WM-01", "WM-11"},
    "future-unguarded": {"WM-24", "WM-25"},
    "delay-twice": {"WM-01", "WM-02", "DD-06"},
    "end-inclusive": {"TW-01", "WM-04"},
    "hop-missed": {"TW-07", "TW-10"},
    "negative-misaligned": {"TW-20"},
    "offset-ignored": {"TW-12", "TW-13"},
    "grace-ignored": {"TW-14", "SW-17"},
    "late-by-event-time": {"WM-04", "SW-07", "TW-08"},
    "min-max-exchanged": {"TW-16", "SW-20"},
    "session-start-lost": {"SW-03", "SW-08"},
    "session-uncut": {"SW-30", "SW-32", "SW-34"},
    "one-session": {"SW-19", "SW-02"},
    "bridge-one-neighbour": {"SW-03", "ST-06"},
    "low-bound-exclusive": {"SSJ-01", "SSJ-14"},
    "high-bound-exclusive": {"SSJ-01", "SSJ-14"},
    "null-twice": {"SSJ-04", "SSJ-20", "SSJ-22"},
    "null-beside-match": {"SSJ-05", "SSJ-21", "SSJ-22"},
    "right-unpadded": {"SSJ-20", "SSJ-22"},
    "match-lost-on-restart": {"SSJ-13"},
    "dedup-extends": {"DD-07"},
    "dedup-keeps-last": {"DD-02", "DD-12"},
    "repeat-before-late": {"DD-04"},
    "never-evicts": {"ST-01", "SSJ-10", "DD-03", "SW-21"},
    "timers-lost-on-restart": {"ST-03", "ST-04", "DD-11"},
    "lost-update": {"EO-13", "TW-11"},
    "reorders": {"ST-11", "DD-02", "WM-07"},
    "poison-dropped": {"SCH-01", "WM-12"},
    "late-uncounted": {"WM-05", "DD-04", "SSJ-15", "SW-10"},
}
RULE_CAUGHT_BY = {
    Rules(watermark_scope=WatermarkScope.SOURCE_MAX): {"WM-09", "WM-10"},
    Rules(watermark_scope=WatermarkScope.SOURCE_MIN): {"WM-19", "SW-22"},
    Rules(watermark_advance=WatermarkAdvance.BATCH): {"WM-07", "SW-16", "DD-14"},
    Rules(watermark_resolution=WatermarkResolution.MILLISECOND): {"SW-14", "SSJ-19"},
    Rules(watermark_start=WatermarkStart.EPOCH): {"WM-15", "SW-15"},
    Rules(filtered_clock=FilteredClock.IGNORED): {"WM-17", "WM-18"},
    Rules(multi_input=MultiInput.MAX): {"SSJ-06", "SSJ-22", "CH-14"},
    Rules(operator_clock=OperatorClock.QUERY): {"CH-20", "CH-21"},
    Rules(window_close=Close.AFTER_END): {"WM-02", "TW-15"},
    Rules(window_close=Close.NEVER): {"WM-02", "TW-18", "ST-10"},
    Rules(session_close=Close.NEVER): {"SW-01", "SW-10"},
    Rules(session_close=Close.AFTER_END): {"SW-05", "SW-18"},
    Rules(session_touch=SessionTouch.SPLIT): {"SW-02", "SW-06"},
    Rules(session_lateness=SessionLateness.OWN_SPAN): {"SW-07", "SW-08"},
    Rules(join_clock=JoinClock.MINUS_1MS): {"SSJ-19", "SSJ-26"},
    Rules(row_lateness=RowLateness.AT_OR_BEFORE): {"SSJ-08", "SSJ-09", "DD-08"},
    Rules(row_lateness=RowLateness.NEVER): {"SSJ-07", "DD-04"},
    Rules(outer_null=OuterNull.AT_BOUND): {"SSJ-04", "SSJ-20"},
    Rules(outer_null=OuterNull.EAGER): {"SSJ-05", "SSJ-22"},
    Rules(late_outer_row=LateOuterRow.PAD): {"SSJ-15", "SSJ-23"},
    Rules(own_condition_false=OwnConditionFalse.AT_ONCE): {"SSJ-42", "SSJ-44"},
    Rules(value_bound=ValueBound.IS_A_TIME): {"SSJ-53", "SSJ-54"},
    Rules(dedup_forget=DedupForget.AT_HORIZON): {"DD-05", "DD-06"},
    Rules(null_key=NullKey.DROP): {"TW-04", "SCH-07"},
    Rules(null_key=NullKey.FAIL): {"TW-04", "SCH-07"},
    Rules(null_join_key=NullJoinKey.MATCH): {"SSJ-11", "SSJ-24"},
    Rules(null_join_key=NullJoinKey.MATCH_IN_FULL): {"SSJ-24", "SSJ-25"},
    Rules(bad_record=BadRecord.DROP_SILENTLY): {"SCH-01", "SCH-03"},
    Rules(bad_record=BadRecord.NULL_FIELDS): {"SCH-03", "SCH-05", "SCH-09", "SCH-11"},
    Rules(bad_record=BadRecord.FAIL): {"SCH-01", "SCH-03"},
    Rules(null_time=NullTime.DROP_SILENTLY): {"WM-12", "WM-13"},
    Rules(null_time=NullTime.SQL_NULL): {"WM-12", "SSJ-27", "DD-15"},
    Rules(null_time=NullTime.FAIL): {"WM-12", "WM-13"},
    Rules(late_count=LateCount.PER_PARTIAL_AGGREGATE): {"TW-08", "TW-09"},
    Rules(late_count=LateCount.NONE): {"WM-05", "DD-04"},
    Rules(average=Average.DOUBLE): {"AG-02", "AG-03"},
    Rules(restart_clock=RestartClock.GLOBAL_ONLY): {"SSJ-16", "SSJ-17"},
    Rules(restart_timers=RestartTimers.AT_INPUT): {"ST-24", "ST-25"},
    Rules(counts=Counts.OF_A_PROCESS, watermark_advance=WatermarkAdvance.BATCH): {"EO-22", "NK-18"},
    Rules(trailing_batch=TrailingBatch.NO, watermark_advance=WatermarkAdvance.BATCH): {"WM-02", "TW-01", "SW-05"},
    Rules(runs=Runs.A_STEP, restart_clock=RestartClock.GLOBAL_ONLY): {"SSJ-04", "SSJ-06", "WM-21"},
    Rules(recovered_state=RecoveredState.AHEAD): {"EO-01", "EO-02", "EO-10"},
    Rules(recovered_state=RecoveredState.BY_CHANCE): {"EO-01", "EO-02", "EO-14"},
}
PLAYABLE = [e for e in all_expectations() if not any(isinstance(step, Crash | Scale) for step in e.timeline)]


async def test_the_sound_reference_holds_everywhere(tmp_path: Path) -> None:
    engine, variant = registry.get("reference")
    journal = Journal(tmp_path / "history.jsonl")
    histories = await Player(engine, variant, MemoryLog(), logs=tmp_path, journal=journal).play(PLAYABLE)
    journal.close()
    assert {judge(e, CONTRACT, histories[e.id]).value for e in PLAYABLE} == {Value.HOLDS}


def test_every_planted_bug_is_named() -> None:
    assert {variant for variant in registry.get("reference")[0].variants if variant} == set(BUG_CAUGHT_BY)


@pytest.mark.parametrize("bug", BUG_CAUGHT_BY)
def test_a_planted_bug_is_caught(bug: str, planted: Mapping[str, Mapping[str, Value]]) -> None:
    verdicts = {e.id: planted[f"reference:{bug}"][e.id] for e in PLAYABLE}
    assert {id for id, value in verdicts.items() if value is Value.BROKEN} >= BUG_CAUGHT_BY[bug]
    assert set(verdicts.values()) <= {Value.HOLDS, Value.BROKEN}


def test_every_rule_value_is_named_with_two_that_catch_it() -> None:
    named = {(name, getattr(rules, name)) for rules in RULE_CAUGHT_BY for name in rules.overridden()}
    contract = {f.name: getattr(CONTRACT, f.name) for f in fields(Rules) if f.name != "sink"}
    assert named == {(name, other) for name, ours in contract.items() for other in type(ours) if other is not ours}
    assert all(len(ids) >= 2 for ids in RULE_CAUGHT_BY.values())


@pytest.mark.parametrize(("rules", "ids"), RULE_CAUGHT_BY.items())
def test_a_rule_value_is_told_apart(rules: Rules, ids: set[str]) -> None:
    assert ids == {id for id in ids if undemanded(find(id), rules)}


@pytest.mark.parametrize("id", ["WM-05", "WM-06", "TW-08", "TW-09"])
def test_partial_aggregates_are_told_apart_where_time_moves_in_batches(id: str) -> None:
    """Only a micro-batch has partial aggregates of more than one event."""
    batch = Rules(watermark_advance=WatermarkAdvance.BATCH)
    assert not undemanded(find(id), batch)
    assert undemanded(find(id), replace(batch, late_count=LateCount.PER_PARTIAL_AGGREGATE))
