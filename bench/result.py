"""What a benchmark says of one engine under one scenario."""

from __future__ import annotations

from dataclasses import dataclass

from bench.busy import Others
from bench.memory import Memory
from engines.contract import StateSize
from semantics.checkers.delivery import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured. Percentiles are samples really taken, in nanoseconds; None: not measured, or too few."""

    samples: int
    """Latencies: events, or final rows, that were due after the warm-up."""
    events: int
    """Events sent, warm-up included."""
    rows: int
    """Rows written for these events: one per event, or one per key and batch."""
    latency_ns: dict[str, int | None]
    quarters_p50_ns: list[int | None]
    """Medians of the four quarters of the measured interval."""
    slip_ns: dict[str, int | None]
    """How late the generator itself was."""
    preferred: bool
    """Whether the system ran the generator before all other processes (`bench.load.prefer`)."""
    cpu_s_per_million: float | None
    """Of the engine's own processes, from the end of the warm-up until it had settled, by the measured events."""
    broker_cpu_s_per_million: float | None
    """Of the broker's process, over the same interval and events; None: the broker is not ours."""
    others: Others | None
    """Other processes over the same interval; None: not told apart from a broker that is not ours."""
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
    guarantee: str
    """The sink's promise under faults: exactly-once or at-least-once."""
    run: int
    """Number of the run of this engine and scenario, from 1."""
    others_before: Others | None
    """Other processes just before the run; None: the engine was not run."""
    outcome: Outcome
    reason: str = ""
    """What was wrong, with witnesses, or why it is undecided."""
    figures: Figures | None = None
