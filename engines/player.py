"""Plays expectations on an engine, many at a time, and returns what was observed.

A wave is one deployment with one job an expectation, all scripts side by side: step 1 of all, settle, step 2 of all...
(`engines/waves.py`). One that dies is played again one by one, so that a bad job costs only itself. A job that an
exception ends is played once more, alone: the same exception twice is no accident.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec

from engines.contract import (
    Deployment,
    Engine,
    Job,
    Log,
    Message,
    Place,
    RunDirs,
    Settings,
    Settled,
    Status,
    Support,
)
from engines.errors import Deadline, EngineFailed, UnsupportedPipeline
from engines.journal import Journal
from engines.nemesis import strike
from engines.process import remove_dir, scratch_dir
from engines.waves import beats, waves
from engines.wire import encode_event, row_decoder, sentinel
from semantics import history as seen
from semantics.expectation import Expectation
from semantics.pipeline import sources
from semantics.rows import Row
from semantics.time import T0_US
from semantics.timeline import (
    SENTINEL_KEY,
    Crash,
    Event,
    Flush,
    Idle,
    Raw,
    Restart,
    Scale,
    Send,
    partitions,
)

SETTLE_WITHIN = timedelta(seconds=60)
"""For a wave's step: a cold JVM's first stateful batch takes about 4 s, a restart after a kill about 8 s."""
STABLE_WITHIN = timedelta(seconds=15)
"""For the markers of the last commit, which take milliseconds, or for the broker to abort what a dead worker left."""
Progress = Callable[[str], None]


@dataclass(slots=True)
class _Part:
    """One expectation in a wave: its job, how far its output was read, what was seen."""

    expectation: Expectation
    job: Job
    decode: Callable[[bytes], Row]
    ends: dict[Place, int] = field(default_factory=dict)
    sent: dict[tuple[str, int, int], tuple[int, bytes | None]] = field(default_factory=dict)
    """Topic, partition, offset -> the step in which it was sent, and its value."""
    read: dict[Place, int] = field(default_factory=dict)
    entries: list[seen.Entry] = field(default_factory=list)
    done: bool = False


_Play = tuple[_Part, int]
"""A part and the number of the step that it plays now."""


class Player:
    """Plays on one engine (variant) and one log, journaling what it sees.

    `prefix` begins every name that is made on the log, so that runs on a shared broker do not meet.
    """

    def __init__(
        self,
        engine: Engine,
        variant: str,
        log: Log,
        *,
        logs: Path,
        journal: Journal,
        prefix: str = "",
        progress: Progress = lambda _: None,
    ) -> None:
        self.engine = engine
        self.variant = variant
        self.name = f"{engine.name}:{variant}" if variant else engine.name
        self.log = log
        self.logs = logs
        self.journal = journal
        self.prefix = prefix
        self.progress = progress
        self.declaration = engine.declaration(variant)
        self.took: list[tuple[str, float]] = []
        """Deployments so far: folder of logs and expectations, seconds with all of its topics and processes."""
        self._deployments = 0

    async def play(self, expectations: Iterable[Expectation]) -> dict[str, seen.History]:
        """Play them all; return their histories by id."""
        histories: dict[str, seen.History] = {}
        runnable: list[Expectation] = []
        alone: list[Expectation] = []
        for expectation in expectations:
            capability = self.declaration.can(expectation.pipeline, expectation.timeline)
            if capability.error and capability.at_start:
                alone.append(expectation)
            elif capability.support in (Support.NOT_IMPLEMENTED, Support.UNSUPPORTED) and not capability.error:
                entry = seen.NotRun(support=capability.support.value, reason=capability.reason)
                self.journal.write(self.name, expectation.id, [entry])
                histories[expectation.id] = seen.History(expectation.id, self.name, (entry,))
            else:
                runnable.append(expectation)
        plan = [*waves(runnable, self.declaration.together), *([expectation] for expectation in alone)]
        for number, wave in enumerate(plan, 1):
            for part in await self._wave(wave, f"{self.name}: wave {number}/{len(plan)}, {_named(wave)}"):
                histories[part.expectation.id] = seen.History(part.expectation.id, self.name, tuple(part.entries))
        return histories

    async def _wave(self, wave: Sequence[Expectation], says: str, again: seen.Again | None = None) -> list[_Part]:
        """Play one wave; if it dies as a whole, play its members alone, once."""
        self._deployments += 1
        parts = [self._part(expectation) for expectation in wave]
        for part in parts:
            if again is not None:
                self._record(part, again)
        scratch = scratch_dir("run")
        logs = self.logs / f"{self.name.replace(':', '-')}-{self._deployments}"
        dirs = RunDirs(logs=logs, durable=scratch / "durable", state=scratch / "state")
        for path in (dirs.logs, dirs.durable, dirs.state):
            path.mkdir(parents=True)
        began = time.monotonic()
        died: EngineFailed | Deadline | UnsupportedPipeline | None = None
        try:
            await self._create_topics(parts)
            elastic = any(isinstance(step, Scale) for expectation in wave for step in expectation.timeline)
            settings = Settings(variant=self.variant, elastic=elastic)
            self.progress(f"{says}: deploying")
            async with await self.engine.deploy(
                [part.job for part in parts], log=self.log, dirs=dirs, settings=settings
            ) as deployment:
                planned = beats([expectation.timeline for expectation in wave])
                for number, beat in enumerate(planned, 1):
                    self.progress(f"{says}: step {number} of {len(planned)}")
                    await self._step(deployment, [(parts[at], step) for at, step in beat if not parts[at].done])
                await deployment.stop()
                await self._read_rest(parts)
        except (EngineFailed, Deadline, UnsupportedPipeline) as error:
            died = error
        finally:
            await asyncio.to_thread(remove_dir, scratch)
            self.took.append((f"{logs.name}: {_named(wave)}", time.monotonic() - began))
        if died is not None and len(wave) > 1:
            self.progress(f"{says}: died, playing its members alone: {died}")
            again = seen.Again(reason=str(died))
            alone = [await self._wave([expectation], f"{says}, {expectation.id} alone", again) for expectation in wave]
            return [part for parts in alone for part in parts]
        if died is not None:
            self._record(parts[0], _ending(parts[0], died))
        return [await self._confirmed(part, says) for part in parts]

    async def _confirmed(self, part: _Part, says: str) -> _Part:
        """Play a job once more, alone, if an exception ended it; the judge compares both exceptions."""
        first, last = part.entries[0], part.entries[-1]
        confirming = isinstance(first, seen.Again) and first.exception
        if confirming or not isinstance(last, seen.Undecided) or not last.exception:
            return part
        id = part.expectation.id
        self.progress(f"{says}: {id} ended with {last.exception}, playing it again alone")
        again = seen.Again(reason=last.reason, exception=last.exception)
        [played] = await self._wave([part.expectation], f"{says}, again", again)
        return played

    def _part(self, expectation: Expectation) -> _Part:
        name = f"{self.prefix}{self.name.replace(':', '-')}-{expectation.id.lower()}-{self._deployments}"
        count = partitions(expectation.timeline)
        inputs = {source.name: f"{name}-{source.name}" for source in sources(expectation.pipeline)}
        job = Job(name, expectation.pipeline, inputs, f"{name}-out", f"{name}-dead", count)
        part = _Part(expectation, job, row_decoder(expectation.pipeline))
        part.ends = {(topic, partition): 0 for topic in inputs.values() for partition in range(count)}
        return part

    async def _create_topics(self, parts: Sequence[_Part]) -> None:
        topics: dict[str, int] = {}
        for part in parts:
            for topic in (*part.job.inputs.values(), part.job.output, part.job.dead_letters):
                topics[topic] = part.job.partitions
        await asyncio.to_thread(self.log.create, topics)

    async def _step(self, deployment: Deployment, playing: Sequence[_Play]) -> None:
        """Play one step of every script that is not done, and wait until each of them has settled."""
        if not playing:
            return
        harm = _harm(playing)
        if isinstance(harm, Crash):
            await deployment.arm(harm.point)
            return
        if isinstance(harm, Restart):
            await deployment.restart(wipe_state=harm.wipe_state)
            for part, step in playing:
                self._record(part, seen.Restarted(step=step, wiped=harm.wipe_state))
        if isinstance(harm, Scale):
            await deployment.scale(harm.workers)
            for part, step in playing:
                self._record(part, seen.Scaled(step=step, workers=harm.workers))
        await self._send(playing)
        part, step = playing[0]
        before = part.expectation.timeline[step - 1] if step else None
        if isinstance(before, Crash):
            struck = await strike(deployment, before, step=step, within=SETTLE_WITHIN)
            self._record(part, struck)
            if before.takeover:
                left = sum(worker.alive() for worker in deployment.processes())
                await deployment.scale(left)
                self._record(part, seen.Scaled(step=step, workers=left))
            else:
                await deployment.restart(wipe_state=before.wipe_state)
                self._record(part, seen.Restarted(step=step, wiped=before.wipe_state))
        steps = [part.expectation.timeline[step] for part, step in playing]
        idle = max((step.duration for step in steps if isinstance(step, Idle)), default=timedelta(0))
        if idle:
            await deployment.pass_time(idle)
        asked = {part.job.name: part.ends for part, _ in playing}
        answers = await deployment.settle(asked, within=SETTLE_WITHIN)
        await self._read(playing, answers)

    async def _send(self, playing: Sequence[_Play]) -> None:
        batches: dict[Place, list[Message]] = defaultdict(list)
        owners: dict[Place, tuple[_Part, int, str]] = {}
        for part, step in playing:
            for event in _events(part, step):
                place = part.job.inputs[event.input], event.partition
                batches[place].append(encode_event(event))
                owners[place] = part, step, event.input
        if not batches:
            return
        ends = await asyncio.to_thread(self.log.append, batches)
        for place, end in ends.items():
            part, step, input = owners[place]
            part.ends[place] = end
            first = end - len(batches[place])
            for offset, message in enumerate(batches[place], first):
                part.sent[*place, offset] = step, message.value
            self._record(part, seen.Sent(step=step, input=input, partition=place[1], first=first, end=end))

    async def _read(self, playing: Sequence[_Play], answers: Mapping[str, Settled]) -> None:
        ranges: dict[Place, tuple[int, int]] = {}
        settled = [part for part, _ in playing if answers[part.job.name].status is Status.SETTLED]
        for part in settled:
            for place, end in answers[part.job.name].ends.items():
                if end > part.read.get(place, 0):
                    ranges[place] = part.read.get(place, 0), end
        found = await asyncio.to_thread(self.log.read, ranges) if ranges else {}
        for part, step in playing:
            answer = answers[part.job.name]
            if answer.status is Status.REFUSED:
                part.done = True
                self._record(part, seen.Refused(error=answer.error, message=answer.detail))
                continue
            if answer.status is not Status.SETTLED:
                part.done = True
                reason = f"{answer.status.value} in step {step + 1}: {answer.detail}"
                exception = answer.error if answer.status is Status.FAILED else ""
                self._record(part, seen.Undecided(step=step, reason=reason, exception=exception))
                continue
            for place in answer.ends:
                for message in found.get(place, ()):
                    for row in self._rows(part, message):
                        entry = seen.Seen(step=step, row=row, partition=place[1], offset=message.offset)
                        self._record(part, entry)
                part.read[place] = max(part.read.get(place, 0), answer.ends[place])
            told = answer.progress
            watermark = None if told.watermark_us is None else told.watermark_us - T0_US
            self._record(
                part,
                seen.Settled(
                    step=step,
                    watermark_us=watermark,
                    late=told.late,
                    dead=told.dead,
                    dup=told.duplicates,
                    state=told.state_rows,
                ),
            )

    async def _read_rest(self, parts: Sequence[_Part]) -> None:
        """After the graceful stop: whatever comes out now had not been visible when its step was said to be settled."""
        playing = [part for part in parts if not part.done]
        topics = [topic for part in playing for topic in (part.job.output, part.job.dead_letters)]
        lanes = {topic: part.job.partitions for part in playing for topic in (part.job.output, part.job.dead_letters)}
        ends = await self._stable([(topic, lane) for topic in topics for lane in range(lanes[topic])])
        read = {place: at for part in playing for place, at in part.read.items()}
        ranges = {place: (read.get(place, 0), end) for place, end in ends.items() if end > read.get(place, 0)}
        found = await asyncio.to_thread(self.log.read, ranges) if ranges else {}
        for part in playing:
            rest = [row for (topic, _), messages in found.items() if topic == part.job.output
                    for message in messages for row in self._rows(part, message)]  # fmt: skip
            if rest:
                self._record(part, seen.Unseen(rows=tuple(rest)))
            dead = [_letter(part, message) for (topic, _), messages in found.items() if topic == part.job.dead_letters
                    for message in messages]  # fmt: skip
            self._record(part, seen.DeadLetters(letters=tuple(dead)))

    async def _stable(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """Return the ends once nothing stands open behind them: a commit returns before its markers are written."""
        deadline = time.monotonic() + STABLE_WITHIN.total_seconds()
        while True:
            committed, written = await asyncio.gather(
                asyncio.to_thread(self.log.ends, places), asyncio.to_thread(self.log.ends, places, committed=False)
            )
            open_ones = [f"{place[0]}/{place[1]}" for place in places if committed[place] < written[place]]
            if not open_ones:
                return committed
            if time.monotonic() > deadline:
                raise EngineFailed(f"{self.name} stopped and left transactions open on {', '.join(open_ones)}.")
            await asyncio.sleep(0.01)

    def _rows(self, part: _Part, message: Message) -> list[Row]:
        try:
            row = part.decode(message.value or b"")
        except msgspec.MsgspecError as error:
            raise EngineFailed(f"{self.name} wrote a row that cannot be read ({error}): {message.value!r}") from error
        return [] if row.key == SENTINEL_KEY else [row]

    def _record(self, part: _Part, entry: seen.Entry) -> None:
        part.entries.append(entry)
        self.journal.write(self.name, part.expectation.id, [entry])


def _harm(playing: Sequence[_Play]) -> Crash | Restart | Scale | None:
    """Return what this beat does to the deployment; all that play it ask for the same."""
    part, step = playing[0]
    harm = part.expectation.timeline[step]
    return harm if isinstance(harm, Crash | Restart | Scale) else None


def _events(part: _Part, step: int) -> tuple[Event | Raw, ...]:
    match part.expectation.timeline[step]:
        case Send(events):
            return events
        case Flush(time_us):
            return tuple(sentinel(i, p, time_us) for i in part.job.inputs for p in range(part.job.partitions))
    return ()


def _letter(part: _Part, message: Message) -> seen.Letter:
    """Hold a dead letter against the record that it names."""
    said = {name: (value or b"").decode(errors="replace") for name, value in message.headers}
    topic, partition, offset = (said.get(name, "") for name in ("topic", "partition", "offset"))
    where = (topic, int(partition), int(offset)) if partition.isdecimal() and offset.isdecimal() else ("", 0, 0)
    step, value = part.sent.get(where, (None, None))
    input = next((name for name, inputs in part.job.inputs.items() if inputs == topic), topic or "?")
    return seen.Letter(
        reason=said.get("reason", ""),
        record=f"{input}/{partition or '?'}@{offset or '?'}",
        step=step,
        intact=step is not None and message.value == value,
    )


def _ending(part: _Part, error: Exception) -> seen.Entry:
    if isinstance(error, UnsupportedPipeline):
        return seen.Refused(error=error.error, message=error.message)
    exception = error.exception if isinstance(error, EngineFailed) else ""
    return seen.Undecided(step=_last_step(part), reason=str(error), exception=exception)


def _last_step(part: _Part) -> int:
    return max((entry.step for entry in part.entries if hasattr(entry, "step")), default=0)


def _named(wave: Sequence[Expectation]) -> str:
    return wave[0].id if len(wave) == 1 else f"{len(wave)} expectations"
