"""Visible latency: from when an event was due to when a reader first saw a row that already reflects it.

For a running aggregate, event j of a key is reflected by the first row of the key with count >= j. So an engine that
writes a row an event and one that writes a row a batch are measured by the same rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHOWN_PERMILLE = (500, 900, 990, 999)
TAIL_SAMPLES = 20
"""A percentile is told only if at least this many samples lie beyond it: p99.9 needs 20 000."""

SLIP_FLOOR_NS = 2_000_000
"""Two ticks of the generator: below, the schedule was kept as well as this clock keeps it."""
SLIP_SHARE = 0.05
SLIP_MOST_NS = 5_000_000
"""A generator later than this measures itself, however slow the engine."""
UNSTEADY = 0.15
"""Highest difference between the medians of two quarters, of the lower one. A JVM that still compiles doubles it."""


def first_reflections(
    keys: NDArray[Any],
    occurrence: NDArray[np.int64],
    row_keys: NDArray[Any],
    row_counts: NDArray[Any],
    row_ns: NDArray[Any],
) -> NDArray[np.int64]:
    """Return when each event was first reflected, in the unit and clock of `row_ns`; -1: never.

    Rows are in the order read. Right for rows that a checker found right: the counts of a key, but for repeats, rise.
    """
    if not len(row_counts):
        return np.full(len(keys), -1, dtype=np.int64)
    # (key, count) as one number, so that one binary search finds every event's row.
    stride = np.int64(max(int(occurrence.max(initial=0)), int(row_counts.max())) + 1)
    rows = row_keys.astype(np.int64) * stride + row_counts
    order = np.argsort(rows, kind="stable")
    events = keys.astype(np.int64) * stride + occurrence
    found = np.searchsorted(rows[order], events, side="left")
    known = found < len(rows)
    nearest = order[np.minimum(found, len(rows) - 1)]
    known &= row_keys[nearest] == keys
    return np.where(known, row_ns[nearest], -1).astype(np.int64)


def percentiles(samples_ns: NDArray[np.int64]) -> dict[str, int | None]:
    """Return p50, p90, p99, p99.9 and max by name, nearest rank, as samples really taken; None: too few samples."""
    told: dict[str, int | None] = {}
    ordered = np.sort(samples_ns)
    for permille in SHOWN_PERMILLE:
        beyond = len(ordered) * (1000 - permille)
        rank = -(-len(ordered) * permille // 1000)
        told[f"p{permille / 10:g}"] = int(ordered[rank - 1]) if beyond >= TAIL_SAMPLES * 1000 else None
    told["max"] = int(ordered[-1]) if len(ordered) else None
    return told


def quarters(samples_ns: NDArray[np.int64]) -> list[int | None]:
    """Return the medians of the four quarters of the samples, in the order taken: whether the engine was steady."""
    return [percentiles(quarter)["p50"] for quarter in np.array_split(samples_ns, 4)]


def unsteady(medians_ns: Sequence[int | None]) -> str:
    """Return why the measured interval is not known to be steady; empty if its medians are within `UNSTEADY`."""
    told = [median for median in medians_ns if median is not None]
    if len(told) < len(medians_ns):
        return "steadiness unknown: too few samples for a median of each quarter; raise --rate or --duration"
    if max(told) - min(told) <= UNSTEADY * min(told):
        return ""
    course = ", ".join(f"{median / 1e6:.1f}" for median in told)
    if told[-1] == max(told):
        return f"not steady, p50 by quarter {course} ms: it may be falling behind; try a lower --rate"
    return f"not steady, p50 by quarter {course} ms: try a longer --warmup, or a quieter machine"


def slip_gate(slip_p99_ns: int | None, latency_p50_ns: int | None) -> str:
    """Return why the generator's slip makes the latencies inconclusive; empty if it does not."""
    if slip_p99_ns is None or latency_p50_ns is None:
        return "too few events were measured to tell the generator's slip from the latency"
    allowed = min(max(SLIP_FLOOR_NS, int(latency_p50_ns * SLIP_SHARE)), SLIP_MOST_NS)
    if slip_p99_ns <= allowed:
        return ""
    return (
        f"the generator itself was late: slip p99 {slip_p99_ns / 1e6:.1f} ms where {allowed / 1e6:.1f} ms are allowed;"
        " run it on a quieter machine or at a lower rate"
    )
