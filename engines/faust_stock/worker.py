"""The program in the child process: a plain Faust worker with an agent a job, told what to do in JSON lines on stdin.

    python -m engines.faust_stock.worker PLAN.json

Verbs: `settle`, `state`, `arm`, `reached`. SIGTERM or the end of stdin: stop as Faust stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import faust
from faust.types import TP

from engines.answering import Answer, Answering
from engines.errors import EngineFailed
from engines.faust_stock import plan
from engines.faust_stock.compile import agent
from engines.faust_stock.gate import Gate
from semantics.timeline import CrashPoint

Places: TypeAlias = Mapping[str, int]
"""'topic/partition' -> offset."""
LOOK_EVERY_S = 0.01
"""Faust tells nobody when it has committed; its offsets are looked at, which costs nothing beside its intervals."""


class Control:
    """Answers requests on one Faust app."""

    def __init__(self, told: plan.Plan, answering: Answering) -> None:
        self._told, self._answering = told, answering
        self.gate = Gate()
        self.app = _app(told)
        self._tables = {job.name: agent(self.app, job, self.gate) for job in told.jobs}
        self.app.task(self.serve)

    async def serve(self) -> None:
        """Say that we are ready, then answer until stdin ends."""
        await self._ready()
        await self._answering.serve({"jobs": len(self._told.jobs)}, self._do)

    async def _ready(self) -> None:
        """Wait for the assignment of every input, and for the end of recovery."""
        wanted = {TP(job.input, partition) for job in self._told.jobs for partition in range(job.partitions)}
        while not wanted <= self.app.consumer.assignment():  # noqa: ASYNC110  (Faust has no event for it)
            await asyncio.sleep(LOOK_EVERY_S)
        await self.app.tables.recovery.completed.wait()

    async def _do(self, request: Answer) -> Answer:
        match request["do"]:
            case "settle":
                return await self._settle(request["ends"], request["within_s"])
            case "state":
                return self._size(request["job"])
            case "arm":
                self.gate.armed = point = CrashPoint(request["point"])
                if point is CrashPoint.AFTER_SINK:
                    self.app.consumer.commit = self.gate.hold
                return {}
            case "reached":
                await self.gate.standstill(request["ends"])
                if self.gate.armed is CrashPoint.AFTER_PROGRESS:
                    await self._committed(request["ends"])
                return {"processed": self.gate.reached}
            case unknown:
                raise EngineFailed(f"The worker does not know how to {unknown!r}.")

    async def _settle(self, ends: Mapping[str, Places], within_s: float) -> Answer:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._committed(ends)
                for job in ends:
                    await self.gate.acknowledged(job)
        return {
            job: {
                "positions": (at := {place: self._position(place) for place in places}),
                "settled": all(at[place] >= end for place, end in places.items()),
                "rows": self._size(job)["rows"],
            }
            for job, places in ends.items()
        }

    async def _committed(self, ends: Mapping[str, Places]) -> None:
        wanted = [(place, end) for places in ends.values() for place, end in places.items()]
        while any(self._position(place) < end for place, end in wanted):  # noqa: ASYNC110  (nor for that)
            await asyncio.sleep(LOOK_EVERY_S)

    def _position(self, place: str) -> int:
        """Return what Faust has committed of a partition, as it keeps it since the broker has said so."""
        topic, _, partition = place.rpartition("/")
        return self.app.consumer._committed_offset.get(TP(topic, int(partition))) or 0

    def _size(self, job: str) -> Answer:
        """Return the size of the job's Table. What a restore would read, only the changelog tells."""
        table = self._tables[job]
        if table is None:
            return {"rows": 0, "live_bytes": 0, "disk_bytes": 0, "restore_bytes": 0}
        store = getattr(table, "table", table).data
        rows = [len(key) + len(value) for key, value in store._iteritems()]
        files = [path for db in store._dbs for path in store.partition_path(db).rglob("*") if path.is_file()]
        disk = sum(path.stat().st_size for path in files)
        return {"rows": len(rows), "live_bytes": sum(rows), "disk_bytes": disk, "restore_bytes": None}


def _app(told: plan.Plan) -> faust.App:
    return faust.App(
        told.group,
        broker=";".join(f"kafka://{address}" for address in told.bootstrap.split(",")),
        store="rocksdb://",
        datadir=told.data_dir,
        processing_guarantee=told.guarantee,
        broker_commit_interval=told.commit_interval_s,
        consumer_group_instance_id=told.member,
        # All topics are there already, with the settings that Faust would give them.
        topic_allow_declare=False,
        topic_disable_leader=True,
        # Else an event that was never acknowledged (an agent's exception) would keep the worker from ending.
        stream_wait_empty=False,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )


def main() -> None:
    """Run until told to end."""
    answering = Answering()
    told = plan.read(Path(sys.argv[1]))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    control = Control(told, answering)
    worker = faust.Worker(control.app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
