"""What a worker process is told: a deployment as one JSON file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from engines import codec
from engines.contract import Job, Profile
from engines.faust import arguments
from engines.faust.base import SAVED_EVERY_S
from engines.faust.stages import cut
from semantics.pipeline import Pipeline, sources, timed

SESSION_TIMEOUT_S = 6.0
"""The lowest that brokers take by default. It need not be lower: a restarted worker has its predecessor's name."""
FETCH_RECORDS = 8000
COMMIT_INTERVAL_S = 0.02
"""Seconds; a commit takes 6 ms. At 20,000 events/s p99 is 56 ms (94 ms with 0.05), for 2.3 us more CPU per event. At
full rate the interval costs nothing."""
ROW_FORMAT = 2
"""To be raised when rows are encoded otherwise: state in another format is refused, not misread."""


class Guarantee(Enum):
    """How outputs, state and positions are committed."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """One stage of a job, most often all of it: a task a partition."""

    name: str
    """The job's, for its last stage."""
    job: str
    pipeline: Any
    """As `engines.codec` encodes it."""
    fingerprint: str
    """Of the format in which rows are kept, of the pipeline, and of the number of partitions."""
    inputs: Mapping[str, str]
    """Input name -> topic."""
    feeds: Mapping[str, str]
    """Input name -> the stage that feeds it."""
    output: str
    internal: bool
    """Whether the output goes to another stage, to the partition of its key; else it stays in the task's own."""
    timed: Sequence[str]
    """The inputs whose events need a time, for this stage or a later one."""
    dead_letters: str
    changelog: str
    partitions: int

    def compiled(self) -> Pipeline:
        return codec.from_json(self.pipeline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A deployment. `group` names consumer group and app; it also begins every transactional id."""

    bootstrap: str
    group: str
    member: str
    """The worker's own name in the group: stable, so that one that was killed and starts again takes its place at once.
    In a deployment of several, only what they have in common."""
    session_timeout_s: float
    guarantee: Guarantee
    commit_interval_s: float
    fetch_records: int
    profile: Profile
    state_dir: str
    """The worker's own; in a deployment of several, the directory above those."""
    stages: Sequence[StagePlan]
    saved_every_s: float = SAVED_EVERY_S
    """How often a store is written; 0: at every commit."""
    standby: bool = False
    """Keep a copy of the state that other workers own, for the case that their work comes here."""
    now_s: float | None = None
    """Processing time as workers begin, where it is told because scripts let it pass; None: it is the wall's."""
    bug: str = ""
    """The planted bug, by name (`engines/faust/bugs.py`); empty: the sound engine."""

    def write(self, path: Path) -> None:
        path.write_bytes(msgspec.json.encode(self))


def read(path: Path) -> Plan:
    """Read what `Plan.write` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Plan)


def stage_plans(group: str, job: Job) -> list[StagePlan]:
    """Return a job as a worker is told it, stage by stage. Raises `arguments.InvalidArgument`."""
    arguments.check_job(job)
    stages = cut(job.pipeline, job.partitions)
    names = [*(f"{job.name}-{number}" for number in range(len(stages) - 1)), job.name]
    internal = [f"{group}-{name}-rekeyed" for name in names[:-1]]
    changelogs = [f"{group}-{name}-changelog" for name in names]
    arguments.check_internal(group, [*internal, *changelogs], job)
    asks = timed(job.pipeline)
    return [
        StagePlan(
            name=name,
            job=job.name,
            pipeline=(encoded := codec.to_json(stage.pipeline)),
            fingerprint=_fingerprint(encoded, job.partitions),
            inputs={
                each.name: internal[stage.feeds[each.name]] if each.name in stage.feeds else job.inputs[each.name]
                for each in sources(stage.pipeline)
            },
            feeds={input: names[number] for input, number in stage.feeds.items()},
            output=output,
            internal=name != job.name,
            timed=[each.name for each in sources(stage.pipeline) if each.name in asks],
            dead_letters=job.dead_letters,
            changelog=changelog,
            partitions=job.partitions,
        )
        for name, stage, output, changelog in zip(names, stages, [*internal, job.output], changelogs, strict=True)
    ]


def _fingerprint(pipeline: Any, partitions: int) -> str:
    told = msgspec.json.encode([pipeline, partitions], order="sorted")
    return f"{ROW_FORMAT}-{hashlib.sha256(told).hexdigest()[:16]}"
