"""CPU time used so far: by the engine, by the embedded broker, by the whole machine."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from bench import busy
from engines.contract import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """One reading, in CPU seconds. None: no process of ours."""

    engine_s: float | None
    broker_s: float | None
    all: busy.Usage


def spent(deployment: Deployment, broker_pid: int | None) -> Spent:
    """Read the CPU clocks now."""
    processes = deployment.processes()
    return Spent(
        engine_s=sum(process.cpu_seconds() for process in processes) if processes else None,
        broker_s=None if broker_pid is None else _of(broker_pid),
        all=busy.usage(),
    )


def per_million(before_s: float | None, after_s: float | None, events: int) -> float | None:
    """Return CPU seconds per million events; None where no process was measured."""
    return None if before_s is None or after_s is None else (after_s - before_s) * 1e6 / events


def _of(pid: int) -> float | None:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return times.user + times.system
