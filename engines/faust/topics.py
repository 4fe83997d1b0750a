"""Internal topics: the settings under which no state is lost, set at creation and checked at every start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engines.faust.base import STALE_AFTER_S
from engines.faust.plan import StagePlan

_COMMON = {"unclean.leader.election.enable": "false"}
"""Else a replica that lacks committed records may become the leader."""
_CHANGELOG = _COMMON | {"cleanup.policy": "compact", "delete.retention.ms": str(2 * STALE_AFTER_S * 1000)}
"""A store that is read on after `STALE_AFTER_S` still needs every tombstone written since."""
_REPARTITION = _COMMON | {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""Nothing is deleted before it was processed, nor compacted: records of one key are events, not versions."""
_LEAST = {"delete.retention.ms": STALE_AFTER_S * 1000}
"""Settings of which more is as good."""


def internal(stages: Sequence[StagePlan]) -> dict[str, dict[str, str]]:
    """Return the internal topics of stages with their settings."""
    changelogs = {stage.changelog: dict(_CHANGELOG) for stage in stages}
    return changelogs | {stage.output: dict(_REPARTITION) for stage in stages if stage.internal}


def wrong(topic: str, found: Mapping[str, str], wanted: Mapping[str, str], bootstrap: str) -> str:
    """Return how the settings of a topic would lose state, and the command that mends it; empty if they would not.

    A setting that the broker does not report is one that it does not have.
    """
    bad = {name: value for name, value in wanted.items() if not _holds(name, found.get(name, value), value)}
    if not bad:
        return ""
    return (
        f"Topic {topic} has {' and '.join(f'{name}={found[name]}' for name in bad)}, under which state is lost; "
        f"{' and '.join(f'{name}={value}' for name, value in bad.items())} is needed. Set it: kafka-configs "
        f"--bootstrap-server {bootstrap} --alter --entity-type topics --entity-name {topic} --add-config "
        f"{','.join(f'{name}={value}' for name, value in bad.items())}"
    )


def miscounted(topic: str, found: int, told: int) -> str:
    """Return the message on a topic whose number of partitions is not the job's."""
    return (
        f"Topic {topic} has {found} partitions; the job was told {told}, of every topic. Keys may lie in other "
        f"partitions than their state: a job with another number of partitions needs another name (consumer group)."
    )


def _holds(name: str, found: str, wanted: str) -> bool:
    return int(found) >= _LEAST[name] if name in _LEAST else found == wanted
