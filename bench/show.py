"""How results look: tables on stdout, progress on stderr and only on a terminal. What is missing is said in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.cell import Say
from bench.latency import unsteady
from bench.measure import Benchmark
from bench.result import Figures, Result
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
    """Print the tables: answers and latency, then cost and state, then what must be said about them."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    if done.plan.heading:
        console.print(done.plan.heading, style="bold yellow", markup=False)
    for line in _setting(done):
        console.print(line, markup=False)
    console.print(done.plan.scenario.latency, style="bold", markup=False)
    console.print(_latency_table(done.results))
    measured = [(result, result.figures) for result in done.results if result.figures is not None]
    if measured:
        console.print("Cost of the engine alone, and its state at the end", style="bold")
        console.print(_cost_table(measured))
    for result in done.results:
        for line in _remarks(result):
            console.print(f"{result.engine}: {line}", markup=False)
    if done.left:
        console.print(f"Not cleaned up: {done.left}", markup=False)
    console.print(f"Record: {done.run.path}", markup=False)


def _setting(done: Benchmark) -> Iterator[str]:
    plan, host, versions = done.plan, done.run.manifest["host"], done.run.manifest["versions"]
    yield (
        f"{plan.scenario.name}: {plan.scenario.claim}; {plan.rate:g} events/s for {plan.duration_s:g} s,"
        f" {plan.partitions} partitions, seed {plan.seed}"
    )
    yield (
        f"{host['cores']} cores, {host['memory_bytes'] / 2**30:.0f} GiB, load {host['load_before']} before;"
        f" Kafka {versions['kafka']}, Python {versions['python']}"
    )


def _latency_table(results: Sequence[Result]) -> Table:
    table = Table()
    for heading in ("engine", "outcome"):
        table.add_column(heading)
    for heading in ("samples", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "drain s"):
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(result.engine, _WORDS[result.outcome], *_speed(result.figures))
    return table


def _cost_table(measured: Sequence[tuple[Result, Figures]]) -> Table:
    table = Table()
    table.add_column("engine")
    for heading in ("CPU s / 1M events", "state rows", "live", "on disk", "to restore", "slip p99 ms", "warm-up s"):
        table.add_column(heading, justify="right")
    for result, figures in measured:
        table.add_row(result.engine, *_cost(figures), f"{result.warmup_s:g}")
    return table


def _remarks(result: Result) -> Iterator[str]:
    if result.reason:
        yield f"{_WORDS[result.outcome]}: {result.reason}"
    if result.figures is not None:
        if result.figures.repeats:
            yield f"{result.figures.repeats} rows came again, as declared for this engine"
        if result.figures.memory is not None:
            yield f"memory: {result.figures.memory}"
        if course := unsteady(result.figures.quarters_p50_ns):
            yield course
    if result.warmup_because:
        yield f"warm-up of {result.warmup_s:g} s: {result.warmup_because}"
    if result.versions:
        yield ", ".join(f"{name} {version}" for name, version in result.versions.items())


def _speed(figures: Figures | None) -> list[str]:
    if figures is None:
        return ["no figures", *([""] * 6)]
    return [
        f"{figures.samples}",
        *(_ms(figures.latency_ns[name]) for name in ("p50", "p90", "p99", "p99.9", "max")),
        f"{figures.drain_s:.1f}",
    ]


def _cost(figures: Figures) -> list[str]:
    cpu = figures.cpu_s_per_million
    rows = figures.state.rows
    state = figures.state
    return [
        "not measured" if cpu is None else f"{cpu:.1f}",
        "not told" if rows is None else f"{rows}" if figures.keys is None else f"{rows} of {figures.keys}",
        *(_size(size) for size in (state.live_bytes, state.disk_bytes, state.restore_bytes)),
        _ms(figures.slip_ns["p99"]),
    ]


def _ms(duration_ns: int | None) -> str:
    return "too few" if duration_ns is None else f"{duration_ns / 1e6:.1f}"


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "not told"
    return f"{size_bytes} B" if size_bytes < 1024 else f"{size_bytes / 1024:.0f} KiB"
