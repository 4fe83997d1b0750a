"""One cell of a benchmark: one engine under one load, from empty topics to a judged result.

Generator and probe are processes of their own; this one only starts them, waits, judges and counts. What an engine got
wrong voids all its figures.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench import latency, load, probe
from bench.plan import Plan
from bench.runs import Run
from engines import registry
from engines.contract import Deployment, Job, Log, Profile, RunDirs, Settings, StateSize, Status, Support
from engines.errors import BrokerUnavailable, Deadline, EngineFailed, UnsupportedPipeline
from engines.process import Child, remove_dir, scratch_dir
from scenarios.scenario import Keys, Scenario, occurrences
from semantics.checkers.delivery import Judgement, Outcome, judge_counts
from semantics.pipeline import sources

READY_WITHIN = timedelta(seconds=120)
"""To prepare ten million events takes about a minute."""
SETTLE_WITHIN = timedelta(seconds=120)
"""An engine that needs longer for its backlog did not sustain the load by any measure."""
READ_WITHIN_S = 30.0
LEAD_NS = 300_000_000
"""From the word to the first event: time for the word to travel."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured. Durations in nanoseconds are told as samples really taken; None: not measured, or too few."""

    samples: int
    """Events due after the warm-up; each is one latency."""
    latency_ns: dict[str, int | None]
    slip_ns: dict[str, int | None]
    """How late the generator itself was."""
    cpu_s_per_million: float | None
    """The engine's own processes, over the measured interval."""
    drain_s: float
    """From the last event due until the engine had settled."""
    state: StateSize
    keys: int
    """Distinct keys sent: the state rows that must be there."""
    repeats: int
    """Rows that came again, where the engine declares that they may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One engine's cell. Figures only if the answers were right."""

    engine: str
    title: str
    versions: dict[str, str]
    warmup_s: float
    warmup_because: str
    outcome: Outcome
    reason: str = ""
    """What was wrong, with witnesses, or why it is undecided."""
    figures: Figures | None = None


async def measure(plan: Plan, name: str, log: Log, run: Run, say: Say) -> Result:
    """Measure one engine. What fails in the engine ends as an undecided result, not as an exception."""
    engine, variant = registry.get(name)
    declared = engine.declaration(variant)
    cell = _Cell(
        plan=plan,
        name=name,
        warmup_s=declared.warmup_s if plan.warmup_s is None else plan.warmup_s,
        log=log,
        folder=run.path / name.replace(":", "-"),
        logs=run.logs,
    )
    outcome, reason, figures = Outcome.UNDECIDED, "", None
    capability = declared.capability(plan.scenario.pipeline, plan.partitions)
    if capability.support in (Support.NOT_IMPLEMENTED, Support.UNSUPPORTED):
        reason = f"not run ({capability.support.value}): {capability.reason}"
    else:
        try:
            judgement, figures = await cell.run(say)
            outcome = judgement.outcome
            reason = judgement.reason or "; ".join(str(finding) for finding in judgement.findings)
        except (EngineFailed, Deadline, UnsupportedPipeline, BrokerUnavailable) as error:
            reason = str(error)
    if figures is not None:
        # Right answers, measured too inexactly, decide nothing.
        reason = latency.slip_gate(figures.slip_ns["p99"], figures.latency_ns["p50"])
        outcome = Outcome.UNDECIDED if reason else outcome
    result = Result(
        engine=name,
        title=declared.title,
        versions=dict(declared.versions),
        warmup_s=cell.warmup_s,
        warmup_because="" if plan.warmup_s is not None else declared.warmup_because,
        outcome=outcome,
        reason=reason,
        figures=figures,
    )
    run.append("bench", msgspec.to_builtins(result))
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """What one measurement works with."""

    plan: Plan
    name: str
    warmup_s: float
    log: Log
    folder: Path
    logs: Path

    async def run(self, say: Say) -> tuple[Judgement, Figures | None]:
        """Load the engine, settle it, read its output to the end, judge, count."""
        plan, work, label = self.plan, self.plan.scenario, self.folder.name
        engine, variant = registry.get(self.name)
        # Rounded up: the schedule covers warm-up and measured time wholly.
        count = math.ceil(plan.rate * (self.warmup_s + plan.duration_s))
        (source,) = sources(work.pipeline)
        # The run's own name is in every topic: on a shared broker nobody else's can be meant.
        topic = f"weir-{self.folder.parent.name}-{label}"
        job = Job(
            topic,
            work.pipeline,
            {source.name: f"{topic}-in"},
            f"{topic}-out",
            f"{topic}-dead",
            plan.partitions,
        )
        self.folder.mkdir()
        async with AsyncExitStack() as stack:
            scratch = scratch_dir("bench")
            stack.callback(remove_dir, scratch)
            dirs = RunDirs(logs=self.logs / label, durable=scratch / "durable", state=scratch / "state")
            for path in (dirs.logs, dirs.durable, dirs.state):
                path.mkdir(parents=True)
            topics = dict.fromkeys((*job.inputs.values(), job.output, job.dead_letters), plan.partitions)
            await asyncio.to_thread(self.log.create, topics)

            say(f"{self.name}: preparing {count} events")
            reader = self._child(stack, "probe", dirs, self._probe_task(job))
            sender = self._child(stack, "load", dirs, self._load_task(job, count))
            await asyncio.gather(reader.ready(within=READY_WITHIN), sender.ready(within=READY_WITHIN))
            say(f"{self.name}: deploying")
            settings = Settings(variant=variant, profile=Profile.BENCH)
            deployment = await stack.enter_async_context(
                await engine.deploy([job], log=self.log, dirs=dirs, settings=settings)
            )

            start_ns = time.monotonic_ns() + LEAD_NS
            length = timedelta(seconds=self.warmup_s + plan.duration_s)
            within = length + timedelta(seconds=2 * load.FLUSH_S)
            sending = asyncio.create_task(sender.request("run", within=within, start_ns=start_ns))
            stack.callback(sending.cancel)
            say(f"{self.name}: warming up for {self.warmup_s:g} s")
            await _until(start_ns + int(self.warmup_s * 1e9), sending)
            cpu_before = _cpu(deployment)
            say(f"{self.name}: measuring for {plan.duration_s:g} s")
            end_ns = start_ns + int((self.warmup_s + plan.duration_s) * 1e9)
            await _until(end_ns, sending)
            cpu_after = _cpu(deployment)
            sent = msgspec.convert(await sending, load.Sent, strict=False)

            say(f"{self.name}: settling")
            ends = {(job.inputs[source.name], p): sent.ends.get(p, 0) for p in range(plan.partitions)}
            settled = (await deployment.settle({job.name: ends}, within=SETTLE_WITHIN))[job.name]
            drain_s = (time.monotonic_ns() - end_ns) / 1e9
            missing = ""
            if settled.status is not Status.SETTLED:
                missing = f"the engine did not settle ({settled.status.value}): {settled.detail}"
            outputs = [(job.output, partition) for partition in range(plan.partitions)]
            visible = await asyncio.to_thread(self.log.ends, outputs)
            answer = await reader.request(
                "until",
                within=timedelta(seconds=2 * READ_WITHIN_S),
                within_s=READ_WITHIN_S,
                # What came after settle must be read too: it could be a repeat.
                ends={place[1]: max(settled.ends.get(place, 0), visible[place]) for place in outputs},
            )
            if not answer["reached"]:
                missing = missing or f"the reader came no further than {answer['position']}"

            say(f"{self.name}: judging")
            observed = await asyncio.to_thread(self._observed, count, start_ns, sent.unsure, answer["strange"], missing)
            if observed.judgement.outcome is not Outcome.RIGHT:
                return observed.judgement, None
            samples = len(observed.latency_ns)
            cpu = None if cpu_before is None or cpu_after is None else (cpu_after - cpu_before) * 1e6 / samples
            return observed.judgement, Figures(
                samples=samples,
                latency_ns=latency.percentiles(observed.latency_ns),
                slip_ns=latency.percentiles(observed.slip_ns),
                cpu_s_per_million=cpu,
                drain_s=drain_s,
                state=await deployment.state(job.name),
                keys=observed.keys,
                repeats=observed.judgement.repeats,
            )

    def _observed(
        self, count: int, start_ns: int, unsure: dict[str, int], strange: Sequence[str], missing: str
    ) -> _Observed:
        """Judge the rows; if they are right, find the latency and slip of every event due after the warm-up."""
        keys = self.plan.scenario.draw(self.plan.seed, count)
        sent_ns: NDArray[np.int64] = np.load(self.folder / "sent.npy") + start_ns
        rows = np.load(self.folder / "rows.npy")
        sink = registry.get(self.name)[0].declaration(registry.get(self.name)[1]).rules.sink
        unknown = f"a row that is none of this scenario, {strange[0]}," if strange else ""
        names = [self.plan.scenario.key(index) for index in range(self.plan.scenario.keys)]
        judgement = judge_counts(
            (
                (names[key] if key >= 0 else unknown, number, received)
                for key, number, received in zip(
                    rows["key"].tolist(), rows["count"].tolist(), rows["received_ns"].tolist(), strict=True
                )
            ),
            sent_by_key(self.plan.scenario, keys, sent_ns),
            unsure=unsure,
            missing=missing,
            sink=sink,
        )
        empty = np.zeros(0, dtype=np.int64)
        if judgement.outcome is not Outcome.RIGHT:
            return _Observed(judgement=judgement, latency_ns=empty, slip_ns=empty, keys=0)
        due_ns = load.intended_ns(count, self.plan.rate)
        measured = due_ns >= int(self.warmup_s * 1e9)
        seen_ns = latency.first_reflections(keys, occurrences(keys), rows["key"], rows["count"], rows["received_ns"])
        visible_ns = (seen_ns - due_ns - start_ns)[measured]
        np.save(self.folder / "latency.npy", visible_ns)
        return _Observed(
            judgement=judgement,
            latency_ns=visible_ns,
            slip_ns=(sent_ns - due_ns - start_ns)[measured],
            keys=len(np.unique(keys)),
        )

    def _probe_task(self, job: Job) -> probe.Task:
        return probe.Task(
            bootstrap=self.log.bootstrap,
            topic=job.output,
            partitions=job.partitions,
            scenario=self.plan.scenario.name,
            rows=str(self.folder / "rows.npy"),
        )

    def _load_task(self, job: Job, count: int) -> load.Task:
        (topic,) = job.inputs.values()
        return load.Task(
            bootstrap=self.log.bootstrap,
            topic=topic,
            scenario=self.plan.scenario.name,
            seed=self.plan.seed,
            rate=self.plan.rate,
            count=count,
            sent=str(self.folder / "sent.npy"),
        )

    def _child(self, stack: AsyncExitStack, role: str, dirs: RunDirs, task: msgspec.Struct) -> Child:
        argv = [sys.executable, "-m", f"bench.{role}", msgspec.json.encode(task).decode()]
        child = Child(role, argv, log=dirs.logs / f"{role}.log", talk=True)
        stack.callback(child.kill)
        return child


@dataclass(frozen=True, slots=True, kw_only=True)
class _Observed:
    judgement: Judgement
    latency_ns: NDArray[np.int64]
    slip_ns: NDArray[np.int64]
    keys: int


def sent_by_key(work: Scenario, keys: Keys, sent_ns: NDArray[np.int64]) -> dict[str, list[int]]:
    """Return for each key that was sent the times of its events, ascending."""
    order = np.argsort(keys, kind="stable")
    present, starts = np.unique(keys[order], return_index=True)
    return {
        work.key(int(index)): times.tolist()
        for index, times in zip(present, np.split(sent_ns[order], starts[1:]), strict=True)
    }


async def _until(moment_ns: int, sending: asyncio.Task[dict[str, object]]) -> None:
    """Let time pass up to a moment of the schedule; a generator that fails before ends it."""
    ahead = (moment_ns - time.monotonic_ns()) / 1e9
    done, _ = await asyncio.wait({sending}, timeout=max(ahead, 0))
    for task in done:
        task.result()


def _cpu(deployment: Deployment) -> float | None:
    """Return the CPU seconds of the engine's processes so far; None if it has none of its own."""
    processes = deployment.processes()
    return sum(process.cpu_seconds() for process in processes) if processes else None
