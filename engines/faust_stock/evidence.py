"""What the broker shows while a worker stands still at a crash point: Faust's word is not taken for it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from engines.contract import Job, Log, Place
from engines.errors import Deadline
from engines.faust_stock.plan import changelogs
from semantics.timeline import CrashPoint

SHOWN_WITHIN_S = 5.0
"""What an agent has changed goes to the changelog through a buffer that a task of Faust empties, in milliseconds."""
_LOOK_EVERY_S = 0.02
_ANSWER_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Scene:
    """The broker's side when a point was armed, all input being committed."""

    point: CrashPoint
    group: str
    jobs: Sequence[Job]
    ends: Mapping[Place, int]
    """Of outputs and changelogs, open transactions included."""
    committed: Mapping[Place, int]
    """The group's offsets."""

    @classmethod
    def now(cls, point: CrashPoint, log: Log, group: str, jobs: Sequence[Job]) -> Self:
        """Look at the broker. Blocks; raises `Deadline` if updates of committed events are not committed themselves."""
        places = [(job.output, lane) for job in jobs for lane in range(job.partitions)]
        places += [(topic, lane) for topic, count in changelogs(group, jobs).items() for lane in range(count)]
        ends, stable = log.ends(places, committed=False), log.ends(places)
        if left := [place for place in places if stable[place] < ends[place]]:
            # Seen now and then under exactly_once: an update that went into the transaction after its event's.
            raise Deadline(f"All input is committed, and yet a transaction is open on {left}: no kill can be judged.")
        return cls(point, group, jobs, ends, _offsets(log, group, jobs))

    def input_ends(self, log: Log) -> Mapping[str, Mapping[Place, int]]:
        """Return where each job's input ends, a job at a time. Blocks."""
        return {job.name: log.ends(_inputs(job)) for job in self.jobs}

    def verify(self, log: Log) -> str:
        """Return what shows that the worker is at the point. Blocks; raises `Deadline` if the broker disagrees."""
        deadline = time.monotonic() + SHOWN_WITHIN_S
        while wrong := self._wrong(log):
            if time.monotonic() > deadline:
                raise Deadline(f"Waited {SHOWN_WITHIN_S:g} s for the broker to show {self.point.value}: {wrong}.")
            time.sleep(_LOOK_EVERY_S)
        written = sum(log.ends(list(self.ends), committed=False).values()) - sum(self.ends.values())
        match self.point:
            case CrashPoint.BEFORE_PROCESS:
                return f"nothing was written, and group {self.group} has committed nothing, since the point was armed"
            case CrashPoint.AFTER_SINK:
                return f"{written} records of output and changelog are on the log, and no offset is committed"
            case _:
                return f"{written} records of output and changelog are on the log, and all input is committed"

    def _wrong(self, log: Log) -> str:
        now, offsets = log.ends(list(self.ends), committed=False), _offsets(log, self.group, self.jobs)
        inputs = {place: end for ends in self.input_ends(log).values() for place, end in ends.items()}
        moved = [place for place in self.ends if now[place] != self.ends[place]]
        committed = [place for place in inputs if offsets[place] != self.committed[place]]
        match self.point:
            case CrashPoint.BEFORE_PROCESS:
                return f"written or committed: {moved + committed}" if moved or committed else ""
            case CrashPoint.AFTER_SINK:
                if committed:
                    return f"committed: {committed}"
                still = [topic for topic in self._changed(inputs) if topic not in {place[0] for place in moved}]
                return f"nothing new on {still}" if still else ""
            case _:
                behind = {place: (offsets[place], end) for place, end in inputs.items() if offsets[place] < end}
                return f"not committed: {behind}" if behind else ""

    def _changed(self, inputs: Mapping[Place, int]) -> set[str]:
        """Return the changelogs of the jobs that have had input."""
        had = [job for job in self.jobs if any(inputs[place] > self.committed[place] for place in _inputs(job))]
        return set(changelogs(self.group, had))


def _inputs(job: Job) -> list[Place]:
    return [(topic, lane) for topic in job.inputs.values() for lane in range(job.partitions)]


def _offsets(log: Log, group: str, jobs: Sequence[Job]) -> Mapping[Place, int]:
    """Return the group's committed offsets, 0 where it has none."""
    asked = [TopicPartition(*place) for job in jobs for place in _inputs(job)]
    admin = AdminClient({"bootstrap.servers": log.bootstrap})
    [future] = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, asked)]).values()
    found = future.result(_ANSWER_WITHIN_S).topic_partitions
    return {(at.topic, at.partition): max(at.offset, 0) for at in found}
