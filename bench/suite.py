"""Plays expectations on engines over one broker, judges them, and keeps the record.

Used by `pytest -m semantics` and by `python -m bench compare`, so that both say the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from bench.runs import Run, records
from engines import registry
from engines.contract import Declaration, Engine, Log
from engines.journal import Journal
from engines.memory import MemoryLog
from engines.player import Player
from semantics.expectation import Expectation
from semantics.history import History
from semantics.notation import print_step
from semantics.timeline import partitions
from semantics.verdict import Value, Verdict, judge


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """One cell of the matrix."""

    expectation: Expectation
    engine: str
    history: History
    verdict: Verdict


class _Line(msgspec.Struct):
    """The shape of a line of verdicts.jsonl."""

    engine: str
    expectation: str
    verdict: Value
    reason: str
    rules: tuple[tuple[str, ...], ...] = ()
    step: Annotated[int, msgspec.Meta(ge=0)] | None = None
    script: list[str] | None = None
    again: str = ""


class Suite:
    """Everything that one run of the catalogue shares: the log, the run folder, what to tell."""

    def __init__(self, run: Run, *, kafka: Callable[[], Log], progress: Callable[[str], None]) -> None:
        """`kafka` opens the log on the broker; it is called only when an engine needs one."""
        self.run_folder = run
        self._kafka = kafka
        self._progress = progress
        self._journal = Journal(run.path / "history.jsonl")
        self.took: list[tuple[str, float]] = []
        """Deployments of all engines: folder of logs and expectations, seconds."""

    async def run(self, name: str, expectations: Sequence[Expectation]) -> dict[str, Result]:
        """Play and judge the expectations on the engine of that name; return the cells by expectation id.

        Raises `UnknownName`, `EnvironmentNotReady`, `BrokerUnavailable`.
        """
        engine, variant = registry.require(name)
        declared = engine.declaration(variant)
        self.run_folder.manifest.setdefault("engines", {})[name] = {
            "title": declared.title,
            "versions": dict(declared.versions),
        }
        log = self._kafka() if engine.needs_broker else MemoryLog()
        player = Player(
            engine,
            variant,
            log,
            logs=self.run_folder.logs,
            journal=self._journal,
            prefix=f"weir-{self.run_folder.path.name.lower()}-",
            progress=self._progress,
        )
        histories = await player.play(expectations)
        self.took += player.took
        results = {e.id: judged(e, name, player.declaration, histories[e.id]) for e in expectations}
        for result in results.values():
            self.run_folder.append("verdicts", _record(result))
        return results

    def close(self) -> None:
        self._journal.close()


def judged(expectation: Expectation, name: str, declaration: Declaration, history: History) -> Result:
    """Judge a history, played just now or read back, under the declaration of the engine of that name."""
    refusal = declaration.capability(expectation.pipeline, partitions(expectation.timeline)).error
    defect = next((d.cause for d in declaration.deviations if d.expectation == expectation.id), "")
    verdict = judge(expectation, declaration.rules, history, refusal=refusal, defect=defect)
    return Result(expectation, name, history, verdict)


def versions(engine: Engine, variant: str) -> str:
    """Return the engine's versions on one line: "faust-streaming 0.15.3, aiokafka 0.14.0"."""
    return ", ".join(f"{name} {version}" for name, version in engine.declaration(variant).versions.items())


def read_verdicts(folder: Path) -> dict[str, dict[str, Verdict]]:
    """Return the verdicts of a run folder, engine by engine. Raises `CorruptRun` with the line that cannot be read."""
    cells: dict[str, dict[str, Verdict]] = {}
    for line in records(folder, "verdicts", _Line):
        verdict = Verdict(value=line.verdict, reason=line.reason, rules=line.rules, step=line.step, again=line.again)
        cells.setdefault(line.engine, {})[line.expectation] = verdict
    return cells


def read_scripts(folder: Path) -> dict[tuple[str, str], list[str]]:
    """Return the script that was played, by engine and expectation, where the verdicts hold it. Raises `CorruptRun`."""
    lines = records(folder, "verdicts", _Line)
    return {(line.engine, line.expectation): line.script for line in lines if line.script is not None}


def _record(result: Result) -> dict[str, object]:
    verdict = result.verdict
    return {
        "engine": result.engine,
        "expectation": result.expectation.id,
        "verdict": verdict.value.value,
        "reason": verdict.reason,
        "rules": verdict.rules,
        "step": verdict.step,
        "script": script_of(result.expectation),
        "again": verdict.again,
    }


def script_of(expectation: Expectation) -> list[str]:
    """Return the script as recorded: a verdict is of this script, whatever the catalogue says later."""
    return [print_step(step) for step in expectation.timeline]
