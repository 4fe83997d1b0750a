"""Crash points, told by outside evidence: two folders of the checkpoint, and the ends of the output topics.

Spark offers no place to stop a batch between its sink and its commit. So a watcher outside looks at the checkpoint all
the time, stops the whole process group (SIGSTOP) at the sign of the point, and only then verifies where it stands. A
sign that proves early is let go; one that came too late is *reconstructed*: the entries written since are taken back
before the next start, which is what a crash a moment earlier would have left.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import assert_never

import psutil

from engines.contract import Reached
from engines.errors import Deadline, UnsupportedPipeline
from engines.process import Child
from engines.spark.checkpoint import Checkpoint, Journal
from engines.warden import group
from semantics.timeline import CrashPoint

POINTS = frozenset(
    {CrashPoint.BEFORE_PROCESS, CrashPoint.AFTER_SINK, CrashPoint.AFTER_COMMIT, CrashPoint.AFTER_PROGRESS}
)
NO_CRASH_BECAUSE = (
    "From outside, Spark shows three moments of a batch: planned (offsets/N), written (output visible, no commits/N) "
    "and done (commits/N). Its sink writes while it processes, so it cannot be caught between the two or halfway; "
    "it has no commit of its own, so after-commit is after-sink."
)
_WRITTEN = (CrashPoint.AFTER_SINK, CrashPoint.AFTER_COMMIT)
BY_OUTPUT = frozenset({*_WRITTEN, CrashPoint.AFTER_PROGRESS})
"""Points that a batch without output does not have, or not so that it could be told from those before it."""
_LOOK_EVERY_S = 0.0001
"""A commit entry is a draft for one to five milliseconds."""

_STOPPED_WITHIN_S = 5
"""It takes a millisecond; a process that waits for a disk takes its time."""

Written = Callable[[str], int]
"""Job name -> how many records its output topic holds, committed or not."""


class Watcher:
    """Watches all jobs of one process from a thread of its own, from its making until `reached` or `close`."""

    def __init__(self, point: CrashPoint, child: Child, jobs: Mapping[str, Checkpoint], written: Written) -> None:
        if point not in POINTS:
            raise UnsupportedPipeline("CrashPoint", f"Spark cannot be stopped at {point.value}. {NO_CRASH_BECAUSE}")
        self._point = point
        self._child = child
        self._jobs = jobs
        self._written = written
        self._before = {name: written(name) for name in jobs}
        self._judged = {name: checkpoint.last(_journal(point)) for name, checkpoint in jobs.items()}
        self._found: Reached | None = None
        self._error: Exception | None = None
        self._closed = threading.Event()
        self.undo: tuple[Checkpoint, int] | None = None
        """A commit to take back before the next start."""
        self._thread = threading.Thread(target=self._run, name="crash-watcher", daemon=True)
        self._thread.start()

    def reached(self, *, within: timedelta) -> Reached:
        """Wait until the process stands still at the point. Raises `Deadline`."""
        self._thread.join(within.total_seconds())
        self.close()
        if self._error is not None:
            raise self._error
        if self._found is None:
            raise Deadline(f"Waited {within.total_seconds():g} s for a batch to come to {self._point.value}.")
        return self._found

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._closed.is_set() and self._child.alive():
                for name, checkpoint in self._jobs.items():
                    batch = self._sign(name, checkpoint)
                    if batch >= 0:
                        self._stop()
                        self._found = self._verify(name, checkpoint, batch)
                        if self._found is not None:
                            return
                        self._child.resume()
                time.sleep(_LOOK_EVERY_S)
        except Exception as error:
            # It belongs to the thread that waits. Nobody will use the standstill.
            self._error = error
            with contextlib.suppress(ProcessLookupError):
                self._child.resume()

    def _stop(self) -> None:
        """SIGSTOP the group, and wait until it stands still: signals take effect a moment later."""
        self._child.pause()
        deadline = time.monotonic() + _STOPPED_WITHIN_S
        while moving := [process for process in group(self._child.pid) if not _stands(process)]:
            if time.monotonic() > deadline:
                raise Deadline(f"Waited {_STOPPED_WITHIN_S} s for {moving} to stop.")
            time.sleep(_LOOK_EVERY_S)

    def _sign(self, name: str, checkpoint: Checkpoint) -> int:
        """Return the batch that shows the sign of the point; -1 if none does, or if it was judged already."""
        journal = _journal(self._point)
        done = checkpoint.last(journal)
        batch = max(done, checkpoint.writing(journal)) if self._point in _WRITTEN else done
        return batch if batch > self._judged[name] else -1

    def _verify(self, name: str, checkpoint: Checkpoint, batch: int) -> Reached | None:
        """Say where the stopped process stands; None if the batch is not the one, because it wrote nothing."""
        rows = self._written(name) - self._before[name]
        committed = checkpoint.has(Journal.COMMITTED, batch)
        match self._point:
            case CrashPoint.BEFORE_PROCESS:
                if rows:
                    raise Deadline(
                        f"{name}: batch {batch} could not be stopped before-process: {rows} rows are out already."
                    )
                if committed:
                    return self._take_back(checkpoint, batch, f"{name}: batch {batch} wrote no rows")
                return Reached(
                    evidence=f"{name}: batch {batch} is planned, its commit is absent, no row is on the output since"
                )
            case CrashPoint.AFTER_SINK | CrashPoint.AFTER_COMMIT:
                if not rows:
                    # All of a batch is written before its commit is begun: this one has no such point.
                    self._judged[name] = batch
                    return None
                if committed:
                    return self._take_back(checkpoint, batch, f"{name}: {rows} rows of batch {batch} are visible")
                return Reached(evidence=f"{name}: {rows} rows of batch {batch} are visible, its commit is absent")
            case CrashPoint.AFTER_PROGRESS:
                if not rows:
                    self._judged[name] = batch
                    return None
                return Reached(evidence=f"{name}: {rows} rows of batch {batch} are visible, its commit is there")
            case _:
                raise AssertionError(self._point)

    def _take_back(self, checkpoint: Checkpoint, batch: int, seen: str) -> Reached:
        self.undo = checkpoint, batch
        return Reached(evidence=f"{seen}; its commit came first and is taken back", reconstructed=True)


def _stands(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return True


def _journal(point: CrashPoint) -> Journal:
    match point:
        case CrashPoint.BEFORE_PROCESS:
            return Journal.PLANNED
        case CrashPoint.AFTER_SINK | CrashPoint.AFTER_COMMIT | CrashPoint.AFTER_PROGRESS:
            return Journal.COMMITTED
        case CrashPoint.AFTER_PROCESS | CrashPoint.MID_SINK:
            raise AssertionError(point)
        case _:
            assert_never(point)
