"""`python -m bench probe --engine spark`: ask an engine for every combination, and compare with what is recorded.

What is recorded lies beside the engine, for its pinned version; docs/spark-support.md and docs/claims.md show it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.plan import InvalidPlan
from bench.show import progress
from engines import registry
from engines.probing import Answer, Probe, Prober, Record, contradicted, differences, load, save
from semantics.errors import UnknownName, did_you_mean

DIFFERS = 1


def main(engine: str, *, only: Sequence[str], record: bool, as_json: bool) -> int:
    """Probe, and print what differs from the record; with `record`, write it anew. Return the exit code.

    `only`: beginnings of probe ids. Raises `UnknownName`, `EnvironmentNotReady`, `EngineFailed`, `CorruptRun`.
    """
    prober = registry.prober(engine)
    if prober is None:
        print(f"{engine} has no probes: what it runs and refuses is its declaration (python -m bench list).")
        return 0
    registry.require(engine)
    probes = chosen(prober.probes, only)
    with tempfile.TemporaryDirectory(prefix="weir-probe-logs-") as logs, progress() as say:
        answers = asyncio.run(prober.ask(probes, Path(logs), say))
    if record:
        _record(prober, probes, answers)
        print(f"{len(answers)} answers written to {prober.record.name}. Now `make docs`.", file=sys.stderr)
        return 0
    if as_json:
        print(msgspec.json.encode({"versions": prober.versions(), "answers": answers}).decode())
        return 0
    return _tell(prober, probes, answers)


def _record(prober: Prober, probes: Sequence[Probe], answers: Mapping[str, Answer]) -> None:
    """Write the answers; those that were not asked again stay, if they are of the same versions."""
    versions, known = dict(prober.versions()), {probe.id for probe in prober.probes}
    kept: dict[str, Answer] = {}
    if len(probes) < len(known):
        before = load(prober.record)
        if before.versions != versions:
            raise InvalidPlan(f"The record is of {before.versions}: leave --only away, so that all of it is new.")
        kept = {id: answer for id, answer in before.answers.items() if id in known}
    save(prober.record, Record(versions=versions, answers=kept | dict(answers)))


def chosen(probes: Sequence[Probe], only: Sequence[str]) -> list[Probe]:
    """Return the probes whose id begins with one of `only`; all, if that is empty. Raises `UnknownName`."""
    for part in only:
        if not any(probe.id.startswith(part) for probe in probes):
            areas = [probe.id for probe in probes] + [probe.area for probe in probes]
            raise UnknownName(f"No probe begins with {part!r}.{did_you_mean(part, areas)}")
    return [probe for probe in probes if not only or probe.id.startswith(tuple(only))]


def _tell(prober: Prober, probes: Sequence[Probe], answers: Mapping[str, Answer]) -> int:
    before = load(prober.record)
    differing = differences(probes, before.answers, answers)
    yes = sum(answer.yes for answer in answers.values())
    print(f"{prober.engine}: {len(probes)} probes, {yes} yes, {len(probes) - yes} no.")
    for statement in prober.statements:
        for probe in contradicted(statement, probes, answers):
            print(f"guide {statement.id} says otherwise: {probe.id}")
    for line in differing:
        print(f"differs: {line}")
    recorded = ", ".join(f"{name} {version}" for name, version in before.versions.items())
    print(f"{len(differing) or 'Nothing'} differs from what is recorded of {recorded}.")
    return DIFFERS if differing else 0
