"""Kills every sink at every point where it can be made to stand still: `python -m engines.spark.kills`.

Writes docs/spark-sinks.md: what a reader of committed data then finds lost and repeated. Some minutes of work.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engines.errors import EngineFailed
from engines.spark.declaration import declaration
from engines.spark.lab import Lab, bench
from engines.spark.variants import VARIANTS, SinkKind, table_of
from engines.wire import row_decoder
from semantics.errors import WeirError
from semantics.notation import print_row
from semantics.pipeline import Aggregate, Emit, Source
from semantics.timeline import CrashPoint

RUNNING = Aggregate(Source(), emit=Emit.UPDATE)
KEYS = 20
KILLS = 3
"""At each point, one after the other, on one checkpoint."""
PAGE = Path(__file__).resolve().parents[2] / "docs" / "spark-sinks.md"


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


async def play(lab: Lab, point: CrashPoint, kills: int) -> Tally:
    """Kill so often at one point, and count. The lab has one job, `count`, a `RUNNING` one."""
    sink = lab.spark.sink
    await lab.spark.launch()
    async with lab.spark:
        await _step(lab)
        reconstructed = 0
        for _ in range(kills):
            reconstructed += await lab.kill_at(point, count=_EVENTS)
            await _settled(lab)
        await _step(lab)
        due = [f"k{key}={step + 1}" for step in range(kills + 2) for key in range(KEYS)]
        if sink is SinkKind.UPSERT:
            due = due[-KEYS:]
            seen = Counter(_table(table_of(lab.path / "durable" / lab.job("count").name)))
        else:
            seen = Counter(await lab.said("count"))
    if strange := seen.keys() - set(due):
        raise EngineFailed(f"{sink.value} after kills at {point.value} shows what never was: {strange}")
    return Tally(
        sink=sink,
        point=point,
        kills=kills,
        reconstructed=reconstructed,
        due=len(due),
        lost=len(set(due) - seen.keys()),
        repeated=seen.total() - len(seen),
    )


def table(tallies: Iterable[Tally]) -> str:
    """Return the tallies as a page."""
    lines = [_HEAD, "| sink | killed | kills | rows due | lost | repeated |", "|---|---|--:|--:|--:|--:|"]
    for tally in tallies:
        kills = f"{tally.kills} ({tally.reconstructed} reconstructed)" if tally.reconstructed else str(tally.kills)
        lines.append(
            f"| {_TITLES[tally.sink]} | {tally.point.value} | {kills} | {tally.due} | {tally.lost} | {tally.repeated} |"
        )
    versions = ", ".join(f"{name} {number}" for name, number in declaration().versions.items())
    return "\n".join([*lines, "", f"{_FOOT} Recorded with {versions}.", ""])


async def _step(lab: Lab) -> None:
    await lab.send(count=_EVENTS)
    await _settled(lab)


async def _settled(lab: Lab) -> None:
    answer = (await lab.settle())["count"]
    if answer.detail:
        raise EngineFailed(answer.detail)


def _table(path: Path) -> list[str]:
    decode = row_decoder(RUNNING)
    with contextlib.closing(sqlite3.connect(path)) as base:
        return [print_row(decode(value.encode())) for (value,) in base.execute("select value from rows")]


_EVENTS = " ".join(f"k{key}@1" for key in range(KEYS))
_TITLES = {
    SinkKind.NATIVE: "`spark`: Kafka, Spark's own",
    SinkKind.FOLKLORE: "`spark:folklore`: a transactional.id a batch",
    SinkKind.TRANSACTIONAL: "`spark:txn-sink`: a token in the transaction",
    SinkKind.UPSERT: "upsert into SQLite, marker in the transaction",
}
_HEAD = f"""\
<!-- Written by `python -m engines.spark.kills` from real kills: run that, and do not change this page. -->

# Spark's sinks under kills

A running count over {KEYS} keys, so every step must show each key once. The whole process group is killed (SIGKILL)
with the batch held at a point of the protocol, which is verified from outside; then it is restarted on the same
checkpoint. Rows are counted as a read_committed reader finds them, or as the table holds them.
"""
_FOOT = """\
Nothing is lost anywhere: what a sink decides is whether the batch that Spark does again is seen again. A transaction
alone hides halves and does not remember; the token does, and so does the marker. An upsert hides repeats by its nature:
its marker matters where a replay brings other values."""


async def _all() -> list[Tally]:
    tallies = []
    async with bench() as (log, scratch):
        for sink in _TITLES:
            variant = sink.value if sink.ours else ""
            points = declaration(variant if variant in VARIANTS else SinkKind.TRANSACTIONAL.value).crash_points
            for point in CrashPoint:
                if point in points:
                    path = scratch / f"{sink.value}-{point.value}"
                    path.mkdir()
                    tallies.append(await play(Lab(log, path, {"count": RUNNING}, variant), point, KILLS))
                    print(tallies[-1], file=sys.stderr, flush=True)
    return tallies


def main() -> int:
    """Write the page; return the exit code, 3 if it could not be decided."""
    try:
        page = table(asyncio.run(_all()))
    except WeirError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    PAGE.write_text(page)
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
