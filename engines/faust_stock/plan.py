"""What a worker process is told: a deployment as one JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engines import codec
from engines.contract import Job
from semantics.pipeline import Aggregate, Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """One job: one agent, and one Table named like it where it keeps state."""

    name: str
    pipeline: Any
    """As `engines.codec` encodes it."""
    input: str
    output: str
    partitions: int

    def compiled(self) -> Pipeline:
        return codec.from_json(self.pipeline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A deployment: one Faust app. `group` is its id, which names consumer group, changelogs and transactions."""

    bootstrap: str
    group: str
    member: str
    """The worker's own name in the group, so that a restarted worker takes its dead predecessor's place at once."""
    guarantee: str
    """Faust's `processing_guarantee`."""
    commit_interval_s: float
    data_dir: str
    jobs: Sequence[JobPlan]

    def write(self, path: Path) -> None:
        path.write_bytes(msgspec.json.encode(self))


def read(path: Path) -> Plan:
    """Read what `Plan.write` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Plan)


def stateful(pipeline: Pipeline) -> bool:
    """Return whether a job of this pipeline has a Table."""
    return isinstance(pipeline, Aggregate)


def changelogs(group: str, jobs: Sequence[Job]) -> Mapping[str, int]:
    """Return the changelog topics by the names that Faust gives them, with their partitions."""
    return {f"{group}-{job.name}-changelog": job.partitions for job in jobs if stateful(job.pipeline)}
