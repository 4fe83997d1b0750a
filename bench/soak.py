"""`python -m bench soak`: kill a running count again and again, at moments of chance, and count its answers.

Events flow all the while. Each kill is a SIGKILL of one worker or of all, wherever they happen to be; then the state is
kept, lost, or put back to what it was at an earlier kill, or the other workers take over and a new one joins. A bounce
restarts the broker instead (`bench/bouncing.py`). In the end every key must have been counted up to what is on the
input, and no row may have come twice.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from statistics import median

import msgspec

from bench.bouncing import SETTLE_WITHIN, Bounce, Bouncing, Input, read_all
from bench.measure import open_log
from bench.plan import InvalidPlan, check_address
from bench.runs import Run, create
from engines import registry
from engines.broker.kraft import Broker, RunningBroker
from engines.broker.log import KafkaLog
from engines.contract import (
    Declaration,
    Deployment,
    Job,
    Log,
    Profile,
    RunDirs,
    Settings,
    Status,
    Support,
)
from engines.errors import Deadline, EngineFailed
from engines.process import remove_dir, scratch_dir
from engines.wire import row_decoder
from semantics.checkers.delivery import Finding, Judgement, Outcome, judge_counts
from semantics.pipeline import Aggregate, Emit, Source
from semantics.rows import ValueRow

COUNT = Aggregate(Source(), emit=Emit.UPDATE)
PARTITIONS = 4
KILLS = 30
"""How many, if nothing else is asked for."""
LONGEST_S = 0.5
"""Between a start and the next kill, at most."""
Say = Callable[[str], None]


class Fate(Enum):
    """What becomes of the killed, and of their state."""

    KEPT = "restarted, state kept"
    WIPED = "restarted, state lost"
    ROLLED_BACK = "restarted, state of an earlier kill"
    TAKEN_OVER = "others take over, a new one joins"


class Fault(Enum):
    """What a soak finds besides wrong counts."""

    ENDED = "a worker ended, though nobody had killed it"


class Tally(msgspec.Struct, kw_only=True):
    """What was done."""

    kills: Counter[str] = msgspec.field(default_factory=Counter)
    """By fate."""
    struck: int = 0
    """Kills that left a transaction open on the output."""
    bounces: list[Bounce] = []
    ended: list[str] = []
    """Workers that ended of themselves, and after what."""
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
    input: Input
    bouncing: Bouncing | None
    tally: Tally

    async def run(self, kills: int, bounces: int, say: Say) -> Judgement:
        """Kill and bounce so often, in any order; settle, read all, and judge."""
        moments = [self._kill] * kills + [self._bounce] * bounces
        self.chance.shuffle(moments)
        async with self.input.flowing():
            for number, strike in enumerate(moments, 1):
                # The moment is what chance is for.
                await asyncio.sleep(self.chance.uniform(0, LONGEST_S))
                what = await strike()
                say(f"{number} of {len(moments)}: {what}")
        await self._revive("at the end")
        say("settling")
        ends = await asyncio.to_thread(self.input.ends)
        [settled] = (await self.deployment.settle({self.job.name: ends}, within=SETTLE_WITHIN)).values()
        missing = "" if settled.status is Status.SETTLED else f"it did not settle: {settled.detail}"
        await self.deployment.stop()
        say("judging")
        rows = [(key, count, 1) for key, count in await asyncio.to_thread(lambda: list(self._rows()))]
        sent = await asyncio.to_thread(self.input.sent)
        self.tally.rows, self.tally.events = len(rows), sent.total()
        times = {key: [0] * count for key, count in sent.items()}
        judged = judge_counts(rows, times, unsure={}, missing=missing, sink=self.declared.rules.sink)
        if not self.tally.ended:
            return judged
        fault = Finding(kind=Fault.ENDED, cases=len(self.tally.ended), witness=self.tally.ended[0])
        return replace(judged, outcome=Outcome.WRONG, findings=(*judged.findings, fault), reason="")

    async def _bounce(self) -> str:
        assert self.bouncing is not None
        failed: EngineFailed | None = None
        try:
            what = await self.bouncing.bounce()
        except EngineFailed as error:
            failed = error
        if ended := await self._revive(f"after bounce {self.bouncing.begun} of the broker"):
            return ended
        if failed is not None:
            raise failed
        return what

    async def _revive(self, when: str) -> str:
        """Start again the workers that ended of themselves, take note of them, and return it."""
        dead = [process for process in self.deployment.processes() if not process.alive()]
        if not dead:
            return ""
        told = [f"{process.role} {when}" for process in dead]
        self.tally.ended += told
        for process in dead:
            await asyncio.to_thread(process.kill)
        await self.deployment.restart()
        return f"ended: {', '.join(told)}"

    async def _kill(self) -> str:
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
        return f"{fate.value}; {self.tally.struck} in an open transaction"

    def _fates(self, survivors: int) -> Sequence[Fate]:
        if survivors:
            return [Fate.TAKEN_OVER] if self.declared.takeover.support is Support.NATIVE else [Fate.KEPT]
        return [Fate.KEPT, Fate.WIPED, *([Fate.ROLLED_BACK] if self._earlier.exists() else [])]

    @property
    def _earlier(self) -> Path:
        return self.dirs.state.with_name("earlier")

    def _rows(self) -> Iterator[tuple[str, int]]:
        decode = row_decoder(COUNT)
        with KafkaLog(self.log.bootstrap) as log:
            ends = log.ends([(self.job.output, number) for number in range(PARTITIONS)])
        for message in read_all(self.log.bootstrap, ends):
            row = decode(message.value or b"")
            assert isinstance(row, ValueRow)
            count = dict(row.values)["n"]
            assert isinstance(count, int)
            yield row.key or "", count


def _put(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How often to strike at what. `kills`: None for the usual number, or none if the broker is bounced."""

    engine: str
    kills: int | None = None
    bounces: int = 0
    away_s: float = 0.0
    workers: int = 1
    broker: str | None = None
    output: Path
    seed: int

    def strikes(self) -> int:
        """Return how many kills. Raises `InvalidPlan`, also for what else cannot be done."""
        kills = (0 if self.bounces else KILLS) if self.kills is None else self.kills
        if kills < 0 or self.bounces < 0 or not kills + self.bounces or self.workers < 1:
            raise InvalidPlan(
                f"{kills} kills, {self.bounces} bounces, {self.workers} workers: a soak needs a kill or a bounce, and "
                f"a worker."
            )
        if self.away_s < 0:
            raise InvalidPlan(f"The broker cannot stay away for {self.away_s:g} s: 0 is the least.")
        if self.bounces and self.broker:
            raise InvalidPlan("A bounce restarts the embedded broker, not yours: leave out --broker or --bounces.")
        engine, variant = registry.require(self.engine)
        declared = engine.declaration(variant)
        if self.workers > 1 and declared.takeover.support is not Support.NATIVE:
            raise InvalidPlan(f"{self.engine} has no workers to choose the number of: {declared.takeover.reason}.")
        check_address(self.broker)
        return kills


def main(asked: Asked, say: Say) -> int:
    """Soak one engine; print what came of it; return the exit code. Raises `InvalidPlan`, `EnvironmentNotReady`."""
    kills = asked.strikes()
    told = {
        "command": "soak",
        "engine": asked.engine,
        "kills": kills,
        "bounces": asked.bounces,
        "away_s": asked.away_s,
        "workers": asked.workers,
    }
    run = create(asked.output, told, seed=asked.seed)
    with open_log(asked.broker, run, say) as (log, broker):
        tally, judgement = asyncio.run(_soak(asked, run, log, broker, kills, say))
    run.append("soak", {"engine": asked.engine, **msgspec.to_builtins(tally), **msgspec.to_builtins(judgement)})
    run.close()
    _show(tally, kills, asked)
    print(f"{asked.engine}: {judgement.outcome.value}, {judgement.repeats} rows repeated {judgement.reason}".rstrip())
    for finding in judgement.findings:
        print(f"  {finding}")
    print(f"seed {asked.seed}; record: {run.path}")
    return {Outcome.RIGHT: 0, Outcome.WRONG: 1, Outcome.UNDECIDED: 3}[judgement.outcome]


def _show(tally: Tally, kills: int, asked: Asked) -> None:
    for fate, count in sorted(tally.kills.items()):
        print(f"{count:5} x {fate}")
    if asked.bounces:
        killed = sum(bounce.killed for bounce in tally.bounces)
        waits = sorted(bounce.first_row_s for bounce in tally.bounces)
        print(
            f"{len(waits)} of {asked.bounces} bounces of the broker ({killed} by SIGKILL), {len(tally.ended)} workers "
            f"ended; first row {median(waits or [0.0]):.1f} s after its return, at most {max(waits, default=0.0):.1f} s"
        )
    print(f"{kills} kills, {tally.struck} in an open transaction; {tally.events} events, {tally.rows} rows")


async def _soak(
    asked: Asked, run: Run, log: Log, broker: RunningBroker, kills: int, say: Say
) -> tuple[Tally, Judgement]:
    engine, variant = registry.require(asked.engine)
    topic = f"weir-{run.path.name}-soak"
    job = Job(topic, COUNT, {"in": f"{topic}-in"}, f"{topic}-out", f"{topic}-dead", PARTITIONS)
    scratch = scratch_dir("soak")
    dirs = RunDirs(logs=run.logs, durable=scratch / "durable", state=scratch / "state")
    for path in (dirs.durable, dirs.state):
        path.mkdir()
    try:
        await asyncio.to_thread(log.create, dict.fromkeys([job.inputs["in"], job.output, job.dead_letters], PARTITIONS))
        settings = Settings(variant=variant, workers=asked.workers, profile=Profile.BENCH)
        async with await engine.deploy([job], log=log, dirs=dirs, settings=settings) as deployment:
            chance = random.Random(asked.seed)  # noqa: S311  (chance is to be repeatable)
            input = Input(log, job, chance)
            declared, tally, bouncing = engine.declaration(variant), Tally(), None
            if isinstance(broker, Broker):
                bouncing = Bouncing(broker, input, deployment, job, asked.away_s, tally.bounces)
            soak = Soak(deployment, declared, job, log, dirs, asked.workers, chance, input, bouncing, tally)
            try:
                return tally, await soak.run(kills, asked.bounces, say)
            except (EngineFailed, Deadline) as error:
                return tally, Judgement(outcome=Outcome.UNDECIDED, reason=str(error))
    finally:
        await asyncio.to_thread(remove_dir, scratch)
