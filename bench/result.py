"""What a benchmark says of one engine under one scenario."""

from __future__ import annotations

from dataclasses import dataclass

from bench.memory import Memory
from engines.contract import StateSize
from semantics.checkers.delivery import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured. Percentiles are samples really taken, in nanoseconds; None: not measured, or too few."""

    samples: int
    """Latencies: events, or final rows, that were due after the warm-up."""
    latency_ns: dict[str, int | None]
    quarters_p50_ns: list[int | None]
    """Medians of the four quarters of the measured interval."""
    slip_ns: dict[str, int | None]
    """How late the generator itself was."""
    cpu_s_per_million: float | None
    """Of the engine's own processes, from the end of the warm-up until it had settled, by the measured events."""
    drain_s: float
    """From the end of the schedule until the engine had settled."""
    memory: Memory | None
    """None: it has no processes of its own."""
    state: StateSize
    keys: int | None
    """Rows of state there must be, one a distinct key; None for windows: how many are open depends on the clock."""
    repeats: int
    """Rows that came again, where at least once is declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One engine's cell. Figures only if the answers were right."""

    engine: str
    scenario: str
    title: str
    versions: dict[str, str]
    warmup_s: float
    warmup_because: str
    outcome: Outcome
    reason: str = ""
    """What was wrong, with witnesses, or why it is undecided."""
    figures: Figures | None = None
