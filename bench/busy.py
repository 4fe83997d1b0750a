"""CPU time of other processes, measured over an interval, and time stolen by the hypervisor.

A load average also counts the bench itself and its last minute. So CPU time is told apart by process tree: harness,
generator, probe, engine and embedded broker are the bench's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass

import psutil

PROBE_S = 2.0
"""Above a hundred scheduler ticks, so that a hundredth of a core shows."""
BUSY_SHARE = 0.05
"""Of the machine's cores. An idle system uses 1 %; a compiler or a test suite uses a whole core."""
STEAL_SHARE = 0.01
"""Of the machine's cores. Beyond, the hypervisor stalls engine and generator for milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """CPU seconds since boot, and the moment of reading."""

    at_s: float
    machine_s: float
    """User and system time of all processes. Interrupts are left out: they belong to no process."""
    stolen_s: float
    own_s: float
    """Of the bench's process tree, exited children included."""
    foreign_s: float
    """Of all other processes that are visible, exited children included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """Shares of the machine's cores over an interval."""

    cpu: float
    """Used by processes that are not the bench's."""
    stolen: float


def usage() -> Usage:
    """Read the CPU clocks now."""
    machine, own_s, foreign_s = psutil.cpu_times(), 0.0, 0.0
    root = psutil.Process()
    own = {root.pid, *(child.pid for child in root.children(recursive=True))}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            spent = times.user + times.system + times.children_user + times.children_system
            if process.pid in own:
                own_s += spent
            else:
                foreign_s += spent
    return Usage(
        at_s=time.monotonic(),
        machine_s=machine.user + machine.system + getattr(machine, "nice", 0.0),
        stolen_s=getattr(machine, "steal", 0.0),
        own_s=own_s,
        foreign_s=foreign_s,
    )


def between(before: Usage, after: Usage, cores: int | None = None) -> Others:
    """Return what others used between two readings: by the machine's clock or by theirs, whichever is more.

    The machine's clock is sampled and misses short bursts. The clocks of processes miss those in other containers.
    """
    available_s = (after.at_s - before.at_s) * (cores or os.cpu_count() or 1)
    unowned_s = (after.machine_s - before.machine_s) - (after.own_s - before.own_s)
    used_s = max(unowned_s, after.foreign_s - before.foreign_s, 0)
    return Others(cpu=round(used_s / available_s, 4), stolen=round((after.stolen_s - before.stolen_s) / available_s, 4))


async def probe(seconds: float = PROBE_S) -> Others:
    """Measure others for a moment, while the bench itself rests."""
    before = usage()
    await asyncio.sleep(seconds)
    return between(before, usage())


def busy(others: Others | None) -> str:
    """Return who else used the machine; empty if nobody did, or if it is not known."""
    if others is None:
        return ""
    found = [f"other processes used {others.cpu:.0%} of it"] if others.cpu > BUSY_SHARE else []
    found += [f"the hypervisor took {others.stolen:.0%} of it"] if others.stolen > STEAL_SHARE else []
    return " and ".join(found)
