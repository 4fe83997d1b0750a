"""A kill inside a sink of ours: the sink says where it holds, and what is seen from outside must agree."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from engines.contract import Job, Log, Reached
from engines.errors import Deadline
from engines.process import Child
from engines.spark.checkpoint import Checkpoint, Journal
from engines.spark.gate import Parked
from engines.spark.variants import table_of
from semantics.timeline import CrashPoint

_LOOK_EVERY_S = 0.005
_ARM_WITHIN = timedelta(seconds=10)


class Grown(NamedTuple):
    """How far a job's output reaches: offsets, markers included, or batches in a table."""

    written: int | None
    """None: what a table's open transaction holds cannot be seen from outside."""
    visible: int
    """To a reader of what is committed."""


_WANTED = {
    CrashPoint.AFTER_PROCESS: (False, False),
    CrashPoint.MID_SINK: (True, False),
    CrashPoint.AFTER_SINK: (True, False),
    CrashPoint.AFTER_COMMIT: (True, True),
}
"""Point -> whether output has been written, and whether it is visible."""


class Standstill:
    """One armed point of one worker, from its making until `reached`."""

    def __init__(
        self, point: CrashPoint, child: Child, log: Log, jobs: Sequence[Job], checkpoints: Mapping[str, Checkpoint]
    ) -> None:
        self._point, self._child, self._log = point, child, log
        self._jobs = {job.name: job for job in jobs}
        self._checkpoints = checkpoints
        self._before: dict[str, Grown] = {}

    async def arm(self) -> None:
        """Make the next batch stand still at the point."""
        self._before = {name: await asyncio.to_thread(self._grown, name) for name in self._jobs}
        await self._child.request("arm", within=_ARM_WITHIN, point=self._point.value)

    async def reached(self, *, within: timedelta) -> Reached:
        """Wait until a batch holds, stop the whole process group, and look. Raises `Deadline` if it is not so."""
        deadline = time.monotonic() + within.total_seconds()
        parked = Parked(**await self._child.request("reached", within=within))
        self._child.pause()
        committed = self._checkpoints[parked.job].has(Journal.COMMITTED, parked.batch)
        while True:
            before, now = self._before[parked.job], await asyncio.to_thread(self._grown, parked.job)
            try:
                says = evidence(self._point, parked, before, now, committed=committed)
                return Reached(evidence=says, hidden=now.visible == before.visible)
            except Deadline:
                if time.monotonic() > deadline:
                    raise
            # A commit returns before its markers are written.
            await asyncio.sleep(_LOOK_EVERY_S)

    def _grown(self, name: str) -> Grown:
        table = table_of(self._checkpoints[name].path)
        if table.exists():
            return Grown(None, batches(table))
        job = self._jobs[name]
        places = [(job.output, n) for n in range(job.partitions)]
        written, visible = (sum(self._log.ends(places, committed=level).values()) for level in (False, True))
        return Grown(written, visible)


def evidence(point: CrashPoint, parked: Parked, before: Grown, now: Grown, *, committed: bool) -> str:
    """Say where a held batch stands, by what is seen from outside. Raises `Deadline` if that contradicts the point.

    `committed`: whether Spark has recorded the batch.
    """
    visible = now.visible - before.visible
    written = _WANTED[point][0] if now.written is None or before.written is None else now.written > before.written
    says = (
        f"{parked.job}: batch {parked.batch} holds with {parked.wrote} of {parked.rows} rows written, the output has "
        f"{'grown' if visible else 'not grown'} for a reader, its commit is {'there' if committed else 'absent'}"
    )
    if (written, visible > 0) != _WANTED[point] or committed:
        raise Deadline(f"A batch was to stand still at {point.value}, but {says}.")
    return says


def batches(table: Path) -> int:
    """Return how many batches a table's marker says are in it; the first batch makes it."""
    if not table.exists():
        return 0
    with contextlib.closing(sqlite3.connect(table)) as base:
        found = base.execute("select coalesce(sum(batch + 1), 0) from marker").fetchone()
    return int(found[0])
