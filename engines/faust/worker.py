"""The program in the child process: a Faust worker with our tasks, told what to do in JSON lines on stdin.

    python -m engines.faust.worker PLAN.json

Verbs: `settle`, `state`, `pass_time`, `arm`, `reached`. SIGTERM or the end of stdin: commit what is open, close,
exit 0.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import faust

from engines.answering import Answer, Answering
from engines.contract import Profile
from engines.errors import EngineFailed
from engines.faust import garbage, guard, plan, provision, writer
from engines.faust.books import Standing
from engines.faust.runtime import Runtime
from engines.faust.task import FATAL_EXIT, Task
from semantics.timeline import CrashPoint


class Worker(faust.Worker):  # type: ignore[misc]  # untyped base
    """Faust's worker, without the second that it sleeps at its end."""

    async def _sentinel_task(self) -> None:
        await asyncio.sleep(0)


class Control:
    """Answers requests on the runtime."""

    def __init__(self, runtime: Runtime, answering: Answering) -> None:
        self._runtime, self._answering = runtime, answering

    async def serve(self) -> None:
        """Say that we are ready, then answer until stdin ends."""
        await self._runtime.ready.wait()
        garbage.freeze()
        await self._answering.serve({"tasks": len(self._runtime.tasks)}, self._do)

    async def _do(self, request: Answer) -> Answer:
        match request["do"]:
            case "settle":
                await self._runtime.settled(request["ends"], request["within_s"])
                return {"tasks": [_standing(task) for job in request["ends"] for task in self._runtime.of(job)]}
            case "state":
                return self._size(request["job"])
            case "pass_time":
                self._runtime.pass_time(request["seconds"])
                return {}
            case "arm":
                self._runtime.points.arm(CrashPoint(request["point"]) if request["point"] else None)
                return {}
            case "reached":
                parked = await self._runtime.points.standstill(self._runtime.busy)
                return {"parked": [asdict(at) for at in parked]}
            case unknown:
                raise EngineFailed(f"The worker does not know how to {unknown!r}.")

    def _size(self, job: str) -> Answer:
        tasks = self._runtime.of(job)
        for task in tasks:
            if not task.busy:
                task.store.save()
        sizes = [task.store.size() for task in tasks]
        return {
            "rows": sum(rows for rows, _, _ in sizes),
            "live_bytes": sum(live for _, live, _ in sizes),
            "disk_bytes": sum(disk for _, _, disk in sizes),
            "restore_bytes": sum(task.logged_bytes for task in tasks),
        }


def _standing(task: Task) -> Standing:
    committed, stage = task.committed, task.stage
    return Standing(
        stage=stage.name,
        partition=task.partition,
        positions={f"{topic}/{task.partition}": offset for topic, offset in committed.positions.items()},
        end=task.ends.get(f"{stage.output}/{task.partition}", 0),
        commits=committed.commits,
        heard={
            stage.feeds[input]: {at: mark.commit for at, mark in marks.items()}
            for input, marks in committed.marks.items()
        },
        watermark_us=task.watermark,
        late=committed.late,
        duplicates=committed.duplicates,
        dead=committed.dead,
        rows=committed.rows,
        restored=task.restored,
    )


def main() -> None:
    """Run until told to end."""
    answering = Answering()
    guard.check_shapes()
    writer.tune()
    told = plan.read(Path(sys.argv[1]))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    runtime = Runtime(told)
    control = Control(runtime, answering)
    app = runtime.app
    app.before_start = partial(provision.check, told.bootstrap, told.stages)
    app.task(control.serve)
    if told.profile is Profile.BENCH:
        app.task(partial(garbage.collect, runtime.ready))

    async def close(*_: Any, **__: Any) -> None:
        await runtime.close()

    app.on_before_shutdown.connect(close)
    worker = Worker(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    try:
        main()
    except SystemExit as ended:
        # Faust's worker has one code for every error: 1.
        sys.exit(FATAL_EXIT if ended.code else 0)
    except Exception:
        traceback.print_exc()
        sys.exit(FATAL_EXIT)
