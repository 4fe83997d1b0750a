"""Figures of a benchmark as text: one table for terminal, README and report.

Input: records of bench.jsonl, those of earlier versions too. Several runs of an engine give median and range.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from bench import runs
from bench.busy import Others, busy
from bench.latency import unsteady
from bench.memory import Memory

Record = Mapping[str, Any]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
NO_FIGURES = "no figures"
_WORDS = {"right": "right", "wrong": "WRONG", "undecided": "inconclusive"}
LATENCY = ("p50", "p90", "p99", "p99.9", "max")


class _State(msgspec.Struct):
    """The shape of a state's sizes; null: the engine does not tell."""

    rows: Count | None
    live_bytes: Count | None
    disk_bytes: Count | None
    restore_bytes: Count | None


class _Figures(msgspec.Struct):
    """The shape of figures, those of earlier versions too."""

    latency_ns: dict[str, Count | None]
    state: _State
    samples: Count | None = None
    events: Count | None = None
    rows: Count | None = None
    quarters_p50_ns: list[Count | None] | None = None
    slip_ns: dict[str, Count | None] = {}
    cpu_s_per_million: float | None = None
    broker_cpu_s_per_million: float | None = None
    others: Others | None = None
    drain_s: float | None = None
    memory: Memory | None = None
    keys: Count | None = None


class _Line(msgspec.Struct):
    """The shape of a line of bench.jsonl."""

    engine: str
    title: str
    outcome: Literal["right", "wrong", "undecided"]
    reason: str
    figures: _Figures | None
    scenario: str = ""
    guarantee: str = "not told"
    run: Count = 1
    others_before: Others | None = None


def read(folder: Path) -> list[Record]:
    """Return the benchmark's records of a run folder. Raises `CorruptRun`."""
    runs.records(folder, "bench", _Line)
    return [*runs.records(folder, "bench", dict[str, Any])]


def grouped(records: Sequence[Record]) -> list[list[Record]]:
    """Return the runs of each engine and scenario together, in the order of their first run."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        found.setdefault((record["engine"], record.get("scenario", "")), []).append(record)
    return list(found.values())


def measured(runs: Sequence[Record]) -> bool:
    """Return whether the runs have figures to show: each run has, and no answer was wrong."""
    return all(run["figures"] is not None and run["outcome"] != "wrong" for run in runs)


def answers(runs: Sequence[Record]) -> str:
    """Return the outcomes, and the marks of runs that decide less than others."""
    outcomes = Counter(_WORDS[run["outcome"]] for run in runs)
    told = next(iter(outcomes)) if len(outcomes) == 1 else ", ".join(f"{outcomes[word]} {word}" for word in outcomes)
    found = Counter(mark for run in runs for mark in marks(run))
    return "; ".join([told, *(f"{mark} ({count} of {len(runs)})" if len(runs) > 1 else mark
                              for mark, count in found.items())])  # fmt: skip


def marks(run: Record) -> Iterator[str]:
    """Yield short caveats of one run, to stand beside its figures."""
    quarters = (run["figures"] or {}).get("quarters_p50_ns")
    if quarters is not None and (course := unsteady(quarters)):
        yield course.partition(",")[0].partition(":")[0]
    if any(map(busy, others(run))):
        yield "machine busy"


def others(run: Record) -> tuple[Others | None, Others | None]:
    """Return other processes' share of the machine before the run, and while it was measured."""
    before, during = run.get("others_before"), (run["figures"] or {}).get("others")
    return msgspec.convert(before, Others | None), msgspec.convert(during, Others | None)


def machine(records: Sequence[Record]) -> str:
    """Return the most that others used of the machine, before and while these runs were measured."""
    seen = [each for record in records for each in others(record) if each is not None]
    if not seen:
        return "Load of the machine: not recorded."
    cpu, stolen = max(each.cpu for each in seen), max(each.stolen for each in seen)
    return f"Other processes used up to {cpu:.1%} of the machine's cores, the hypervisor up to {stolen:.1%}."


def guarantee(runs: Sequence[Record]) -> str:
    """Return the sink's promise under faults."""
    return str(runs[0].get("guarantee", "not told")).replace("-", " ")


def rows(runs: Sequence[Record]) -> str:
    """Return rows written for events sent: an engine that writes a row per key and batch does less work."""
    return f"{_told(runs, 'rows', _count)} for {_told(runs, 'events', _count)} events"


def latency(runs: Sequence[Record], name: str) -> str:
    """Return one percentile in milliseconds."""
    return spread([run["figures"]["latency_ns"].get(name) for run in runs], _ms, "too few")


def slip(runs: Sequence[Record]) -> str:
    """Return the generator's slip, p99 in milliseconds."""
    return spread([run["figures"].get("slip_ns", {}).get("p99") for run in runs], _ms, "too few")


def drain(runs: Sequence[Record]) -> str:
    """Return seconds from the end of the schedule until the engine had settled."""
    return _told(runs, "drain_s", _decimal)


def samples(runs: Sequence[Record]) -> str:
    """Return how many latencies were measured."""
    return _told(runs, "samples", _count)


def cpu(runs: Sequence[Record]) -> str:
    """Return CPU seconds per million events of the engine's processes."""
    return _told(runs, "cpu_s_per_million", _decimal, "not measured")


def broker_cpu(runs: Sequence[Record]) -> str:
    """Return CPU seconds per million events of the broker's process."""
    return _told(runs, "broker_cpu_s_per_million", _decimal, "not measured")


def memory(runs: Sequence[Record]) -> str:
    """Return the resident memory of each run."""
    told = [run["figures"].get("memory") for run in runs if run["figures"] is not None]
    return "; ".join("not recorded" if each is None else str(msgspec.convert(each, Memory)) for each in told)


def state(runs: Sequence[Record]) -> list[str]:
    """Return state rows, and the sizes of the state: live, on disk, to restore."""
    sizes = [[run["figures"]["state"][name] for run in runs] for name in ("live_bytes", "disk_bytes", "restore_bytes")]
    found = spread([run["figures"]["state"]["rows"] for run in runs], _count, "not told")
    due = runs[0]["figures"].get("keys")
    return [found if due is None else f"{found} of {due:,}", *(spread(each, _size, "not told") for each in sizes)]


HEADINGS = (
    "answers",
    "guarantee",
    "rows written",
    *(f"{name} ms" for name in LATENCY if name != "p99.9"),
    "CPU s / 1M events",
    "broker CPU s / 1M events",
    "state rows",
    "on disk",
    "to restore",
)
"""Without live bytes: each engine counts them in its own encoding, so they cannot be compared."""


def row(runs: Sequence[Record]) -> list[str]:
    """Return the cells below `HEADINGS` for all runs of one engine and scenario."""
    if not measured(runs):
        return [f"{answers(runs)}: {NO_FIGURES}", guarantee(runs), *[""] * (len(HEADINGS) - 2)]
    speed = [latency(runs, name) for name in LATENCY if name != "p99.9"]
    held, _, *stored = state(runs)
    return [answers(runs), guarantee(runs), rows(runs), *speed, cpu(runs), broker_cpu(runs), held, *stored]


def spread(values: Sequence[float | None], say: Callable[[float], str], absent: str) -> str:
    """Return the one value, or median and range of several that differ; `absent` if any is missing."""
    told = [value for value in values if value is not None]
    if len(told) < len(values) or not told:
        return absent
    middle, low, high = map(say, (statistics.median(told), min(told), max(told)))
    return middle if low == high else f"{middle} ({low} to {high})"


def _told(runs: Sequence[Record], name: str, say: Callable[[float], str], absent: str = "not told") -> str:
    return spread([run["figures"].get(name) for run in runs], say, absent)


def _ms(duration_ns: float) -> str:
    return _decimal(duration_ns / 1e6)


def _decimal(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _size(size_bytes: float) -> str:
    return f"{size_bytes:.0f} B" if size_bytes < 1024 else f"{size_bytes / 1024:,.0f} KiB"
