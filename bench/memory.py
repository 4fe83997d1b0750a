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
SLOPE_FROM_S = 60.0
"""A slope over less tells the warm-up of caches, and no leak."""
MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of all processes of an engine together, over the measured interval."""

    start_bytes: int
    end_bytes: int
    highest_bytes: int
    slope_bytes_h: float | None
    """Bytes an hour, by least squares over all samples; None: too short to tell."""

    def __str__(self) -> str:
        slope = "too short for a slope" if self.slope_bytes_h is None else f"slope {self.slope_bytes_h / MB:+.0f} MB/h"
        start, end, highest = (f"{size / MB:.0f}" for size in (self.start_bytes, self.end_bytes, self.highest_bytes))
        return f"{start} MB at start, {end} MB at end, {highest} MB at most, {slope}"


def over(samples: NDArray[np.int64], since_ns: int, until_ns: int) -> Memory | None:
    """Sum up rows of (nanoseconds, bytes) taken from `since_ns` to `until_ns`; None if there are none."""
    taken = samples[(samples[:, 0] >= since_ns) & (samples[:, 0] <= until_ns)]
    if not len(taken):
        return None
    hours, sizes = taken[:, 0] / 3.6e12, taken[:, 1]
    told = (taken[-1, 0] - taken[0, 0]) / 1e9 >= SLOPE_FROM_S - 2 * EVERY_S
    return Memory(
        start_bytes=int(sizes[0]),
        end_bytes=int(sizes[-1]),
        highest_bytes=int(sizes.max()),
        slope_bytes_h=float(np.polyfit(hours - hours[0], sizes, 1)[0]) if told else None,
    )


async def sample(deployment: Deployment, start_ns: int, taken: list[tuple[int, int]]) -> None:
    """Append (nanoseconds from `start_ns`, resident bytes) each second, until cancelled. Nothing without processes."""
    while processes := deployment.processes():
        size = await asyncio.to_thread(lambda: sum(process.resident_bytes() for process in processes))
        taken.append((time.monotonic_ns() - start_ns, size))
        await asyncio.sleep(EVERY_S)
