"""`python -m bench compare`: the main job. Expectations and benchmarks, all in one run folder.

By default the core expectations and a short benchmark on Faust and Spark; with `--all` every expectation on every
engine and variant that can run here, every planted bug as a negative control, and every scenario.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from bench import matrix, report
from bench.foretold import declarations
from bench.measure import begin, benchmark, open_log
from bench.plan import SCENARIOS, Plan
from bench.runs import Run
from bench.show import show
from bench.suite import Suite
from bench.tables import catches
from engines import registry
from engines.contract import Log
from scenarios.scenario import Scenario
from semantics.catalogue import all_expectations
from semantics.expectation import Expectation

ENGINES = ("faust", "spark")
RATE, DURATION_S = 2000, 20
WARMUP_S = 15.0
"""Short of what a JVM needs, so that all takes under five minutes: the figures are headed as a smoke test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is compared."""

    played: tuple[str, ...]
    """Engines (and variants) that play the expectations."""
    expectations: tuple[Expectation, ...]
    benched: tuple[str, ...]
    """Engines that are measured."""
    scenarios: tuple[Scenario, ...]
    controls: bool
    """Whether the planted bugs are played too, each of which must be caught."""


def core() -> Extent:
    """Return what every newcomer should see, in minutes."""
    return Extent(
        played=ENGINES,
        expectations=tuple(expectation for expectation in all_expectations() if expectation.core),
        benched=ENGINES,
        scenarios=(SCENARIOS["running-count"],),
        controls=False,
    )


def everything() -> Extent:
    """Return all there is, for the engines that can run here."""
    installed = registry.installed()
    variants = [name for name, _ in declarations() if name.partition(":")[0] in installed]
    return Extent(
        played=tuple(dict.fromkeys([*installed, *variants])),
        expectations=all_expectations(),
        benched=installed,
        scenarios=tuple(SCENARIOS.values()),
        controls=True,
    )


def main(*, broker: str | None, output: Path, seed: int, extent: Extent) -> int:
    """Run it and print matrix, deviations, figures and where the record is; return the exit code.

    Raises `UnknownName`, `EnvironmentNotReady`, `BrokerUnavailable`.
    """
    plan = Plan(
        engines=extent.benched,
        scenario=extent.scenarios[0],
        rate=RATE,
        duration_s=DURATION_S,
        warmup_s=WARMUP_S,
        partitions=2,
        broker=broker,
        output=output,
        seed=seed,
    )
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {text}", file=sys.stderr, flush=True)

    run = begin(plan)
    run.manifest["arguments"] |= {"command": "compare", "scenario": [work.name for work in extent.scenarios]}
    parts = f"{len(extent.expectations)} expectations and {len(extent.scenarios)} benchmarks"
    say(f"{parts} on {', '.join(extent.played)}; record in {run.path}")
    caught: dict[str, list[str]] = {}
    with open_log(broker, run, say) as (log, running):
        suite = Suite(run, kafka=lambda: log, progress=say)
        cells = asyncio.run(_play(suite, extent))
        suite.close()
        if extent.controls:
            say("playing the planted bugs")
            caught = _controls(run, log)
        plans = [replace(plan, scenario=work) for work in extent.scenarios]
        figures = [asyncio.run(benchmark(each, run, log, running, say)) for each in plans]
    run.close()
    say(f"report in {report.write(run.path)}")
    _print(cells, caught)
    for each in figures:
        show(each)
    failed = any(verdict.value.fails for column in cells.values() for verdict in column.values())
    toothless = any(not ids for ids in caught.values())
    codes = {each.exit_code for each in figures}
    # A wrong answer outweighs one that could not be decided.
    return 1 if failed or toothless or 1 in codes else max(codes)


async def _play(suite: Suite, extent: Extent) -> matrix.Cells:
    played = {name: await suite.run(name, extent.expectations) for name in extent.played}
    return {name: {id: result.verdict for id, result in results.items()} for name, results in played.items()}


def _controls(run: Run, log: Log) -> dict[str, list[str]]:
    """Play the planted bugs, and keep what caught each beside the verdicts: a lie by design is no engine's verdict."""
    caught = asyncio.run(catches(log))
    for engine, ids in caught.items():
        run.append("controls", {"engine": engine, "caught_by": ids})
    return caught


def _print(cells: matrix.Cells, caught: Mapping[str, Sequence[str]]) -> None:
    console = Console()
    console.print(matrix.table(cells))
    for engine, column in cells.items():
        console.print(f"{engine}: {matrix.counts(column.values())}", highlight=False)
    for line in matrix.deviations(cells):
        console.print(line, highlight=False, markup=False)
    if caught:
        missed = [engine for engine, ids in caught.items() if not ids]
        console.print(f"planted bugs: {len(caught) - len(missed)} of {len(caught)} caught", highlight=False)
        for engine in missed:
            console.print(f"{engine}: NOT CAUGHT by any expectation", highlight=False, markup=False)
    console.print()
