"""What a job's tasks say of themselves, put together: how far it is, what came out, what it counted.

A task's word is of its last commit, so it is true whoever says it, even a worker that has lost the partition since: of
two that speak of one task, the one that is further knows more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from engines.contract import Place, Progress

COUNTERS = ("late", "duplicates", "dead")


class Standing(msgspec.Struct, kw_only=True):
    """Where one task stands, as of its last commit."""

    job: str
    partition: int
    positions: dict[str, int]
    """Place -> the next offset to process."""
    ends: dict[str, int]
    """Place -> the offset after the last record there."""
    watermark_us: int | None
    late: int
    duplicates: int
    dead: int
    rows: int


class Books:
    """The tasks of one settle. `asked`: job -> input place -> offset to be reached; `partitions`: job -> its number."""

    def __init__(self, asked: Mapping[str, Mapping[Place, int]], partitions: Mapping[str, int]) -> None:
        self._asked, self._partitions = asked, partitions
        self._known: dict[tuple[str, int], Standing] = {}

    def enter(self, standings: Iterable[Any]) -> None:
        """Take what a worker said."""
        for standing in msgspec.convert(standings, list[Standing]):
            known = self._known.get((standing.job, standing.partition))
            if known is None or sum(known.positions.values()) <= sum(standing.positions.values()):
                self._known[standing.job, standing.partition] = standing

    def settled(self, job: str) -> bool:
        """Return whether every task of the job is known and has got as far as was asked."""
        tasks = self._of(job)
        return len(tasks) == self._partitions[job] and not self._behind(job)

    @property
    def all_settled(self) -> bool:
        return all(map(self.settled, self._asked))

    def ends(self, job: str, output: str) -> dict[Place, int]:
        """Return where the output of each task ends."""
        return {(output, task.partition): task.ends[f"{output}/{task.partition}"] for task in self._of(job)}

    def counted(self, job: str) -> dict[str, int]:
        """Return the counters since the job began."""
        return {name: sum(getattr(task, name) for task in self._of(job)) for name in COUNTERS}

    def progress(self, job: str, counted: Mapping[str, int]) -> Progress:
        """Return where the job stands; `counted`: the counters of this step."""
        tasks = self._of(job)
        marks = [task.watermark_us for task in tasks if task.watermark_us is not None]
        watermark = min(marks) if marks and len(marks) == len(tasks) else None
        return Progress(watermark_us=watermark, state_rows=sum(task.rows for task in tasks), **counted)

    def missing(self, job: str) -> str:
        """Say what has not been reached, or is nobody's."""
        known = {task.partition for task in self._of(job)}
        orphans = [f"partition {number} is nobody's" for number in range(self._partitions[job]) if number not in known]
        return ", ".join([*self._behind(job), *orphans])

    def _behind(self, job: str) -> list[str]:
        at = {place: offset for task in self._of(job) for place, offset in task.positions.items()}
        asked = {f"{topic}/{partition}": end for (topic, partition), end in self._asked[job].items()}
        return [f"{place} is at {at.get(place, 0)} of {end}" for place, end in asked.items() if at.get(place, 0) < end]

    def _of(self, job: str) -> list[Standing]:
        return [task for (name, _), task in self._known.items() if name == job]
