"""The program in the child process: a Faust worker with our tasks, told what to do in JSON lines on stdin.

    python -m engines.faust.worker PLAN.json

Verbs: `settle`, `state`, `arm`, `reached`. SIGTERM or the end of stdin: commit what is open, close, exit 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, TypeAlias

import faust
import msgspec

from engines.contract import Profile
from engines.errors import EngineFailed
from engines.faust import guard, plan, writer
from engines.faust.books import Standing
from engines.faust.runtime import Runtime
from engines.faust.task import Task
from semantics.timeline import CrashPoint

Answer: TypeAlias = dict[str, Any]
COLLECT_EVERY_S = 5.0
"""Between two collections of garbage cycles under load: hand-made, because a collection in mid-chunk costs more than
everything else there, and what a chunk makes holds no cycles."""


class Worker(faust.Worker):  # type: ignore[misc]  # untyped base
    """Faust's worker, without the second that it sleeps at its end."""

    async def _sentinel_task(self) -> None:
        await asyncio.sleep(0)


class Control:
    """Answers requests on the runtime."""

    def __init__(self, runtime: Runtime, answers: IO[bytes]) -> None:
        self._runtime, self._answers = runtime, answers
        self._asked: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Say that we are ready, then answer until stdin ends."""
        await self._runtime.ready.wait()
        gc.collect()
        gc.freeze()
        self._say({"ready": {"tasks": len(self._runtime.tasks)}})
        reader = asyncio.StreamReader(limit=1 << 26)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            asked = asyncio.create_task(self._answer(msgspec.json.decode(line)))
            self._asked.add(asked)
            asked.add_done_callback(self._asked.discard)
        os.kill(os.getpid(), signal.SIGTERM)

    async def _answer(self, request: Answer) -> None:
        number = request["id"]
        try:
            self._say({"id": number, "ok": await self._do(request)})
        except Exception as error:
            self._say({"id": number, "error": str(error), "class": type(error).__name__})

    async def _do(self, request: Answer) -> Answer:
        match request["do"]:
            case "settle":
                await self._runtime.settled(request["ends"], request["within_s"])
                return {"tasks": [_standing(task) for job in request["ends"] for task in self._runtime.of(job)]}
            case "state":
                return self._size(request["job"])
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

    def _say(self, answer: Answer) -> None:
        self._answers.write(msgspec.json.encode(answer) + b"\n")
        self._answers.flush()


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


async def _collect() -> None:
    """Collect cycles now and then, instead of whenever enough objects have been made."""
    gc.disable()
    while True:
        await asyncio.sleep(COLLECT_EVERY_S)
        gc.collect()


def main() -> None:
    """Run until told to end."""
    # Only our answers may go to the pipe that is stdout: whatever else a library prints goes to the log.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    guard.check_shapes()
    # About eight files a task; the usual soft limit of 1024 would end at 125 tasks.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    writer.tune()
    told = plan.read(Path(sys.argv[1]))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    runtime = Runtime(told)
    control = Control(runtime, answers)
    app = runtime.app
    app.task(control.serve)
    if told.profile is Profile.BENCH:
        app.task(_collect)

    async def close(*_: Any, **__: Any) -> None:
        await runtime.close()

    app.on_before_shutdown.connect(close)
    worker = Worker(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
