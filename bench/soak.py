"""`python -m bench soak`: kill a running count again and again, at moments of chance, and count its answers.

Events flow all the while. Each kill is a SIGKILL of one worker or of all, wherever they happen to be; then the state is
kept, lost, or put back to what it was at an earlier kill, or the other workers take over and a new one joins. In the
end every key must have been counted up to what was sent, and no row may have come twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path

import msgspec

from bench.measure import open_log
from bench.plan import InvalidPlan, check_address
from bench.runs import Run, create
from engines import registry
from engines.contract import (
    Declaration,
    Deployment,
    Job,
    Log,
    Message,
    Place,
    Profile,
    RunDirs,
    Settings,
    Status,
    Support,
)
from engines.errors import Deadline, EngineFailed
from engines.process import remove_dir, scratch_dir
from engines.wire import encode_event, row_decoder
from semantics.checkers.delivery import Judgement, Outcome, judge_counts
from semantics.pipeline import Aggregate, Emit, Source
from semantics.rows import ValueRow
from semantics.timeline import Event

COUNT = Aggregate(Source(), emit=Emit.UPDATE)
KEYS, PARTITIONS = 40, 4
BATCH, EVERY_S = 20, 0.01
"""Events a batch, and the pause between two: some 2000 events a second."""
LONGEST_S = 0.5
"""Between a start and the next kill, at most."""
SETTLE_WITHIN = timedelta(seconds=120)
_READ_AT_ONCE = 50_000
Say = Callable[[str], None]


class Fate(Enum):
    """What becomes of the killed, and of their state."""

    KEPT = "restarted, state kept"
    WIPED = "restarted, state lost"
    ROLLED_BACK = "restarted, state of an earlier kill"
    TAKEN_OVER = "others take over, a new one joins"


class Tally(msgspec.Struct, kw_only=True):
    """What was done."""

    kills: Counter[str] = msgspec.field(default_factory=Counter)
    """By fate."""
    struck: int = 0
    """Kills that left a transaction open on the output."""
    events: int = 0
    rows: int = 0


@dataclass(slots=True)
class Soak:
    """One engine under fire. `chance` draws victims, moments and fates."""

    deployment: Deployment
    declared: Declaration
    job: Job
    log: Log
    dirs: RunDirs
    workers: int
    chance: random.Random
    tally: Tally = field(default_factory=Tally)
    sent: Counter[str] = field(default_factory=Counter)
    ends: dict[Place, int] = field(default_factory=dict)

    async def run(self, kills: int, say: Say) -> Judgement:
        """Kill so often, settle, read all, and judge."""
        async with self._events():
            for number in range(1, kills + 1):
                # The moment of the kill is what chance is for.
                await asyncio.sleep(self.chance.uniform(0, LONGEST_S))
                fate = await self._kill()
                say(f"kill {number} of {kills}: {fate.value}; {self.tally.struck} in an open transaction")
        say("settling")
        [settled] = (await self.deployment.settle({self.job.name: self.ends}, within=SETTLE_WITHIN)).values()
        missing = "" if settled.status is Status.SETTLED else f"it did not settle: {settled.detail}"
        await self.deployment.stop()
        say("judging")
        rows = [(key, count, 1) for key, count in await asyncio.to_thread(lambda: list(self._rows()))]
        self.tally.rows, self.tally.events = len(rows), self.sent.total()
        sent = {key: [0] * count for key, count in self.sent.items()}
        return judge_counts(rows, sent, unsure={}, missing=missing, sink=self.declared.rules.sink)

    @contextlib.asynccontextmanager
    async def _events(self) -> AsyncIterator[None]:
        """Send events all the while."""

        async def send() -> None:
            while True:
                batches: dict[Place, list[Message]] = {}
                for key in self.chance.choices(range(KEYS), k=BATCH):
                    place = self.job.inputs["in"], key % PARTITIONS
                    batches.setdefault(place, []).append(encode_event(Event(f"k{key}", 0)))
                    self.sent[f"k{key}"] += 1
                self.ends.update(await asyncio.to_thread(self.log.append, batches))
                await asyncio.sleep(EVERY_S)

        sending = asyncio.create_task(send())
        try:
            yield
        finally:
            if sending.done():
                sending.result()
            # A batch in flight is waited for: it counts as sent.
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _kill(self) -> Fate:
        living = [process for process in self.deployment.processes() if process.alive()]
        victims = living if self.chance.random() < 0.5 or len(living) == 1 else [self.chance.choice(living)]
        await asyncio.gather(*(asyncio.to_thread(victim.kill) for victim in victims))
        outputs = [(self.job.output, partition) for partition in range(PARTITIONS)]
        stable, written = self.log.ends(outputs), self.log.ends(outputs, committed=False)
        self.tally.struck += any(stable[place] < written[place] for place in outputs)
        fate = self.chance.choice(self._fates(len(living) - len(victims)))
        self.tally.kills[fate.value] += 1
        match fate:
            case Fate.TAKEN_OVER:
                await self.deployment.scale(len(living) - len(victims))
                await self.deployment.scale(self.workers)
            case Fate.ROLLED_BACK:
                await asyncio.to_thread(_put, self._earlier, self.dirs.state)
                await self.deployment.restart()
            case Fate.KEPT | Fate.WIPED:
                if len(victims) == len(living) and self.chance.random() < 0.2:
                    await asyncio.to_thread(_put, self.dirs.state, self._earlier)
                await self.deployment.restart(wipe_state=fate is Fate.WIPED)
        return fate

    def _fates(self, survivors: int) -> Sequence[Fate]:
        if survivors:
            return [Fate.TAKEN_OVER] if self.declared.takeover.support is Support.NATIVE else [Fate.KEPT]
        return [Fate.KEPT, Fate.WIPED, *([Fate.ROLLED_BACK] if self._earlier.exists() else [])]

    @property
    def _earlier(self) -> Path:
        return self.dirs.state.with_name("earlier")

    def _rows(self) -> Iterator[tuple[str, int]]:
        decode = row_decoder(COUNT)
        for place, end in self.log.ends([(self.job.output, number) for number in range(PARTITIONS)]).items():
            for first in range(0, end, _READ_AT_ONCE):
                for message in self.log.read({place: (first, min(first + _READ_AT_ONCE, end))})[place]:
                    row = decode(message.value or b"")
                    assert isinstance(row, ValueRow)
                    count = dict(row.values)["n"]
                    assert isinstance(count, int)
                    yield row.key or "", count


def _put(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def main(name: str, *, kills: int, workers: int, broker: str | None, output: Path, seed: int, say: Say) -> int:
    """Soak one engine; print what came of it; return the exit code. Raises `InvalidPlan`, `EnvironmentNotReady`."""
    if kills < 1 or workers < 1:
        raise InvalidPlan(f"{kills} kills of {workers} workers: both begin at 1.")
    engine, variant = registry.require(name)
    declared = engine.declaration(variant)
    if workers > 1 and declared.takeover.support is not Support.NATIVE:
        raise InvalidPlan(f"{name} has no workers to choose the number of: {declared.takeover.reason}.")
    check_address(broker)
    asked = {"command": "soak", "engine": name, "kills": kills, "workers": workers}
    run = create(output, asked, seed=seed)
    with open_log(broker, run, say) as (log, _):
        tally, judgement = asyncio.run(_soak(name, run, log, kills=kills, workers=workers, seed=seed, say=say))
    run.append("soak", {"engine": name, **msgspec.to_builtins(tally), **msgspec.to_builtins(judgement)})
    run.close()
    for fate, count in sorted(tally.kills.items()):
        print(f"{count:5} x {fate}")
    print(f"{kills} kills, {tally.struck} in an open transaction; {tally.events} events, {tally.rows} rows")
    print(f"{name}: {judgement.outcome.value}, {judgement.repeats} rows repeated {judgement.reason}".rstrip())
    for finding in judgement.findings:
        print(f"  {finding}")
    print(f"seed {seed}; record: {run.path}")
    return {Outcome.RIGHT: 0, Outcome.WRONG: 1, Outcome.UNDECIDED: 3}[judgement.outcome]


async def _soak(
    name: str, run: Run, log: Log, *, kills: int, workers: int, seed: int, say: Say
) -> tuple[Tally, Judgement]:
    engine, variant = registry.require(name)
    topic = f"weir-{run.path.name}-soak"
    job = Job(topic, COUNT, {"in": f"{topic}-in"}, f"{topic}-out", f"{topic}-dead", PARTITIONS)
    scratch = scratch_dir("soak")
    dirs = RunDirs(logs=run.logs, durable=scratch / "durable", state=scratch / "state")
    for path in (dirs.durable, dirs.state):
        path.mkdir()
    try:
        await asyncio.to_thread(log.create, dict.fromkeys([job.inputs["in"], job.output, job.dead_letters], PARTITIONS))
        settings = Settings(variant=variant, workers=workers, profile=Profile.BENCH)
        async with await engine.deploy([job], log=log, dirs=dirs, settings=settings) as deployment:
            declared = engine.declaration(variant)
            soak = Soak(deployment, declared, job, log, dirs, workers, random.Random(seed))  # noqa: S311  (chance is to be repeatable)
            try:
                return soak.tally, await soak.run(kills, say)
            except (EngineFailed, Deadline) as error:
                return soak.tally, Judgement(outcome=Outcome.UNDECIDED, reason=str(error))
    finally:
        await asyncio.to_thread(remove_dir, scratch)
