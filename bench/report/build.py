"""From a run folder to the page: what the record says, arranged for the template.

Verdicts are the recorded ones; it is `check` that judges again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench import figures, matrix, runs
from bench.check import flaw, histories
from bench.explain import lines
from bench.report import charts, page, timeline
from bench.report.picture import Picture
from bench.story import Reason, Story, tell
from bench.suite import read_scripts, read_verdicts
from bench.words import describe
from engines import registry
from engines.contract import Declaration
from semantics.catalogue import FAMILIES, all_expectations
from semantics.errors import UnknownName
from semantics.expectation import Expectation
from semantics.notation import print_step
from semantics.verdict import Value, Verdict

MOST_BYTES = 1_900_000
"""A page is an attachment: above this it goes without drawings, and says so."""
_NOT_RUN = (Value.UNSUPPORTED, Value.NOT_IMPLEMENTED)
_LEGEND = {
    Value.HOLDS: "as demanded",
    Value.DEVIATES: "not as demanded, but exactly as predicted from the rules declared for this engine",
    Value.REFUSES: "the engine itself refuses the job, with the error that is declared for it",
    Value.NOT_IMPLEMENTED: "not run: our adapter has no translation yet",
    Value.UNSUPPORTED: "not run: the engine's design lacks it",
    Value.STALE: "as demanded, but not as declared: the declaration is wrong",
    Value.BROKEN: "neither as demanded nor as declared",
    Value.UNKNOWN: "could not be decided",
}
_WORDS = {
    Value.HOLDS: "hold",
    Value.DEVIATES: "deviate, exactly as predicted from the rules declared for it",
    Value.REFUSES: "refused by the engine itself, with the error that is declared for it",
    Value.NOT_IMPLEMENTED: "not run: our adapter has no translation yet",
    Value.UNSUPPORTED: "not run: the engine's design lacks it",
    Value.STALE: "hold, though the declaration predicts otherwise: it must be corrected",
    Value.BROKEN: "BROKEN: neither as demanded nor as declared",
    Value.UNKNOWN: "could not be decided",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One engine's answer to one expectation; without a story it simply holds, or was not run."""

    engine: str
    value: Value
    glyph: str
    line: str
    """Why, on one line; empty if it holds."""
    story: Story | None = None
    drawing: Picture | None = None
    text: str = ""
    """The story as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One expectation with all its cells, in the order of the columns; None: not asked of that engine."""

    id: str
    family: str
    claim: str
    core: bool
    because: str
    job: str
    script: tuple[tuple[str, str], ...]
    """Each step, and what it must show."""
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One engine."""

    name: str
    title: str
    versions: str
    sentences: tuple[str, ...]
    """How many expectations had which verdict, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """One reason for deviations of an engine, and which they are."""

    title: str
    reasons: tuple[tuple[Reason, ...], ...]
    line: str
    ids: tuple[str, ...]


class _Control(msgspec.Struct):
    """The shape of a line of controls.jsonl."""

    engine: str
    caught_by: list[str]


def render(folder: Path) -> bytes:
    """Return the page of a run, UTF-8. Raises `UnknownName` if there is no such run, `CorruptRun`."""
    built = _view(folder)
    data = page.render(built)
    if len(data) > MOST_BYTES:
        data = page.render(built | {"drawings": False})
    return data


def _view(folder: Path) -> dict[str, Any]:
    """Return everything that the template shows."""
    about = runs.manifest(folder)
    verdicts = read_verdicts(folder)
    cells = _Cells(folder, verdicts)
    entries = [_entry(expectation, cells, verdicts) for expectation in _played(verdicts)]
    benched = figures.read(folder)
    return {
        "run": folder.resolve().name,
        "about": about,
        "altered": runs.unsealed(folder, about),
        "seal_lacks": runs.seal_lacks(about),
        "summary": tuple(_summary(verdicts)),
        "bias": matrix.BIAS.replace("`", ""),
        "columns": [_column(name, verdicts[name], cells.titles[name], about) for name in verdicts],
        "families": _families(entries),
        "strays": tuple(_strays(verdicts)),
        "whys": _whys(entries, cells.titles),
        "legend": [(matrix.GLYPHS[value], value, _LEGEND[value]) for value in Value],
        "benched": [(each, figures.row(each), figures.memory(each)) for each in figures.grouped(benched)],
        "figure_headings": figures.HEADINGS,
        "machine": figures.machine(benched),
        "charts": _charts(benched),
        "controls": [(each.engine, len(each.caught_by)) for each in runs.records(folder, "controls", _Control)],
        "left_out": tuple(_left_out(verdicts)),
        "drawings": True,
    }


class _Cells:
    """Makes the cells of one run."""

    def __init__(self, folder: Path, verdicts: Mapping[str, Mapping[str, Verdict]]) -> None:
        self.seen = {(history.engine, history.expectation): history for history in histories(folder)}
        self.scripts = read_scripts(folder)
        self.declared: dict[str, Declaration | None] = {name: _declaration(name) for name in verdicts}
        self.titles = {name: declared.title if declared else name for name, declared in self.declared.items()}

    def make(self, expectation: Expectation, name: str, verdict: Verdict) -> Cell:
        history, declared = self.seen.get((name, expectation.id)), self.declared[name]
        told = verdict.value in (Value.HOLDS, *_NOT_RUN)
        line = verdict.reason if verdict.value is not Value.HOLDS else ""
        if verdict.again:
            line = f"{line}; played a second time, alone, after: {verdict.again}".removeprefix("; ")
        plain = Cell(engine=name, value=verdict.value, glyph=matrix.GLYPHS[verdict.value], line=line)
        if told or history is None or declared is None or not _tellable(expectation, declared, verdict):
            return plain
        if flaw(expectation, history, self.scripts.get((name, expectation.id))):
            return plain
        return _whole(plain, tell(expectation, name, declared, verdict, history))


def _whole(cell: Cell, story: Story) -> Cell:
    refused = story.verdict.value is Value.REFUSES
    return Cell(
        engine=cell.engine,
        value=cell.value,
        glyph=cell.glyph,
        line=cell.line,
        story=story,
        drawing=None if refused else timeline.draw(story),
        text="\n".join(lines(story, cell.value.value)),
    )


def _tellable(expectation: Expectation, declared: Declaration, verdict: Verdict) -> bool:
    """Return whether the declaration of today still has the rules that the verdict names, and the script the step."""
    rules = {rule for found in verdict.rules for rule in found}
    return rules <= set(declared.rules.overridden()) and (verdict.step or 0) < len(expectation.timeline)


def _entry(expectation: Expectation, cells: _Cells, verdicts: Mapping[str, Mapping[str, Verdict]]) -> Entry:
    steps = range(len(expectation.timeline))
    demands = [" or ".join(dict.fromkeys(matrix.demand_text(o[step]) for o in expectation.demand)) for step in steps]
    made = [
        cells.make(expectation, name, column[expectation.id]) if expectation.id in column else None
        for name, column in verdicts.items()
    ]
    return Entry(
        id=expectation.id,
        family=expectation.family,
        claim=expectation.claim,
        core=expectation.core,
        because=expectation.because,
        job=describe(expectation.pipeline),
        script=tuple(zip(map(print_step, expectation.timeline), demands, strict=True)),
        cells=tuple(made),
    )


def _played(verdicts: Mapping[str, Mapping[str, Verdict]]) -> list[Expectation]:
    ids = {id for column in verdicts.values() for id in column}
    return [expectation for expectation in all_expectations() if expectation.id in ids]


def _strays(verdicts: Mapping[str, Mapping[str, Verdict]]) -> Iterator[tuple[str, str, Value]]:
    """Yield the verdicts on expectations that the catalogue of today does not have."""
    known = {expectation.id for expectation in all_expectations()}
    for name, column in verdicts.items():
        yield from ((name, id, verdict.value) for id, verdict in column.items() if id not in known)


def _families(entries: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    """Return the entries of each family that has any, under its name."""
    grouped = {family: [entry for entry in entries if entry.family == family] for family in FAMILIES}
    return [(FAMILIES[family], members) for family, members in grouped.items() if members]


def _summary(verdicts: Mapping[str, Mapping[str, Verdict]]) -> Iterator[str]:
    failed = {f"{id} on {name}" for name, column in verdicts.items() for id, v in column.items() if v.value.fails}
    if not verdicts:
        yield "No expectation was played in this run."
    elif failed:
        yield f"Not all is well: {', '.join(sorted(failed))}."
    else:
        yield "No surprises: every answer was as demanded, or exactly as predicted from the declared rules."


def _column(name: str, column: Mapping[str, Verdict], title: str, about: Mapping[str, Any]) -> Column:
    counted = [(value, sum(verdict.value is value for verdict in column.values())) for value in Value]
    recorded = about.get("engines", {}).get(name, {}).get("versions", {})
    return Column(
        name=name,
        title=title,
        versions=", ".join(f"{part} {version}" for part, version in recorded.items()) or "not recorded",
        sentences=tuple(f"{count} of {len(column)} {_WORDS[value]}" for value, count in counted if count),
    )


def _whys(entries: Sequence[Entry], titles: Mapping[str, str]) -> list[Why]:
    """Group what does not hold by engine and reason, in order of appearance."""
    found: dict[tuple[str, str], list[tuple[str, Cell]]] = defaultdict(list)
    for entry in entries:
        for cell in entry.cells:
            if cell is not None and cell.value is not Value.HOLDS and cell.value not in _NOT_RUN:
                found[cell.engine, cell.line].append((entry.id, cell))
    whys = []
    for (engine, line), members in found.items():
        stories = [cell.story for _, cell in members if cell.story is not None]
        reasons = stories[0].reasons if stories else ()
        whys.append(Why(title=titles[engine], reasons=reasons, line=line, ids=tuple(id for id, _ in members)))
    return whys


def _charts(benched: Sequence[figures.Record]) -> list[tuple[str, Picture, Picture]]:
    """Return each scenario's name with its latencies and state sizes."""
    measured: dict[str, list[figures.Record]] = defaultdict(list)
    for record in benched:
        if record["figures"] is not None:
            measured[record.get("scenario", "")].append(record)
    return [(scenario, charts.latency(results), charts.state(results)) for scenario, results in measured.items()]


def _left_out(verdicts: Mapping[str, Mapping[str, Verdict]]) -> Iterator[str]:
    """Yield what was not run, and why."""
    every = {expectation.id for expectation in all_expectations()}
    for name, column in verdicts.items():
        reasons: dict[str, list[str]] = defaultdict(list)
        for id, verdict in column.items():
            if verdict.value in _NOT_RUN:
                reasons[f"{verdict.value.value}: {verdict.reason}"].append(id)
        yield from (f"{name}: {', '.join(ids)}: {reason}" for reason, ids in reasons.items())
        if missing := every - column.keys():
            yield f"{name}: {len(missing)} of the {len(every)} expectations of the catalogue were not asked in this run"
    for name in registry.names():
        if not any(played.partition(":")[0] == name for played in verdicts):
            yield f"{name}: not in this run"


def _declaration(name: str) -> Declaration | None:
    try:
        engine, variant = registry.get(name)
    except UnknownName:
        return None
    return engine.declaration(variant)
