"""Our sinks without Spark or Kafka: what evidence a standstill needs, and what an upsert does with a replay."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from engines.contract import Support
from engines.errors import Deadline
from engines.spark.declaration import declaration
from engines.spark.gate import Gate, Parked
from engines.spark.sinks import UpsertSink
from engines.spark.standstill import Grown, evidence
from engines.spark.variants import STRICT, VARIANTS, SinkKind, sink_kind
from semantics.pipeline import Source
from semantics.rules import Sink
from semantics.timeline import CrashPoint

HELD = Parked("job", 3, rows=4, wrote=2)
NOTHING, OPEN, DONE = Grown(5, 5), Grown(7, 5), Grown(8, 8)
TRUE = {
    CrashPoint.AFTER_PROCESS: NOTHING,
    CrashPoint.MID_SINK: OPEN,
    CrashPoint.AFTER_SINK: OPEN,
    CrashPoint.AFTER_COMMIT: DONE,
}


@pytest.mark.parametrize("point", TRUE)
@pytest.mark.parametrize("now", [NOTHING, OPEN, DONE])
def test_the_output_must_agree_with_the_point(point: CrashPoint, now: Grown) -> None:
    if now is TRUE[point]:
        assert "2 of 4 rows" in evidence(point, HELD, NOTHING, now, committed=False)
        return
    with pytest.raises(Deadline, match=point.value):
        evidence(point, HELD, NOTHING, now, committed=False)


def test_a_batch_that_spark_has_recorded_does_not_stand_in_the_sink() -> None:
    with pytest.raises(Deadline, match="its commit is there"):
        evidence(CrashPoint.AFTER_COMMIT, HELD, NOTHING, DONE, committed=True)


class Frame:
    """What `foreachBatch` hands over: rows, and a way to the query's id."""

    def __init__(self, lineage: str, *rows: tuple[str, str]) -> None:
        self.lineage, self.rows = lineage, rows
        self.sparkSession = self.sparkContext = self

    def getLocalProperty(self, name: str) -> str:  # noqa: N802 - Spark's own word
        assert name == "sql.streaming.queryId"
        return self.lineage

    def collect(self) -> list[tuple[str, str]]:
        return list(self.rows)


def rows(table: Path) -> dict[str, str]:
    with sqlite3.connect(table) as base:
        return dict(base.execute("select key, value from rows"))


def test_an_upsert_ignores_a_batch_that_it_has_but_not_one_of_another_lineage(tmp_path: Path) -> None:
    table = tmp_path / "t.sqlite"
    sink = UpsertSink(Gate(), "job", table)
    sink(Frame("old", ("a", "1"), ("b", "1")), 0)
    sink(Frame("old", ("a", "2")), 1)
    sink(Frame("old", ("a", "9")), 1)
    assert rows(table) == {"a": "2", "b": "1"}
    sink(Frame("new", ("a", "1")), 0)
    assert rows(table) == {"a": "1", "b": "1"}


@pytest.mark.parametrize("point", [CrashPoint.MID_SINK, CrashPoint.AFTER_SINK])
def test_nothing_of_a_batch_that_is_held_is_in_the_table(tmp_path: Path, point: CrashPoint) -> None:
    gate, table = Gate(), tmp_path / "t.sqlite"
    sink = UpsertSink(gate, "job", table)
    sink(Frame("q", ("a", "1")), 0)
    gate.armed = point
    threading.Thread(target=sink, args=(Frame("q", ("a", "2"), ("b", "2")), 1), daemon=True).start()
    assert gate.parked() == Parked("job", 1, rows=2, wrote=1 if point is CrashPoint.MID_SINK else 2)
    assert rows(table) == {"a": "1"}


def test_a_batch_of_one_row_has_no_middle(tmp_path: Path) -> None:
    gate, table = Gate(), tmp_path / "t.sqlite"
    gate.armed = CrashPoint.MID_SINK
    UpsertSink(gate, "job", table)(Frame("q", ("a", "1")), 0)
    assert rows(table) == {"a": "1"}


def test_dead_letters_take_back_the_rules_of_bad_records_and_no_others() -> None:
    native, strict = (set(declaration(variant).rules.overridden()) for variant in ("", STRICT))
    assert native - strict == {"bad_record", "null_time"}
    assert strict < native


def test_only_the_transactional_sink_promises_more_and_sinks_of_ours_are_recipes() -> None:
    promised = {variant: declaration(variant).rules.sink for variant in VARIANTS}
    assert {variant for variant, sink in promised.items() if sink is Sink.EXACTLY_ONCE} == {"txn-sink"}
    for variant in VARIANTS:
        found = declaration(variant)
        ours = sink_kind(variant) is not SinkKind.NATIVE
        assert (found.capability(Source(), 1).support is Support.RECIPE) == (ours or variant == STRICT)
        assert (found.crash_points == frozenset(CrashPoint)) == ours
