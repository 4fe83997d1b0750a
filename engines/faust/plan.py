"""What a worker process is told: a deployment as one JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from engines import codec
from engines.contract import Job, Profile
from semantics.pipeline import Pipeline


class Guarantee(Enum):
    """How outputs, state and positions are committed."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """One job, and the topic of its changelog."""

    name: str
    pipeline: Any
    """As `engines.codec` encodes it."""
    inputs: Mapping[str, str]
    output: str
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
    jobs: Sequence[JobPlan]
    bug: str = ""
    """The planted bug, by name (`engines/faust/bugs.py`); empty: the sound engine."""

    def write(self, path: Path) -> None:
        path.write_bytes(msgspec.json.encode(self))


def read(path: Path) -> Plan:
    """Read what `Plan.write` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Plan)


def changelog_topic(group: str, job: Job) -> str:
    """Return the name of a job's changelog topic."""
    return f"{group}-{job.name}-changelog"


def job_plan(group: str, job: Job) -> JobPlan:
    """Return a job as a worker is told it."""
    return JobPlan(
        name=job.name,
        pipeline=codec.to_json(job.pipeline),
        inputs=dict(job.inputs),
        output=job.output,
        dead_letters=job.dead_letters,
        changelog=changelog_topic(group, job),
        partitions=job.partitions,
    )
