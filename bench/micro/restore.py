"""How fast a worker reads its state from the log when the disk is lost: a restart with the state, and one without."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from bench.micro.measure import DONE_WITHIN, WrongAnswer, inputs_of, messages, produce, producer
from bench.micro.work import PARTITIONS
from engines import registry
from engines.contract import Deployment, Job, Log, Profile, RunDirs, Settings, Status
from engines.errors import Deadline
from engines.process import remove_dir, scratch_dir
from semantics.pipeline import Aggregate, Emit, Source
from semantics.timeline import Event

ROWS = 400_000
_COUNT = Aggregate(Source(), emit=Emit.UPDATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a lost disk cost beyond a restart that keeps it."""

    rows: int
    changelog_bytes: int
    """Keys and values."""
    with_state_s: float
    """From the stop to ready."""
    without_state_s: float
    cpu_us: float
    """A row, beyond what the restart with the state took."""

    def shown(self) -> str:
        return (
            f"{self.rows} rows ({self.changelog_bytes / 1e6:.1f} MB of keys and values) and is ready "
            f"{self.without_state_s:.2f} s after the order to restart, {self.with_state_s:.2f} s with its disk; "
            f"{self.cpu_us:.2f} CPU us a row"
        )


async def restore(engine_name: str, log: Log, logs: Path) -> Restored:
    """Run it once. Raises `WrongAnswer`, `EngineFailed`, `Deadline`."""
    name = f"weir-micro-{secrets.token_hex(4)}"
    job = Job(name, _COUNT, {"in": f"{name}-in"}, f"{name}-out", f"{name}-dead", PARTITIONS)
    await asyncio.to_thread(log.create, dict.fromkeys((job.inputs["in"], job.output, job.dead_letters), PARTITIONS))
    scratch = scratch_dir("micro")
    engine, variant = registry.get(engine_name)
    try:
        dirs = RunDirs(logs=logs / name, durable=scratch / "durable", state=scratch / "state")
        for path in (dirs.logs, dirs.durable, dirs.state):
            path.mkdir(parents=True)
        settings = Settings(variant=variant, profile=Profile.BENCH)
        async with await engine.deploy([job], log=log, dirs=dirs, settings=settings) as deployment:
            await _count_once_more(deployment, job, log)
            with_state_s, with_cpu_s = await _restart(deployment, wipe=False)
            without_state_s, without_cpu_s = await _restart(deployment, wipe=True)
            size = await deployment.state(job.name)
            if size.rows != ROWS:
                raise WrongAnswer(f"{size.rows} rows came back of {ROWS}.")
            await _count_once_more(deployment, job, log)
            last = await asyncio.to_thread(_last, log, job)
            if last != b'"n":2}':
                raise WrongAnswer(f"A key that was counted once is then counted as {last!r}.")
    finally:
        await asyncio.to_thread(remove_dir, scratch)
    return Restored(
        rows=ROWS, changelog_bytes=size.restore_bytes or 0, with_state_s=with_state_s, without_state_s=without_state_s,
        cpu_us=(without_cpu_s - with_cpu_s) / ROWS * 1e6,
    )  # fmt: skip


async def _count_once_more(deployment: Deployment, job: Job, log: Log) -> None:
    events = [Event(f"k{number:06d}", number, "", 1, "in", number % PARTITIONS) for number in range(ROWS)]
    await asyncio.to_thread(produce, producer(log), messages(job, events))
    ends = await asyncio.to_thread(log.ends, inputs_of(job))
    settled = (await deployment.settle({job.name: ends}, within=DONE_WITHIN))[job.name]
    if settled.status is not Status.SETTLED:
        raise Deadline(f"The count is {settled.status.value}: {settled.detail}")


async def _restart(deployment: Deployment, *, wipe: bool) -> tuple[float, float]:
    """Return the seconds until it was ready again, and the CPU seconds that its processes had used by then."""
    started = time.monotonic()
    await deployment.restart(wipe_state=wipe)
    return time.monotonic() - started, sum(process.cpu_seconds() for process in deployment.processes())


def _last(log: Log, job: Job) -> bytes:
    """Return how the last row of the output ends."""
    end = log.ends([(job.output, 0)])[job.output, 0]
    # The record of a transaction's commit, which is no row, comes last.
    [found] = log.read({(job.output, 0): (end - 3, end)}).values()
    return (found[-1].value or b"")[-6:]
