"""What a job's tasks say of themselves, put together: how far it is, what came out, what it counted.

A task's word is of its last commit, so it is true whoever says it, even a worker that has lost the partition since: of
two that speak of one task, the one that is further knows more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from engines.contract import Place, Progress
from engines.faust.plan import StagePlan

COUNTERS = ("late", "duplicates", "dead")


class Standing(msgspec.Struct, kw_only=True):
    """Where one task stands, as of its last commit."""

    stage: str
    partition: int
    positions: dict[str, int]
    """Place -> the next offset to process."""
    end: int
    """The offset after the last record in its partition of the output; 0 for a stage that feeds another."""
    commits: int
    heard: dict[str, dict[int, int]]
    """The stage before -> its partition -> the number of its last commit that was heard."""
    watermark_us: int | None
    late: int
    duplicates: int
    dead: int
    rows: int


class Books:
    """The tasks of one settle. `asked`: job -> input place -> offset to be reached."""

    def __init__(self, asked: Mapping[str, Mapping[Place, int]], stages: Sequence[StagePlan]) -> None:
        self._asked = asked
        self._stages = {job: [stage for stage in stages if stage.job == job] for job in asked}
        self._known: dict[tuple[str, int], Standing] = {}

    def enter(self, standings: Iterable[Any]) -> None:
        """Take what a worker said."""
        for standing in msgspec.convert(standings, list[Standing], strict=False):
            task = standing.stage, standing.partition
            if task not in self._known or self._known[task].commits <= standing.commits:
                self._known[task] = standing

    def settled(self, job: str) -> bool:
        """Return whether every task of the job is known, and has got as far as was asked."""
        return not self.missing(job)

    @property
    def all_settled(self) -> bool:
        return all(map(self.settled, self._asked))

    def ends(self, job: str) -> dict[Place, int]:
        """Return where the job's output ends, by place."""
        last = self._stages[job][-1]
        return {(last.output, task.partition): task.end for task in self._tasks(last)}

    def counted(self, job: str) -> dict[str, int]:
        """Return the counters since the job began."""
        return {name: sum(getattr(task, name) for task in self._of(job)) for name in COUNTERS}

    def progress(self, job: str, counted: Mapping[str, int]) -> Progress:
        """Return where the job stands; `counted`: the counters of this step."""
        last = self._tasks(self._stages[job][-1])
        marks = [task.watermark_us for task in last if task.watermark_us is not None]
        watermark = min(marks) if marks and len(marks) == len(last) else None
        return Progress(watermark_us=watermark, state_rows=sum(task.rows for task in self._of(job)), **counted)

    def missing(self, job: str) -> str:
        """Say what has not been reached or heard, or is nobody's; empty if nothing is missing."""
        at = {place: offset for task in self._of(job) for place, offset in task.positions.items()}
        asked = {f"{topic}/{partition}": end for (topic, partition), end in self._asked[job].items()}
        behind = [
            f"{place} is at {at.get(place, 0)} of {end}" for place, end in asked.items() if at.get(place, 0) < end
        ]
        return ", ".join([*behind, *(lack for stage in self._stages[job] for lack in self._lacks(stage))])

    def _lacks(self, stage: StagePlan) -> Iterator[str]:
        for partition in range(stage.partitions):
            task = self._known.get((stage.name, partition))
            if task is None:
                yield f"partition {partition} of {stage.name} is nobody's"
                continue
            for feeder in stage.feeds.values():
                for upstream in range(stage.partitions):
                    said = self._known.get((feeder, upstream))
                    heard = task.heard.get(feeder, {}).get(upstream, 0)
                    if said is not None and heard < said.commits:
                        of = f"{said.commits} commits of {feeder}/{upstream}"
                        yield f"{stage.name}/{partition} has heard {heard} of {of}"

    def _of(self, job: str) -> list[Standing]:
        return [task for stage in self._stages[job] for task in self._tasks(stage)]

    def _tasks(self, stage: StagePlan) -> list[Standing]:
        found = (self._known.get((stage.name, partition)) for partition in range(stage.partitions))
        return [task for task in found if task is not None]
