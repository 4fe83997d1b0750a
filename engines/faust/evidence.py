"""What the log itself shows while a worker stands still at a crash point: the worker's word is not taken for it."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, assert_never

from engines.contract import Log, Place
from engines.errors import Deadline
from semantics.timeline import CrashPoint

VISIBLE_WITHIN_S = 5.0
"""A commit that has returned becomes visible when its markers are written, some 10 to 50 ms later."""
_LOOK_EVERY_S = 0.01
MOST_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Witness:
    """The topics that a job of this engine writes to."""

    job: str
    output: str
    dead_letters: str
    changelog: str
    partitions: int

    def places(self) -> list[Place]:
        topics = (self.output, self.dead_letters, self.changelog)
        return [(topic, partition) for topic in topics for partition in range(self.partitions)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The log's ends when a point was armed, nothing being open."""

    point: CrashPoint
    ends: Mapping[Place, int]
    jobs: Mapping[str, str]
    """Topic -> the job that writes to it."""
    changelogs: frozenset[str]
    transactional: bool
    stores: Path
    """The directory of the workers' stores: worker/job/partition."""
    logged: Mapping[Path, int]
    """Store -> bytes in its own write-ahead log."""

    @classmethod
    def now(
        cls, point: CrashPoint, log: Log, witnesses: Sequence[Witness], *, stores: Path, transactional: bool
    ) -> Self:
        """Look at the log, when every marker of the last commits is on it. Blocks; raises `Deadline`."""
        places = [place for witness in witnesses for place in witness.places()]
        changelogs = frozenset(witness.changelog for witness in witnesses)
        stable = _await_stable(log, places)
        return cls(
            point=point,
            ends=stable,
            jobs={topic: witness.job for witness in witnesses for topic, _ in witness.places()},
            changelogs=changelogs,
            transactional=transactional,
            stores=stores,
            logged={path: _logged(path) for path in stores.glob("*/*/*")},
        )

    def verify(self, log: Log, parked: Sequence[Mapping[str, Any]]) -> str:
        """Return what shows that the parked tasks are at the point. Blocks; raises `Deadline` if the log disagrees."""
        wrote: dict[Place, int] = {}
        for task in parked:
            for name, end in task["wrote"].items():
                # Tasks of one stage write to the same partitions of the next: the end is the later one's.
                wrote[_unplace(name)] = max(end, wrote.get(_unplace(name), 0))
        match self.point:
            case CrashPoint.BEFORE_PROCESS | CrashPoint.AFTER_PROCESS:
                return self._nothing_written(log, [f"{task['job']}/{task['partition']}" for task in parked])
            case CrashPoint.MID_SINK:
                left = {place: count for task in parked for place, count in task["left"].items()}
                theirs = {(task["job"], task["partition"]) for task in parked}
                return f"{self._uncommitted(log, wrote)}; {self._part(log, wrote, left, theirs)}"
            case CrashPoint.AFTER_SINK:
                return self._uncommitted(log, wrote)
            case CrashPoint.AFTER_COMMIT | CrashPoint.AFTER_PROGRESS:
                return self._visible(log, wrote, [Path(task["store"]) for task in parked])
            case unknown:
                assert_never(unknown)

    def _nothing_written(self, log: Log, tasks: Sequence[str]) -> str:
        now = log.ends(list(self.ends), committed=False)
        moved = {place: (self.ends[place], end) for place, end in now.items() if end != self.ends[place]}
        if moved:
            raise Deadline(f"Nothing should have been written yet at {self.point.value}, but ends moved: {moved}.")
        if not tasks:
            raise Deadline(f"No task says that it stands at {self.point.value}.")
        done = "unprocessed" if self.point is CrashPoint.BEFORE_PROCESS else "processed"
        return (
            f"no record was written since the point was armed: {len(now)} partitions end where they ended; by the "
            f"worker's own word, {_shown(tasks)} hold{'' if len(tasks) > 1 else 's'} a chunk, {done}"
        )

    def _part(
        self, log: Log, wrote: Mapping[Place, int], left: Mapping[str, int], tasks: Container[tuple[str, int]]
    ) -> str:
        """Return what shows that `tasks` wrote only a part. That more was to come, only the worker knows."""
        places = [place for place in self.ends if (self.jobs[place[0]], place[1]) in tasks]
        now = log.ends(places, committed=False)
        more = {place: (wrote.get(place, self.ends[place]), end) for place, end in now.items()}
        if moved := {place: pair for place, pair in more.items() if pair[1] > pair[0]}:
            raise Deadline(f"At mid-sink more is on the log than a part. Place: (end said, end): {moved}.")
        later = sum(count for place, count in left.items() if _unplace(place)[0] in self.changelogs)
        output = sum(left.values()) - later
        if output:
            return f"the log holds no more; by the worker's count {output} output records are still to come"
        if later:
            return f"all output is written, and none of the {later} changelog records that the worker counts"
        return "no output was due: this is the changelog's only batch, whole"

    def _uncommitted(self, log: Log, wrote: Mapping[Place, int]) -> str:
        now = log.ends(list(self.ends), committed=False)
        stable = log.ends(list(self.ends), committed=True)
        short = {place: (now[place], end) for place, end in wrote.items() if now[place] < end}
        if self.transactional:
            committed = [place for place in wrote if stable[place] != self.ends[place]]
        elif self.point is CrashPoint.AFTER_SINK:
            committed = [place for place in now if place[0] in self.changelogs and now[place] != self.ends[place]]
        else:
            committed = []
        if not wrote or short or committed:
            ends = {place: (self.ends[place], end, now[place], stable[place]) for place, end in wrote.items()}
            raise Deadline(
                f"At {self.point.value} records should be on the log, uncommitted. Place: (end before, end said, end, "
                f"stable end): {ends}; committed: {committed}."
            )
        shown = _shown(f"{p[0]}/{p[1]} {self.ends[p]}..{now[p]}" for p in wrote)
        if self.transactional:
            return f"written in an open transaction (stable ends unmoved): {shown}"
        return f"written, and no commit is on the changelog: {shown}"

    def _visible(self, log: Log, wrote: Mapping[Place, int], parked: Sequence[Path]) -> str:
        stable = _await_stable(log, list(wrote), wrote)
        written = self.point is CrashPoint.AFTER_PROGRESS
        wrong = [str(path.relative_to(self.stores)) for path in parked
                 if (_logged(path) > self.logged.get(path, 0)) is not written]  # fmt: skip
        if wrong or not parked:
            raise Deadline(
                f"At {self.point.value} the stores {wrong} should{'' if written else ' not'} be written yet."
            )
        shown = _shown(f"{p[0]}/{p[1]} to {end}" for p, end in stable.items())
        return f"committed and visible, the local stores {'' if written else 'not yet '}written: {shown}"


def _await_stable(log: Log, places: Sequence[Place], least: Mapping[Place, int] | None = None) -> Mapping[Place, int]:
    """Wait until everything on these partitions is committed or aborted, at least up to `least`."""
    deadline = time.monotonic() + VISIBLE_WITHIN_S
    while True:
        now, stable = log.ends(places, committed=False), log.ends(places, committed=True)
        behind = {p: (stable[p], now[p]) for p in places if stable[p] < max(now[p], (least or {}).get(p, 0))}
        if not behind:
            return stable
        if time.monotonic() > deadline:
            raise Deadline(f"Waited {VISIBLE_WITHIN_S:g} s for commits to become visible; stable and end: {behind}.")
        time.sleep(_LOOK_EVERY_S)


def _unplace(text: str) -> Place:
    topic, _, partition = text.rpartition("/")
    return topic, int(partition)


def _logged(store: Path) -> int:
    """Return the bytes in a store's write-ahead logs, which grow with every write."""
    return sum(file.stat().st_size for file in store.glob("*.log"))


def _shown(parts: Iterable[str]) -> str:
    told = list(parts)
    more = f" and {len(told) - MOST_SHOWN} more" if len(told) > MOST_SHOWN else ""
    return ", ".join(told[:MOST_SHOWN]) + more
