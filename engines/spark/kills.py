"""Kills every sink at every point where it can be made to stand still: `python -m engines.spark.kills`.

Writes what a reader of committed data then finds lost and repeated into docs/spark-sinks.md. Some minutes of work.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.errors import EngineFailed
from engines.spark.crash import POINTS
from engines.spark.declaration import PYSPARK
from engines.spark.lab import Lab, bench
from engines.spark.variants import SinkKind, table_of
from engines.wire import row_decoder
from semantics.errors import WeirError
from semantics.notation import print_row
from semantics.pipeline import Aggregate, Emit, Source
from semantics.timeline import CrashPoint

RUNNING = Aggregate(Source(), emit=Emit.UPDATE)
KEYS = 20
KILLS = 3
"""At each point, each with a JVM's start of some five seconds: one case is one case."""
PAGE = Path(__file__).resolve().parents[2] / "docs" / "spark-sinks.md"
REST = "## What they cost"
"""From here on `engines/spark/costs.py` writes, on a machine that has nothing else to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What some kills at one point of one sink did: rows lost and repeated, of so many that were due."""

    sink: SinkKind
    point: CrashPoint
    kills: int
    reconstructed: int
    due: int
    lost: int
    repeated: int


async def play(lab: Lab, points: Sequence[CrashPoint], kills: int) -> list[Tally]:
    """Kill so often at each point in turn, on one checkpoint. The lab has one job, `count`, a `RUNNING` one."""
    sink = lab.spark.sink
    seen: Counter[str] = Counter()
    struck: dict[CrashPoint, list[int]] = {point: [] for point in points}
    reconstructed: Counter[CrashPoint] = Counter()

    async def settle() -> None:
        await settled(lab)
        seen.update(await shown(lab))

    await lab.send(count=_EVENTS)
    await lab.spark.launch()
    async with lab.spark:
        await settle()
        step = 1
        for point in points:
            for _ in range(kills):
                step += 1
                struck[point].append(step)
                reconstructed[point] += await lab.kill_at(point, count=_EVENTS)
                await settle()
    due = {point: _due(steps) for point, steps in struck.items()}
    if strange := seen.keys() - set(_due(range(1, step + 1))):
        raise EngineFailed(f"{sink.value} shows what never was: {strange}")
    return [
        Tally(
            sink=sink,
            point=point,
            kills=kills,
            reconstructed=reconstructed[point],
            due=len(rows),
            lost=sum(not seen[row] for row in rows),
            repeated=sum(max(0, seen[row] - 1) for row in rows),
        )
        for point, rows in due.items()
    ]


async def settled(lab: Lab) -> None:
    """Settle the lab's one job. Raises `EngineFailed`."""
    answer = (await lab.settle())["count"]
    if answer.detail:
        raise EngineFailed(answer.detail)


async def shown(lab: Lab) -> list[str]:
    """Return what the lab's one job has said since the last time, or what its table holds."""
    return _table(lab) if lab.spark.sink is SinkKind.UPSERT else await lab.said("count")


def table(tallies: Iterable[Tally]) -> str:
    """Return the tallies as a page."""
    lines = [_HEAD, "| sink | killed | kills | rows due | lost | repeated |", "|---|---|--:|--:|--:|--:|"]
    for tally in tallies:
        kills = f"{tally.kills} ({tally.reconstructed} reconstructed)" if tally.reconstructed else str(tally.kills)
        lines.append(
            f"| {TITLES[tally.sink]} | {tally.point.value} | {kills} | {tally.due} | {tally.lost} | {tally.repeated} |"
        )
    return "\n".join([*lines, "", f"{_FOOT} Recorded with pyspark {PYSPARK}.", ""])


def _due(steps: Iterable[int]) -> list[str]:
    """Return the rows of steps (from 1): every key has been counted so often."""
    return [f"k{key}={step}" for step in steps for key in range(KEYS)]


def _table(lab: Lab) -> list[str]:
    """Return what the job's table holds."""
    decode = row_decoder(RUNNING)
    with contextlib.closing(sqlite3.connect(table_of(lab.path / "durable" / lab.job("count").name))) as base:
        return [print_row(decode(value.encode())) for (value,) in base.execute("select value from rows")]


_EXACT = (SinkKind.TRANSACTIONAL, SinkKind.UPSERT)
_EVENTS = " ".join(f"k{key}@1" for key in range(KEYS))
TITLES = {
    SinkKind.NATIVE: "`spark`: Kafka, Spark's own",
    SinkKind.FOLKLORE: "`spark:folklore`: a transactional.id a batch",
    SinkKind.TRANSACTIONAL: "`spark:txn-sink`: a token in the transaction",
    SinkKind.UPSERT: "upsert into SQLite, marker in the transaction",
}
_HEAD = f"""\
<!-- Written by `python -m engines.spark.kills` and `python -m engines.spark.costs` from real kills and batches:
run those, and do not change this page. -->

# Spark's sinks: what they promise, and what they cost

## Under kills

A running count over {KEYS} keys, so every step must show each key once. The whole process group is killed (SIGKILL)
with the batch held at a point of the protocol, which is verified from outside; then it is restarted on the same
checkpoint. Rows are counted as a read_committed reader finds them, or as the table holds them.
"""
_FOOT = """\
Nothing is lost anywhere: what a sink decides is whether the batch that Spark does again is seen again. A transaction
alone hides halves and does not remember; the token does, and so does the marker. An upsert hides repeats by its nature:
its marker matters where a replay brings other values."""


async def _all() -> list[Tally]:
    tallies: list[Tally] = []
    async with bench() as (log, scratch):
        for sink in TITLES:
            points = [point for point in CrashPoint if sink.ours or point in POINTS]
            path = scratch / f"kills-{sink.value}"
            path.mkdir()
            lab = Lab(log, path, {"count": RUNNING}, sink.value if sink.ours else "")
            tallies += await play(lab, points, KILLS)
            print(table(tallies), file=sys.stderr, flush=True)
    return tallies


def main() -> int:
    """Write the page; return the exit code: 1 if a sink broke its promise, 3 if it could not be decided."""
    try:
        tallies = asyncio.run(_all())
    except WeirError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    print(table(tallies))
    if broken := [tally for tally in tallies if tally.lost or (tally.repeated and tally.sink in _EXACT)]:
        print(f"Not as promised, so the page stays: {broken}", file=sys.stderr)
        return 1
    _, heading, costs = PAGE.read_text().partition(REST)
    PAGE.write_text("\n".join(filter(None, [table(tallies), heading + costs])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
