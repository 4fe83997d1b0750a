"""How results look: tables on stdout, progress on stderr and only on a terminal. What is missing is said in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.cell import Figures, Say
from bench.measure import Benchmark
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
    plan, results = done.plan, done.results
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    if plan.heading:
        console.print(plan.heading, style="bold yellow", markup=False)
    console.print(
        f"{plan.scenario.name}: {plan.scenario.claim}; {plan.rate:g} events/s for {plan.duration_s:g} s,"
        f" {plan.partitions} partitions, seed {plan.seed}",
        markup=False,
        highlight=False,
    )
    speed = Table()
    for heading in ("engine", "answers", "events", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "drain s"):
        speed.add_column(heading, justify="left" if heading in ("engine", "answers") else "right")
    cost = Table()
    headings = ("engine", "CPU s / 1M events", "state rows", "live", "on disk", "to restore", "slip p99 ms", "warm-up")
    for heading in headings:
        cost.add_column(heading, justify="left" if heading == "engine" else "right")
    for result in results:
        figures = result.figures
        speed.add_row(result.engine, _WORDS[result.outcome], *_speed(figures))
        if figures is not None:
            cost.add_row(result.engine, *_cost(figures), f"{result.warmup_s:g} s")
    console.print(
        "Visible latency: from when an event was due to the first read_committed row that reflects it", style="bold"
    )
    console.print(speed)
    if cost.row_count:
        console.print("Cost of the engine alone, and its state at the end", style="bold")
        console.print(cost)
    for result in results:
        if result.reason:
            console.print(f"{result.engine}: {_WORDS[result.outcome]}: {result.reason}", markup=False, highlight=False)
        if result.figures is not None and result.figures.repeats:
            console.print(f"{result.engine}: {result.figures.repeats} rows came again, as it declares", markup=False)
        if result.warmup_because:
            told = f"{result.engine}: warm-up of {result.warmup_s:g} s: {result.warmup_because}"
            console.print(told, markup=False, highlight=False)
    console.print(f"Record: {done.run.path}", markup=False, highlight=False)


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
        "not told" if rows is None else f"{rows} of {figures.keys}",
        *(_size(size) for size in (state.live_bytes, state.disk_bytes, state.restore_bytes)),
        _ms(figures.slip_ns["p99"]),
    ]


def _ms(duration_ns: int | None) -> str:
    return "too few" if duration_ns is None else f"{duration_ns / 1e6:.1f}"


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "not told"
    return f"{size_bytes} B" if size_bytes < 1024 else f"{size_bytes / 1024:.0f} KiB"
