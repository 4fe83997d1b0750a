"""How results look: tables on stdout, progress on stderr and only on a terminal. What is missing is said in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import figures
from bench.busy import busy
from bench.cell import Say
from bench.latency import unsteady
from bench.measure import Benchmark
from bench.result import Result
from semantics.checkers.delivery import Outcome

WIDTH = 140
"""Of tables in a file or a pipe, which have none of their own."""
_WORDS = {Outcome.RIGHT: "right", Outcome.WRONG: "WRONG", Outcome.UNDECIDED: "inconclusive"}


@contextmanager
def progress() -> Iterator[Say]:
    """Give a function that says what is being done now."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def say(what: str) -> None:
            bar.reset(task, description=what, total=None)

        yield say


def show(done: Benchmark) -> None:
    """Print the tables: answers and latency, then cost and state, then the remarks on single runs."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    if done.plan.heading:
        console.print(done.plan.heading, style="bold yellow", markup=False)
    for line in _setting(done):
        console.print(line, markup=False)
    console.print(done.plan.scenario.latency, style="bold", markup=False)
    engines = figures.grouped(msgspec.to_builtins(done.results))
    console.print(_latency_table(engines))
    measured = [runs for runs in engines if figures.measured(runs)]
    if measured:
        console.print("CPU of engine and broker, and the engine's state at the end", style="bold")
        console.print(_cost_table(measured))
    for result in done.results:
        name = f"{result.engine}, run {result.run}" if done.plan.runs > 1 else result.engine
        for line in _remarks(result):
            console.print(f"{name}: {line}", markup=False)
    if done.left:
        console.print(f"Not cleaned up: {done.left}", markup=False)
    console.print(f"Record: {done.run.path}", markup=False)


def _setting(done: Benchmark) -> Iterator[str]:
    plan, host, versions = done.plan, done.run.manifest["host"], done.run.manifest["versions"]
    yield (
        f"{plan.scenario.name}: {plan.scenario.claim}; {plan.rate:g} events/s for {plan.duration_s:g} s,"
        f" {plan.partitions} partitions, seed {plan.seed}"
        + (f"; median (range) of {plan.runs} runs" if plan.runs > 1 else "")
    )
    yield (
        f"{host['cores']} cores, {host['memory_bytes'] / 2**30:.0f} GiB;"
        f" Kafka {versions['kafka']}, Python {versions['python']}."
        f" {figures.machine(msgspec.to_builtins(done.results))}"
    )


def _latency_table(engines: Sequence[Sequence[figures.Record]]) -> Table:
    table = Table()
    for heading in ("engine", "answers", "guarantee"):
        table.add_column(heading)
    for heading in ("rows written", "samples", *(f"{name} ms" for name in figures.LATENCY), "drain s"):
        table.add_column(heading, justify="right")
    for runs in engines:
        told = [runs[0]["engine"], figures.answers(runs), figures.guarantee(runs)]
        if figures.measured(runs):
            speed = [figures.latency(runs, name) for name in figures.LATENCY]
            table.add_row(*told, figures.rows(runs), figures.samples(runs), *speed, figures.drain(runs))
        else:
            table.add_row(*told, figures.NO_FIGURES)
    return table


def _cost_table(engines: Sequence[Sequence[figures.Record]]) -> Table:
    table = Table()
    table.add_column("engine")
    cost = ("CPU s / 1M events", "broker CPU s / 1M events")
    for heading in (*cost, "state rows", "live", "on disk", "to restore", "slip p99 ms", "warm-up s"):
        table.add_column(heading, justify="right")
    for runs in engines:
        costs = [figures.cpu(runs), figures.broker_cpu(runs), *figures.state(runs), figures.slip(runs)]
        table.add_row(runs[0]["engine"], *costs, f"{runs[0]['warmup_s']:g}")
    return table


def _remarks(result: Result) -> Iterator[str]:
    if result.reason:
        yield f"{_WORDS[result.outcome]}: {result.reason}"
    before, during = result.others_before, result.figures.others if result.figures else None
    for when, others in (("before the run", before), ("while it was measured", during)):
        if says := busy(others):
            yield f"the machine was busy {when}: {says}; measure again on a quiet machine"
    if result.figures is not None:
        if not result.figures.preferred:
            yield "the generator shared the cores with the engine: real-time priority takes CAP_SYS_NICE"
        if result.figures.repeats:
            yield f"{result.figures.repeats} rows came again, as declared for this engine"
        if result.figures.memory is not None:
            yield f"memory: {result.figures.memory}"
        if course := unsteady(result.figures.quarters_p50_ns):
            yield course
    if result.run > 1:
        return
    if result.warmup_because:
        yield f"warm-up of {result.warmup_s:g} s: {result.warmup_because}"
    if result.versions:
        yield ", ".join(f"{name} {version}" for name, version in result.versions.items())
