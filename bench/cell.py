"""One cell of a benchmark: one engine under one load, from empty topics to a judged result.

Generator and probe are processes of their own; this one only starts them, waits, and counts. Wrong answers void all
figures.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np

from bench import busy, load, memory, probe
from bench.busy import Others
from bench.evidence import Evidence
from bench.latency import percentiles, quarters, slip_gate
from bench.memory import Memory
from bench.plan import Plan, intended_ns
from bench.result import Figures, Result
from bench.runs import Run
from bench.spent import Spent, per_million, spent
from engines import registry
from engines.contract import (
    Declaration,
    Deployment,
    Engine,
    Job,
    Log,
    Profile,
    RunDirs,
    Settings,
    Settled,
    StateSize,
    Status,
    Support,
)
from engines.errors import BrokerRefused, BrokerUnavailable, Deadline, EngineFailed, UnsupportedPipeline
from engines.process import Child, remove_dir, scratch_dir
from semantics.checkers.delivery import Judgement, Outcome
from semantics.rules import Sink

READY_WITHIN = timedelta(seconds=60)
PREPARE_WITHIN = timedelta(microseconds=50)
"""For each event besides: a quiet machine takes ten."""
SETTLE_WITHIN = timedelta(seconds=120)
"""An engine that needs longer for its backlog did not sustain the load by any measure."""
READ_WITHIN_S = 30.0
"""What is committed is read in milliseconds; a transaction that hangs ends no sooner than its timeout."""
LEAD_NS = 300_000_000
"""From the word to the first event: time for the word to travel."""

Say = Callable[[str], None]


async def measure(
    plan: Plan, name: str, log: Log, broker_pid: int | None, run: Run, say: Say, number: int = 1
) -> Result:
    """Measure one engine for the `number`th time. A failure of the engine ends as an undecided result.

    `broker_pid`: process of the embedded broker; None if the broker is the user's.
    """
    engine, variant = registry.get(name)
    declared = engine.declaration(variant)
    cell = _Cell(plan, name, engine, variant, declared, log, broker_pid, run, say, number)
    outcome, reason, figures = Outcome.UNDECIDED, "", None
    others: Others | None = None
    capability = declared.capability(plan.scenario.pipeline, plan.partitions)
    if capability.support in (Support.NOT_IMPLEMENTED, Support.UNSUPPORTED):
        reason = f"not run ({capability.support.value}): {capability.reason}"
    else:
        try:
            cell.say("looking for other processes at work")
            others = await busy.probe()
            judgement, figures = await cell.run()
            outcome = judgement.outcome
            reason = judgement.reason or "; ".join(map(str, judgement.findings))
        except (EngineFailed, Deadline, UnsupportedPipeline, BrokerRefused, BrokerUnavailable) as error:
            reason = str(error)
    if figures is not None:
        # Right answers, but measured too inexactly to decide anything.
        reason = slip_gate(figures.slip_ns["p99"], figures.latency_ns["p50"])
        outcome = Outcome.UNDECIDED if reason else outcome
    result = Result(
        engine=name,
        scenario=plan.scenario.name,
        title=declared.title,
        versions=dict(declared.versions),
        warmup_s=cell.warmup_s,
        warmup_because="" if plan.warmup_s is not None else declared.warmup_because,
        guarantee=declared.rules.sink.value,
        run=number,
        others_before=others,
        outcome=outcome,
        reason=reason,
        figures=figures,
    )
    run.append("bench", msgspec.to_builtins(result))
    return result


class _Cell:
    """What one measurement works with."""

    def __init__(
        self,
        plan: Plan,
        name: str,
        engine: Engine,
        variant: str,
        declared: Declaration,
        log: Log,
        broker_pid: int | None,
        run: Run,
        say: Say,
        number: int,
    ) -> None:
        self.plan = plan
        self.name = name
        self.engine = engine
        self.variant = variant
        self.log = log
        self._broker_pid = broker_pid
        self._say = say
        self._resident: list[tuple[int, int]] = []
        """(nanoseconds from the start of the load, resident bytes of the engine)."""
        self.warmup_s = declared.warmup_s if plan.warmup_s is None else plan.warmup_s
        self.events = plan.events(self.warmup_s)
        label = f"{name.replace(':', '-')}-{plan.scenario.name}" + (f"-{number}" if number > 1 else "")
        self.folder = run.path / label
        self.logs = run.logs / label
        # The run's own name is in every topic: on a shared broker nobody else's can be meant.
        topic = f"weir-{run.path.name}-{label}"
        self.input, self.partitions = f"{topic}-in", range(plan.partitions)
        self.job = Job(
            topic,
            plan.scenario.pipeline,
            {plan.scenario.input.name: self.input},
            f"{topic}-out",
            f"{topic}-dead",
            plan.partitions,
        )

    def say(self, what: str) -> None:
        self._say(f"{self.name}: {what}")

    async def run(self) -> tuple[Judgement, Figures | None]:
        """Load the engine, settle it, read its output to the end, judge, count."""
        async with AsyncExitStack() as stack:
            dirs = self._dirs(stack)
            topics = dict.fromkeys((self.input, self.job.output, self.job.dead_letters), self.plan.partitions)
            await asyncio.to_thread(self.log.create, topics)
            self.say(f"preparing {self.events} events")
            generator, reader = self._generator(stack), self._reader(stack)
            ready = await generator.ready(within=READY_WITHIN + self.events * PREPARE_WITHIN)
            await reader.ready(within=READY_WITHIN)
            self.say("deploying")
            settings = Settings(variant=self.variant, profile=Profile.BENCH)
            deployment = await stack.enter_async_context(
                await self.engine.deploy([self.job], log=self.log, dirs=dirs, settings=settings)
            )
            start_ns, before, sent = await self._load(generator, deployment)
            self.say("settling")
            settled = await self._settle(deployment)
            # Until it has settled, not until the load ends: who falls behind must not look cheap.
            after = spent(deployment, self._broker_pid)
            planned_ns = start_ns + int((self.warmup_s + self.plan.duration_s) * 1e9)
            drain_s = (time.monotonic_ns() - planned_ns) / 1e9
            state = StateSize(rows=None, live_bytes=None, disk_bytes=None, restore_bytes=None)
            if settled.status is Status.SETTLED:
                state = await deployment.state(self.job.name)
                if self.plan.scenario.final:
                    self.say("closing the windows that are still open")
                    flushed = await generator.request("flush", within=timedelta(seconds=2 * load.FLUSH_S))
                    sent = msgspec.convert(flushed, load.Sent, strict=False)
                    settled = await self._settle(deployment)
            missing = await self._read(reader, settled)
            self.say("judging")
            evidence = self._evidence(start_ns, sent, missing)
            weighed = await asyncio.to_thread(evidence.weigh, Sink.EXACTLY_ONCE, int(self.warmup_s * 1e9))
            samples = weighed.samples
            if samples is None:
                return weighed.judgement, None
            np.save(self.folder / "latency.npy", samples.latency_ns)
            measured = len(samples.slip_ns)
            return weighed.judgement, Figures(
                samples=len(samples.latency_ns),
                events=self.events,
                rows=weighed.rows,
                latency_ns=percentiles(samples.latency_ns),
                quarters_p50_ns=quarters(samples.latency_ns),
                slip_ns=percentiles(samples.slip_ns),
                preferred=ready["preferred"],
                cpu_s_per_million=per_million(before.engine_s, after.engine_s, measured),
                broker_cpu_s_per_million=per_million(before.broker_s, after.broker_s, measured),
                # A broker that is not ours may run on this machine: nobody can tell it from others.
                others=None if self._broker_pid is None else busy.between(before.all, after.all),
                drain_s=drain_s,
                memory=self._memory(),
                state=state,
                keys=weighed.keys,
                repeats=weighed.judgement.repeats,
            )

    async def _load(self, generator: Child, deployment: Deployment) -> tuple[int, Spent, load.Sent]:
        """Let the generator run; return its start, the CPU used up to the end of the warm-up, and what was sent."""
        start_ns = time.monotonic_ns() + LEAD_NS
        within = timedelta(seconds=self.warmup_s + self.plan.duration_s + 2 * load.FLUSH_S)
        sending = asyncio.create_task(generator.request("run", within=within, start_ns=start_ns))
        sampling = asyncio.create_task(memory.sample(deployment, start_ns, self._resident))
        try:
            self.say(f"warming up for {self.warmup_s:g} s")
            await _until(start_ns + int(self.warmup_s * 1e9), sending)
            before = spent(deployment, self._broker_pid)
            self.say(f"measuring for {self.plan.duration_s:g} s")
            await _until(start_ns + int((self.warmup_s + self.plan.duration_s) * 1e9), sending)
            sent = msgspec.convert(await sending, load.Sent, strict=False)
        finally:
            sending.cancel()
            sampling.cancel()
        return start_ns, before, sent

    def _memory(self) -> Memory | None:
        """Keep the samples, and sum up those of the measured interval."""
        if not self._resident:
            return None
        samples = np.array(self._resident, dtype=np.int64)
        np.save(self.folder / "memory.npy", samples)
        return memory.over(samples, int(self.warmup_s * 1e9), int((self.warmup_s + self.plan.duration_s) * 1e9))

    async def _settle(self, deployment: Deployment) -> Settled:
        """Wait until the engine has consumed all that was written, events without an answer among them."""
        inputs = [(self.input, partition) for partition in self.partitions]
        ends = await asyncio.to_thread(self.log.ends, inputs, committed=False)
        return (await deployment.settle({self.job.name: ends}, within=SETTLE_WITHIN))[self.job.name]

    async def _read(self, reader: Child, settled: Settled) -> str:
        """Let the probe read to the end; return why rows may be missing."""
        ends: dict[int, int] = {}
        if settled.status is Status.SETTLED:
            outputs = [(self.job.output, partition) for partition in self.partitions]
            visible = await asyncio.to_thread(self.log.ends, outputs)
            # What came after the last due row must be read too: it could be a repeat.
            ends = {place[1]: max(settled.ends.get(place, 0), visible[place]) for place in outputs}
        within = timedelta(seconds=2 * READ_WITHIN_S)
        answer = await reader.request("until", within=within, within_s=READ_WITHIN_S, ends=ends)
        if settled.status is not Status.SETTLED:
            return f"the engine did not settle ({settled.status.value}): {settled.detail}"
        return "" if answer["reached"] else f"of {ends} the reader saw only {answer['position']}"

    def _evidence(self, start_ns: int, sent: load.Sent, missing: str) -> Evidence:
        return Evidence(
            work=self.plan.scenario,
            seed=self.plan.seed,
            start_ns=start_ns,
            intended_ns=intended_ns(self.events, self.plan.rate),
            sent_ns=np.load(self.folder / "sent.npy"),
            digest=sent.digest,
            rows=np.load(self.folder / "rows.npy"),
            values=(self.folder / "rows.bin").read_bytes(),
            unsure=sent.unsure,
            missing=missing,
        )

    def _dirs(self, stack: AsyncExitStack) -> RunDirs:
        scratch = scratch_dir("bench")
        stack.callback(remove_dir, scratch)
        dirs = RunDirs(logs=self.logs, durable=scratch / "durable", state=scratch / "state")
        for path in (self.folder, dirs.logs, dirs.durable, dirs.state):
            path.mkdir(parents=True)
        return dirs

    def _generator(self, stack: AsyncExitStack) -> Child:
        task = load.Task(
            bootstrap=self.log.bootstrap,
            topic=self.input,
            partitions=self.plan.partitions,
            scenario=self.plan.scenario.file or self.plan.scenario.name,
            seed=self.plan.seed,
            rate=self.plan.rate,
            count=self.events,
            sent=str(self.folder / "sent.npy"),
        )
        return self._child(stack, "load", task)

    def _reader(self, stack: AsyncExitStack) -> Child:
        task = probe.Task(
            bootstrap=self.log.bootstrap,
            topic=self.job.output,
            partitions=self.plan.partitions,
            rows=str(self.folder / "rows.npy"),
            values=str(self.folder / "rows.bin"),
        )
        return self._child(stack, "probe", task)

    def _child(self, stack: AsyncExitStack, role: str, task: msgspec.Struct) -> Child:
        argv = [sys.executable, "-m", f"bench.{role}", msgspec.json.encode(task).decode()]
        child = Child(role, argv, log=self.logs / f"{role}.log", talk=True)
        stack.callback(child.kill)
        return child


async def _until(moment_ns: int, sending: asyncio.Task[dict[str, Any]]) -> None:
    """Let time pass up to a moment of the schedule; a generator that fails before ends it."""
    ahead_s = (moment_ns - time.monotonic_ns()) / 1e9
    done, _ = await asyncio.wait({sending}, timeout=max(ahead_s, 0))
    for task in done:
        task.result()
