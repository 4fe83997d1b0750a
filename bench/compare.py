"""`python -m bench compare`: the main job. The core expectations and a short benchmark, all in one run folder."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench import matrix
from bench.measure import begin, benchmark, open_log
from bench.plan import Plan, scenario
from bench.show import show
from bench.suite import Suite
from semantics.catalogue import all_expectations
from semantics.expectation import Expectation

ENGINES = ("faust", "spark")
RATE, DURATION_S = 2000, 20


def main(*, broker: str | None, output: Path, seed: int, engines: Sequence[str] = ENGINES) -> int:
    """Run it and print matrix, deviations, figures and where the record is; return the exit code.

    Raises `UnknownName`, `EnvironmentNotReady`, `BrokerUnavailable`.
    """
    plan = Plan(
        engines=tuple(engines),
        scenario=scenario("running-count"),
        rate=RATE,
        duration_s=DURATION_S,
        warmup_s=None,
        partitions=2,
        broker=broker,
        output=output,
        seed=seed,
    )
    core = [expectation for expectation in all_expectations() if expectation.core]
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {text}", file=sys.stderr, flush=True)

    run = begin(plan)
    say(f"{len(core)} expectations and a benchmark on {', '.join(engines)}; record in {run.path}")
    with open_log(broker, run, say) as log:
        suite = Suite(run, kafka=lambda: log, progress=say)
        cells = asyncio.run(_play(suite, core, engines))
        suite.close()
        figures = asyncio.run(benchmark(plan, run, log, say))
    run.close()
    console = Console()
    console.print(matrix.table(cells))
    for engine, column in cells.items():
        console.print(f"{engine}: {matrix.counts(column.values())}", highlight=False)
    for line in matrix.deviations(cells):
        console.print(line, highlight=False, markup=False)
    console.print()
    show(figures)
    failed = any(verdict.value.fails for column in cells.values() for verdict in column.values())
    return 1 if failed else figures.exit_code


async def _play(suite: Suite, core: Sequence[Expectation], engines: Sequence[str]) -> matrix.Cells:
    played = {name: await suite.run(name, core) for name in engines}
    return {name: {id: result.verdict for id, result in results.items()} for name, results in played.items()}
