"""The oracle behind the engine contract: one task of the harness's own event loop that polls, computes and appends.

It reads in rounds. What a round finds of one partition is one batch, processed record by record in the order of the
log; positions move when its rows are appended.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import msgspec

from engines.contract import (
    Declaration,
    Job,
    Log,
    Message,
    Place,
    ProcessHandle,
    Profile,
    Progress,
    Reached,
    RunDirs,
    Settings,
    Settled,
    StateSize,
    Status,
)
from engines.errors import UnsupportedPipeline
from engines.process import exception_in
from engines.reference import bugs, declaration
from engines.reference.declaration import NO_CRASH
from engines.wire import dead_letter, encode_row
from semantics.errors import WeirError
from semantics.oracle import Machine, Parts, Task
from semantics.pipeline import Absence, Timer, nodes, sources
from semantics.rules import CONTRACT
from semantics.time import T0_US
from semantics.timeline import CrashPoint, Raw

PAUSE_S = 0.01
"""Between rounds, unless there is more to read. A batch is what came in meanwhile: long enough for `lost-update` to
find two updates of one key among 10 000 within a second at 2000 events a second, too short to slow down a script."""
MOST_IN_ROUND = 1000
"""Records of one partition in a round, and rows in one append: they fit the broker's 1 MiB batch."""

NOTHING: Mapping[int, int] = MappingProxyType({})

log_to = logging.getLogger(__name__)


class _Work:
    """One job: its machine, how far it has read and written, what it counted since the last settle."""

    def __init__(self, job: Job, parts: Parts, clock: Callable[[], float]) -> None:
        self.job, self._clock = job, clock
        self.machine = Machine(job.pipeline, CONTRACT, job.partitions, parts)
        lanes = range(job.partitions)
        self.positions: dict[Place, int] = {(topic, lane): 0 for topic in job.inputs.values() for lane in lanes}
        self.ends: dict[Place, int] = {(job.output, lane): 0 for lane in lanes}
        self.late = self.dup = self.dead = 0
        self.failure = ""
        self._input_of = {topic: input for input, topic in job.inputs.items()}
        self._patience_s = {
            job.inputs[source.name]: source.idle_after.total_seconds()
            for source in sources(job.pipeline)
            if source.idle_after is not None
        }
        self._idle_at = {place: self._patient_until(place) for place in self.positions}
        self._has_timers = any(isinstance(n, Absence) and n.timer is Timer.PROCESSING_TIME for n in nodes(job.pipeline))
        self._looked_at = clock()

    def pass_time(self) -> list[dict[Place, list[Message]]]:
        """Let timers know what time it is; return what is to be appended."""
        if not self._has_timers:
            return []
        before, self._looked_at = self._looked_at, self._clock()
        passed_us = int((self._looked_at - before) * 1e6)
        for task in self.machine.tasks:
            task.pass_time(passed_us)
        return [self._said(task, task.lanes[0]) for task in self.machine.tasks]

    def looked(self, since: float) -> bool:
        """Return whether timers have been looked after since an instant, if there are any."""
        return not self._has_timers or self._looked_at >= since

    def overdue(self) -> list[Place]:
        """Return the partitions from which nothing has come for as long as makes them idle."""
        now = self._clock()
        return [place for place, at in self._idle_at.items() if at <= now]

    def hush(self, place: Place) -> dict[Place, list[Message]]:
        """Leave an idle partition out; return what is to be appended."""
        self._idle_at[place] = math.inf
        return self._said(self.machine.hush(self._input_of[place[0]], place[1]), place[1])

    def _patient_until(self, place: Place) -> float:
        return self._clock() + self._patience_s.get(place[0], math.inf)

    def process(self, place: Place, messages: Sequence[Message]) -> dict[Place, list[Message]]:
        """Compute one batch of one partition; return what is to be appended."""
        topic, lane = place
        raws = [Raw(message.value or b"", self._input_of[topic], lane) for message in messages]
        self._idle_at[place] = self._patient_until(place)
        came = {id(raw): message.offset for raw, message in zip(raws, messages, strict=True)}
        return self._said(self.machine.feed(lane, raws), lane, came)

    def _said(self, task: Task, lane: int, came: Mapping[int, int] = NOTHING) -> dict[Place, list[Message]]:
        """Take from a task what it said; dead letters are of that lane, and of records with these offsets."""
        appended: dict[Place, list[Message]] = {
            (self.job.output, task.lanes[0]): [encode_row(row) for row in task.rows],
            (self.job.dead_letters, lane): [
                dead_letter(reason, (self.job.inputs[raw.input], lane), came[id(raw)], raw.value)
                for raw, reason in task.dead
                if isinstance(raw, Raw)
            ],
        }
        self.late += task.late
        self.dup += task.dup
        self.dead += len(task.dead)
        task.drain()
        return appended

    def settled(self) -> Settled:
        """Answer to a settle, and start counting anew."""
        watermark = self.machine.watermark
        progress = Progress(
            watermark_us=None if watermark is None else watermark + T0_US,
            late=self.late,
            duplicates=self.dup,
            dead=self.dead,
            state_rows=self.machine.held(),
        )
        self.late = self.dup = self.dead = 0
        return Settled(status=Status.SETTLED, ends=dict(self.ends), progress=progress)

    def snapshot(self) -> bytes:
        """Return state and positions: all that a new process needs."""
        return msgspec.json.encode(
            (
                [(*place, offset) for place, offset in self.positions.items()],
                [(*place, offset) for place, offset in self.ends.items()],
                (self.late, self.dup, self.dead),
                self.machine.dump(),
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """Take up where a snapshot was taken."""
        positions, ends, (self.late, self.dup, self.dead), machine = msgspec.json.decode(snapshot)
        self.positions = {(topic, lane): offset for topic, lane, offset in positions}
        self.ends = {(topic, lane): offset for topic, lane, offset in ends}
        self.machine.load(machine)


class ReferenceDeployment:
    """Running jobs. They have no process: nothing to kill, and a restart is a round trip of all state through bytes."""

    def __init__(self, jobs: Sequence[Job], log: Log, dirs: RunDirs, parts: Parts, profile: Profile) -> None:
        self._jobs = jobs
        self._passed_s = 0.0
        # A script's time passes when it says so: what it demands must not hang on how busy the machine is.
        self._clock: Callable[[], float] = (lambda: self._passed_s) if profile is Profile.SUITE else time.monotonic
        self._log = log
        self._snapshots: Path = dirs.durable
        self._parts = parts
        self._works: dict[str, _Work] = {}
        self._round_done = asyncio.Condition()
        self._stopping = False
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self) -> None:
        """Start from the newest snapshots, or from the beginning of the inputs."""
        self._works = {job.name: _Work(job, self._parts, self._clock) for job in self._jobs}
        for name, work in self._works.items():
            path = self._snapshot_path(name)
            if path.exists():
                work.restore(path.read_bytes())
        self._stopping = False
        self._running = asyncio.create_task(self._run(), name="reference")

    async def settle(self, ends: Mapping[str, Mapping[Place, int]], *, within: timedelta) -> Mapping[str, Settled]:
        def behind(name: str) -> list[str]:
            at = self._works[name].positions
            return [f"{p[0]}/{p[1]} at {at[p]} of {end}" for p, end in ends[name].items() if at[p] < end]

        asked_at = self._clock()

        def done() -> bool:
            works = [(self._works[name], behind(name)) for name in ends]
            return all(
                work.failure or (not left and not work.overdue() and work.looked(asked_at)) for work, left in works
            )

        async with self._round_done:
            try:
                async with asyncio.timeout(within.total_seconds()):
                    await self._round_done.wait_for(done)
            except TimeoutError:
                pass  # Each job's answer says whether it was in time.
            answers: dict[str, Settled] = {}
            for name in ends:
                work = self._works[name]
                if work.failure:
                    answers[name] = Settled(status=Status.FAILED, detail=work.failure, error=exception_in(work.failure))
                elif behind(name):
                    answers[name] = Settled(status=Status.DEADLINE, detail=f"consumed only {', '.join(behind(name))}")
                else:
                    answers[name] = work.settled()
            return answers

    async def state(self, job: str) -> StateSize:
        """Rows of state, and the bytes of their dump: it has no store on disk, and restores from a snapshot."""
        async with self._round_done:
            work = self._works[job]
            live_bytes = len(msgspec.json.encode(work.machine.dump()))
            return StateSize(rows=work.machine.held(), live_bytes=live_bytes, disk_bytes=None, restore_bytes=None)

    async def arm(self, point: CrashPoint) -> None:
        del point
        raise UnsupportedPipeline("NoProcess", declaration.NO_CRASH)

    async def reached(self, *, within: timedelta) -> Reached:
        del within
        raise UnsupportedPipeline("NoProcess", declaration.NO_CRASH)

    def processes(self) -> Sequence[ProcessHandle]:
        return ()

    async def stop(self) -> None:
        if self._running is None:
            return
        self._stopping = True
        await self._running
        self._running = None
        for name, work in self._works.items():
            if not work.failure:
                self._snapshot_path(name).write_bytes(work.snapshot())

    async def restart(self, *, wipe_state: bool = False) -> None:
        """Start again from what `stop` wrote; there is no local state to wipe."""
        del wipe_state
        await self.stop()
        self.start()

    async def pass_time(self, duration: timedelta) -> None:
        self._passed_s += duration.total_seconds()

    async def scale(self, workers: int) -> None:
        raise UnsupportedPipeline("NoWorkers", f"{workers} workers were asked for: {NO_CRASH}")

    async def _run(self) -> None:
        while not self._stopping:
            async with self._round_done:
                more = await asyncio.to_thread(self._round)
                self._round_done.notify_all()
            # Even if there is more: whoever waits for the condition must get its turn.
            await asyncio.sleep(0 if more else PAUSE_S)

    def _round(self) -> bool:
        """Read and process what is there; return whether there is more."""
        healthy = [work for work in self._works.values() if not work.failure]
        try:
            ends = self._log.ends([place for work in healthy for place in work.positions])
            ranges = {
                place: (at, min(ends[place], at + MOST_IN_ROUND))
                for work in healthy
                for place, at in work.positions.items()
                if ends[place] > at
            }
            found = self._log.read(ranges) if ranges else {}
        except WeirError as error:
            self._fail(healthy, str(error))
            return False
        for work in healthy:
            try:
                for rows in work.pass_time():
                    self._append(work, rows)
                for place in [place for place in work.positions if place in ranges]:
                    self._append(work, work.process(place, found[place]))
                    work.positions[place] = ranges[place][1]
                for place in work.overdue():
                    if work.positions[place] == ends[place]:
                        self._append(work, work.hush(place))
            except Exception:
                # A job that cannot go on must not stop the others; its next settle says why.
                self._fail([work], traceback.format_exc(limit=-3))
        return any(ends[place] > end for place, (_, end) in ranges.items())

    def _append(self, work: _Work, rows: Mapping[Place, Sequence[Message]]) -> None:
        batches: dict[int, dict[Place, Sequence[Message]]] = defaultdict(dict)
        for place, messages in rows.items():
            for at in range(0, len(messages), MOST_IN_ROUND):
                batches[at][place] = messages[at : at + MOST_IN_ROUND]
        for batch in batches.values():
            ends = self._log.append(batch)
            work.ends |= {place: end for place, end in ends.items() if place in work.ends}

    def _fail(self, works: Sequence[_Work], detail: str) -> None:
        for work in works:
            log_to.error("job %s failed: %s", work.job.name, detail)
            work.failure = detail

    def _snapshot_path(self, job: str) -> Path:
        return self._snapshots / f"{job}.snapshot.json"


class ReferenceEngine:
    """The engine `reference`, and with a bug planted `reference:<bug>`."""

    name = "reference"
    variants: Mapping[str, str] = declaration.VARIANTS
    needs_broker = False

    def missing(self) -> str:
        """Nothing: it needs no Java and no broker."""
        return ""

    def declaration(self, variant: str = "") -> Declaration:
        return declaration.declare(variant)

    async def deploy(self, jobs: Sequence[Job], *, log: Log, dirs: RunDirs, settings: Settings) -> ReferenceDeployment:
        deployment = ReferenceDeployment(jobs, log, dirs, bugs.parts(settings.variant), settings.profile)
        deployment.start()
        return deployment


ENGINE = ReferenceEngine()
