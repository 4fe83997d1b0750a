"""A whole benchmark: one broker, one run folder, one engine after the other, each on topics of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from bench import runs
from bench.cell import Say, measure
from bench.plan import Plan
from bench.result import Result
from engines import registry
from engines.broker.kraft import RunningBroker, open_broker
from engines.broker.log import KafkaLog
from engines.contract import Log
from engines.errors import BrokerUnavailable, EnvironmentNotReady
from semantics.checkers.delivery import Outcome
from semantics.errors import WeirError

EXIT = {Outcome.RIGHT: 0, Outcome.WRONG: 1, Outcome.UNDECIDED: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """What came out of a plan."""

    plan: Plan
    run: runs.Run
    results: tuple[Result, ...]
    left: str = ""
    """Why topics had to be left behind; empty if all is cleaned up."""

    @property
    def exit_code(self) -> int:
        """A wrong answer outweighs one that could not be decided."""
        outcomes = {result.outcome for result in self.results}
        return next(EXIT[o] for o in (Outcome.WRONG, Outcome.UNDECIDED, Outcome.RIGHT) if o in outcomes)

    def record(self) -> dict[str, Any]:
        """Return the machine-readable result."""
        return {
            "schema": runs.SCHEMA,
            "run": str(self.run.path),
            "heading": self.plan.heading,
            "seed": self.plan.seed,
            "arguments": arguments(self.plan),
            "host": self.run.manifest["host"],
            "versions": self.run.manifest["versions"],
            "results": msgspec.to_builtins(self.results),
        }


def arguments(plan: Plan) -> dict[str, Any]:
    """Return what is recorded of a plan. An allow-list: what is not named here is not written anywhere."""
    return {
        "engines": plan.engines,
        "scenario": plan.scenario.name,
        "scenario_file": plan.scenario.file,
        "rate": plan.rate,
        "duration_s": plan.duration_s,
        "warmup_s": plan.warmup_s,
        "partitions": plan.partitions,
        "broker": plan.broker or "embedded",
        "runs": plan.runs,
    }


def begin(plan: Plan) -> runs.Run:
    """Check that every engine can run here and open the run folder. Raises `EnvironmentNotReady`."""
    for name in plan.engines:
        registry.require(name)
    return runs.create(plan.output, arguments(plan), seed=plan.seed)


@contextmanager
def open_log(broker: str | None, run: runs.Run, say: Say) -> Iterator[tuple[Log, RunningBroker]]:
    """Yield a log and its broker: the user's, or an embedded one that ends with it. Raises `BrokerUnavailable`.

    A run folder in which nothing ran is discarded; what a broker of ours logged as it failed is kept.
    """
    say("starting the embedded broker" if broker is None else "asking the broker")
    try:
        with open_broker(broker, logs=run.logs) as running, KafkaLog(running.bootstrap) as log:
            run.manifest["versions"]["kafka"] = running.version
            yield log, running
    except (WeirError, OSError) as error:
        run.discard(logs=isinstance(error, EnvironmentNotReady))
        raise


async def benchmark(plan: Plan, run: runs.Run, log: Log, broker: RunningBroker, say: Say) -> Benchmark:
    """Measure one engine after the other, so that none disturbs another, as often as the plan says."""
    results = [await measure(plan, name, log, broker.pid, run, say, number) for name, number in plan.order()]
    return Benchmark(plan=plan, run=run, results=tuple(results))


def run_plan(plan: Plan, say: Say) -> Benchmark:
    """Run a whole plan and complete its record."""
    run, done = begin(plan), None
    try:
        with open_log(plan.broker, run, say) as (log, broker):
            done = asyncio.run(benchmark(plan, run, log, broker, say))
    except BrokerUnavailable as error:
        if done is None:
            raise
        # The broker went away during the run: the results say so already, and what is left on it must be told too.
        done = replace(done, left=str(error))
    run.close()
    return done
