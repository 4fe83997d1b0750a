"""What each sink costs a batch: `python -m engines.spark.costs`. Some minutes, with nothing else on the machine.

`python -m bench` measures what a reader of a topic sees under load; it cannot read the table of the sink that upserts.
So here all sinks get the same batches, and the time is taken until Spark has recorded each. Writes the last section of
docs/spark-sinks.md.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from dataclasses import dataclass

from engines.contract import Profile
from engines.errors import EngineFailed
from engines.spark.declaration import PYSPARK
from engines.spark.kills import PAGE, REST, RUNNING, TITLES, settled, shown
from engines.spark.lab import Lab, bench
from engines.spark.variants import SinkKind
from semantics.errors import WeirError

ROWS = 5_000
"""Of each batch, every one of another key, so that as many come out: an append's worth."""
WARM = 10
"""Batches until the JVM has compiled what it runs often."""
BATCHES = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """`took_s`: from before a batch's append until Spark has recorded it, for each. `cpu_s`: of all of them."""

    sink: SinkKind
    took_s: list[float]
    cpu_s: float


async def play(lab: Lab) -> Cost:
    """Send one batch after the other. The lab has one job, `count`, a running one."""
    took_s: list[float] = []
    await lab.spark.launch()
    async with lab.spark:
        (worker,) = lab.spark.processes()
        before = 0.0
        for step in range(WARM + BATCHES):
            if step == WARM:
                before = worker.cpu_seconds()
            began = time.monotonic()
            await lab.send(count=_EVENTS)
            await settled(lab)
            took_s.append(time.monotonic() - began)
            if sorted(await shown(lab)) != sorted(f"k{key}={step + 1}" for key in range(ROWS)):
                raise EngineFailed(f"{lab.spark.sink.value}: batch {step} is wrong, so it has no cost.")
        return Cost(sink=lab.spark.sink, took_s=took_s[WARM:], cpu_s=worker.cpu_seconds() - before)


def table(costs: list[Cost]) -> str:
    """Return the section."""
    lines = [REST, "", _HEAD, "", "| sink | median ms | p90 ms | CPU s / 1M rows |", "|---|--:|--:|--:|"]
    for cost in costs:
        median_ms, p90_ms = (1000 * statistics.quantiles(cost.took_s, n=10)[decile] for decile in (4, 8))
        lines.append(
            f"| {TITLES[cost.sink]} | {median_ms:.0f} | {p90_ms:.0f} | {cost.cpu_s / ROWS / BATCHES * 1e6:.0f} |"
        )
    return "\n".join([*lines, "", f"Recorded with pyspark {PYSPARK}.", ""])


_EVENTS = " ".join(f"k{key}@1" for key in range(ROWS))
_HEAD = f"""\
A batch by itself: {BATCHES} batches of {ROWS} rows each, from the append of its events until Spark has recorded it, and
the CPU of the whole process."""


async def _all() -> list[Cost]:
    costs = []
    async with bench() as (log, scratch):
        for sink in TITLES:
            path = scratch / f"costs-{sink.value}"
            path.mkdir()
            lab = Lab(log, path, {"count": RUNNING}, sink.value if sink.ours else "", Profile.BENCH)
            costs.append(await play(lab))
            print(table(costs), file=sys.stderr, flush=True)
    return costs


def main() -> int:
    """Write the section; return the exit code: 3 if it could not be measured."""
    try:
        found = table(asyncio.run(_all()))
    except WeirError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    print(found)
    kills, _, _ = PAGE.read_text().partition(REST)
    PAGE.write_text(f"{kills.rstrip()}\n\n{found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
