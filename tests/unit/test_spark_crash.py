"""The watcher against a real process that it can stop, and a checkpoint that the test writes step by step."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from engines.errors import Deadline, UnsupportedPipeline
from engines.process import Child
from engines.spark.checkpoint import Checkpoint
from engines.spark.crash import POINTS, Watcher
from semantics.timeline import CrashPoint

WITHIN = timedelta(seconds=10)


class Stage:
    """One job's checkpoint and output, and the process that is said to write them."""

    def __init__(self, path: Path) -> None:
        self.child = Child("victim", ["sleep", "60"], log=path / "log")
        self.path = path
        self.rows = 0
        self.asked = threading.Event()
        for folder in ("offsets", "commits"):
            (path / folder).mkdir()

    def watch(self, point: CrashPoint) -> Watcher:
        watcher = Watcher(point, self.child, {"job": Checkpoint(self.path)}, self.written)
        self.asked.clear()
        return watcher

    def written(self, _: str) -> int:
        rows = self.rows
        self.asked.set()
        return rows

    def draft(self, journal: str, batch: int) -> Path:
        path = self.path / journal / f".{batch}.abc.tmp"
        path.touch()
        return path

    def plan(self, batch: int) -> None:
        (self.path / "offsets" / str(batch)).touch()

    def commit(self, batch: int) -> None:
        (self.path / "commits" / str(batch)).touch()

    def stands_still(self) -> bool:
        return psutil.Process(self.child.pid).status() == psutil.STATUS_STOPPED


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.child.kill()


@pytest.mark.parametrize("point", [CrashPoint.AFTER_SINK, CrashPoint.AFTER_COMMIT])
def test_after_sink_is_output_without_a_commit(stage: Stage, point: CrashPoint) -> None:
    watcher = stage.watch(point)
    stage.rows = 2
    stage.draft("commits", 0)
    reached = watcher.reached(within=WITHIN)
    assert reached.evidence == "job: 2 rows of batch 0 are visible, its commit is absent"
    assert not reached.reconstructed
    assert watcher.undo is None
    assert stage.stands_still()


def test_a_commit_that_came_first_is_taken_back(stage: Stage) -> None:
    watcher = stage.watch(CrashPoint.AFTER_SINK)
    stage.rows = 1
    stage.commit(0)
    assert watcher.reached(within=WITHIN).reconstructed
    assert watcher.undo == (Checkpoint(stage.path), 0)


def test_a_batch_without_output_is_let_go(stage: Stage) -> None:
    watcher = stage.watch(CrashPoint.AFTER_SINK)
    stage.draft("commits", 0)
    assert stage.asked.wait(WITHIN.total_seconds())
    with pytest.raises(Deadline, match="after-sink"):
        watcher.reached(within=timedelta(seconds=0.2))
    assert not stage.stands_still()  # `reached` has waited for the watcher's thread to end.


def test_the_batch_after_one_without_output_is_the_one(stage: Stage) -> None:
    watcher = stage.watch(CrashPoint.AFTER_SINK)
    stage.draft("commits", 0)
    assert stage.asked.wait(WITHIN.total_seconds())
    stage.rows = 1
    stage.draft("commits", 1)
    assert "batch 1" in watcher.reached(within=WITHIN).evidence


def test_what_was_committed_before_arming_does_not_count(stage: Stage) -> None:
    stage.rows = 5
    stage.commit(0)
    watcher = stage.watch(CrashPoint.AFTER_PROGRESS)
    stage.rows = 6
    stage.commit(1)
    assert watcher.reached(within=WITHIN).evidence == "job: 1 rows of batch 1 are visible, its commit is there"


def test_before_process_is_a_plan_without_output(stage: Stage) -> None:
    watcher = stage.watch(CrashPoint.BEFORE_PROCESS)
    stage.draft("offsets", 0)
    stage.plan(0)
    assert "planned" in watcher.reached(within=WITHIN).evidence
    assert stage.stands_still()


def test_a_plan_that_is_being_written_is_none_yet(stage: Stage) -> None:
    watcher = stage.watch(CrashPoint.BEFORE_PROCESS)
    stage.draft("offsets", 0)
    with pytest.raises(Deadline, match="before-process"):
        watcher.reached(within=timedelta(seconds=0.2))


def test_before_process_is_never_made_of_a_batch_whose_rows_are_out(stage: Stage) -> None:
    watcher = stage.watch(CrashPoint.BEFORE_PROCESS)
    stage.rows = 2
    stage.plan(0)
    with pytest.raises(Deadline, match="2 rows are out already"):
        watcher.reached(within=WITHIN)
    assert watcher.undo is None


def test_a_batch_without_rows_that_has_committed_is_taken_back(stage: Stage) -> None:
    watcher = stage.watch(CrashPoint.BEFORE_PROCESS)
    stage.commit(0)
    stage.plan(0)
    reached = watcher.reached(within=WITHIN)
    assert reached.evidence == "job: batch 0 wrote no rows; its commit came first and is taken back"
    assert reached.reconstructed


@pytest.mark.parametrize("point", sorted(set(CrashPoint) - POINTS, key=str))
def test_other_points_are_refused(stage: Stage, point: CrashPoint) -> None:
    with pytest.raises(UnsupportedPipeline, match="cannot be stopped"):
        stage.watch(point)
