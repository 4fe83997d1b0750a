"""`python -m bench micro`: CPU microseconds an event, each beside its peers; no figure for wrong answers."""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console
from rich.table import Table

from bench import runs
from bench.busy import busy
from bench.cell import Say
from bench.measure import open_log
from bench.micro.measure import EVENT_BYTES, Figure, WrongAnswer, backlog, measure
from bench.micro.peers import KafkaStreams, Ours, Peer
from bench.micro.quix import QuixStreams
from bench.micro.restore import Restored, restore
from bench.micro.work import KEYS, PARTITIONS, WORKS, Work
from engines.contract import Log
from engines.errors import Deadline, EngineFailed, UnsupportedPipeline
from semantics.errors import UnknownName, did_you_mean

OURS, RIVAL = "faust", "kafka-streams"
SHARE = 0.25
"""The goal that counts: at most this share of the rival's CPU an event, at equal guarantees and equal output."""
MET, WRONG, INCONCLUSIVE = 0, 1, 3
T = TypeVar("T")
PEERS: tuple[Peer, ...] = (
    Ours(name="faust", events=400_000, warmup=200_000),
    # Some 5000 events a second: what it costs shows soon.
    Ours(name="faust-stock", events=20_000, warmup=2_000, reads_uncommitted=True),
    Ours(name="faust-stock:eos", events=20_000, warmup=2_000),
    KafkaStreams(name="kafka-streams", events=400_000, warmup=400_000, coalesces=False),
    KafkaStreams(name="kafka-streams:cache", events=400_000, warmup=400_000, coalesces=True),
    QuixStreams(),
)


@dataclass(slots=True)
class Cell:
    """One peer on one work."""

    work: Work
    peer: Peer
    figures: list[Figure] = field(default_factory=list)
    lacks: str = ""
    wrong: str = ""
    failed: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(figure.cpu_us for figure in self.figures) if self.figures else None

    def shown(self) -> str:
        if self.wrong:
            return "WRONG"
        if not self.figures:
            return "failed" if self.failed else "-"
        spent = [figure.cpu_us for figure in self.figures]
        return f"{min(spent):.2f} / {statistics.median(spent):.2f} / {max(spent):.2f}"


def main(*, works: Sequence[str], peers: Sequence[str], count: int, output: Path, seed: int, say: Say) -> int:
    """Measure the named works on the named peers `count` times each, all if none is named; return the exit code."""
    chosen = [_named(work, WORKS, "work") for work in works] or list(WORKS.values())
    by_name = {peer.name: peer for peer in PEERS}
    asked = [_named(peer, by_name, "peer") for peer in peers] or list(PEERS)
    run = runs.create(output, {"command": "micro", "works": works, "peers": peers, "runs": count}, seed=seed)
    cells = [Cell(work, peer, lacks=peer.lacks(work)) for work in chosen for peer in asked]
    with open_log(None, run, say) as (log, _):
        asyncio.run(_measure(cells, count, seed, log, run, say))
        restored = [] if works or OURS not in {peer.name for peer in asked} else _restore(count, log, run, say)
    run.close()
    _show(cells, count, run, restored)
    if any(cell.wrong for cell in cells):
        return WRONG
    return INCONCLUSIVE if any(cell.failed for cell in cells) else MET


def _named(name: str, known: Mapping[str, T], what: str) -> T:
    if name not in known:
        raise UnknownName(f"No {what} {name!r}.{did_you_mean(name, known)}")
    return known[name]


async def _measure(cells: Sequence[Cell], count: int, seed: int, log: Log, run: runs.Run, say: Say) -> None:
    """Measure round after round, so that what disturbs the machine for a while disturbs every peer."""
    for number in range(count):
        for cell in cells:
            if cell.lacks or cell.wrong or cell.failed:
                continue
            say(f"{cell.work.name} on {cell.peer.name}, run {number + 1} of {count}")
            try:
                due = await asyncio.to_thread(backlog, cell.work, cell.peer, seed)
                figure = await measure(cell.work, cell.peer, due, log, run.logs)
            except WrongAnswer as error:
                cell.wrong = str(error)
                continue
            except (EngineFailed, Deadline, UnsupportedPipeline) as error:
                cell.failed = str(error)
                continue
            cell.figures.append(figure)
            run.append("micro", {"work": cell.work.name, "peer": cell.peer.name, **msgspec.to_builtins(figure)})


def _restore(count: int, log: Log, run: runs.Run, say: Say) -> list[Restored]:
    """Lose the state of our engine `count` times."""
    found = []
    for number in range(count):
        say(f"a lost disk, run {number + 1} of {count}")
        found.append(asyncio.run(restore(OURS, log, run.logs)))
        run.append("micro", {"work": "restore", "peer": OURS, **msgspec.to_builtins(found[-1])})
    return found


def _show(cells: Sequence[Cell], count: int, run: runs.Run, restored: Sequence[Restored]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    others = [figure.others for cell in cells for figure in cell.figures]
    used = f"others used up to {max(each.cpu for each in others):.1%} of them" if others else "nothing measured"
    console.print(
        f"CPU us an event of the whole worker, min / median / max of {count} runs; {EVENT_BYTES}-byte JSON, "
        f"{KEYS} keys, {PARTITIONS} partitions, full rate; {os.cpu_count()} cores, {used}",
        markup=False,
    )
    if any(map(busy, others)):
        console.print(
            "Not for decisions: others used the machine. A worker that waits for a core commits by the clock all the "
            "same, with fewer events in each commit, so each event pays more.",
            style="bold yellow",
        )
    peers = list({cell.peer.name: cell.peer for cell in cells}.values())
    table = Table("work", *(peer.name for peer in peers), "goal", "of Kafka Streams", box=None)
    for work in {cell.work.name: cell.work for cell in cells}.values():
        row = {cell.peer.name: cell for cell in cells if cell.work is work}
        table.add_row(work.name, *(row[peer.name].shown() for peer in peers), *_goals(work, row))
    console.print(table)
    for peer in peers:
        console.print(f"{peer.name}: {peer.title}; {peer.events} events after {peer.warmup}", markup=False)
    for cell in cells:
        for says in filter(None, (cell.lacks, cell.wrong, cell.failed)):
            console.print(f"{cell.work.name} on {cell.peer.name}: {says}", markup=False)
    for each in restored:
        console.print(f"{OURS} restores {each.shown()}", markup=False)
    console.print(f"Record: {run.path}", markup=False)


def _goals(work: Work, row: dict[str, Cell]) -> tuple[str, str]:
    """Say how our engine stands to its goal, and to the rival with a row for every input."""
    ours = row[OURS].median if OURS in row else None
    goal = f"{work.goal_us:g}" if work.gate_us is None else f"{work.goal_us:g}, gate {work.gate_us:g}"
    if ours is None:
        return goal, ""
    goal += " met" if ours <= work.goal_us else f" missed by {ours - work.goal_us:.2f}"
    rival = row[RIVAL].median if RIVAL in row else None
    if rival is None:
        return goal, ""
    return goal, f"{ours / rival:.0%}{'' if ours <= SHARE * rival else f', goal {SHARE:.0%}'}"
