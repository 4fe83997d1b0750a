"""Resident memory of an engine's processes while a load runs: a sample a second, and what they say together.

Resident sets are added up as the kernel counts them: pages that several processes share count in each.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.contract import Deployment

EVERY_S = 1.0
SLOPE_FROM_S = 600.0
"""A slope over less shows caches filling up, and no leak."""
LONE = 1.5
"""Ratio of a sample to both of its neighbours above which the sample is left out. A process between fork and exec is
counted with all pages of its parent, so such a sample is about twice its neighbours; memory in use stays longer."""
MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of all processes of an engine together, over the measured interval."""

    start_bytes: int
    end_bytes: int
    highest_bytes: int
    slope_bytes_h: float | None
    """Bytes an hour, by least squares over all samples; None: less than `SLOPE_FROM_S`."""
    left_out: int = 0
    """Lone samples far above both of their neighbours."""

    def __str__(self) -> str:
        slope = "too short for a slope" if self.slope_bytes_h is None else f"slope {self.slope_bytes_h / MB:+.0f} MB/h"
        start, end, highest = (f"{size / MB:.0f}" for size in (self.start_bytes, self.end_bytes, self.highest_bytes))
        lone = f", {self.left_out} lone samples left out" if self.left_out else ""
        return f"{start} MB at start, {end} MB at end, {highest} MB at most, {slope}{lone}"


def over(samples: NDArray[np.int64], since_ns: int, until_ns: int) -> Memory | None:
    """Sum up rows of (nanoseconds, bytes) taken from `since_ns` to `until_ns`; None if there are none."""
    within, alone = (samples[:, 0] >= since_ns) & (samples[:, 0] <= until_ns), lone(samples[:, 1])
    taken = samples[within & ~alone]
    if not len(taken):
        return None
    hours, sizes = taken[:, 0] / 3.6e12, taken[:, 1]
    told = (taken[-1, 0] - taken[0, 0]) / 1e9 >= SLOPE_FROM_S - 2 * EVERY_S
    return Memory(
        start_bytes=int(sizes[0]),
        end_bytes=int(sizes[-1]),
        highest_bytes=int(sizes.max()),
        slope_bytes_h=float(np.polyfit(hours - hours[0], sizes, 1)[0]) if told else None,
        left_out=int((within & alone).sum()),
    )


def lone(sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which samples are more than `LONE` times as large as both neighbours; never the first or the last."""
    found = np.zeros(len(sizes), dtype=np.bool_)
    if len(sizes) > 2:
        found[1:-1] = sizes[1:-1] > LONE * np.maximum(sizes[:-2], sizes[2:])
    return found


async def sample(deployment: Deployment, start_ns: int, taken: list[tuple[int, int]]) -> None:
    """Append (nanoseconds from `start_ns`, resident bytes) each second, until cancelled. Nothing without processes."""
    while processes := deployment.processes():
        size = await asyncio.to_thread(lambda: sum(process.resident_bytes() for process in processes))
        taken.append((time.monotonic_ns() - start_ns, size))
        await asyncio.sleep(EVERY_S)
