"""Results as text: matrix of expectation x engine, reason of each deviation, one failure in full."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from bench.suite import Result
from engines import registry
from semantics.catalogue import FAMILIES, all_expectations
from semantics.expectation import Demand, Expectation
from semantics.history import Refused, Struck, Undecided, Unseen
from semantics.notation import print_figure, print_row, print_step
from semantics.oracle import Prediction, predict
from semantics.rows import Row, sort_key
from semantics.rules import CONTRACT, Rules
from semantics.verdict import Observed, Value, Verdict, observe

GLYPHS = {
    Value.HOLDS: "✓",
    Value.DEVIATES: "≠",
    Value.REFUSES: "⊘",
    Value.NOT_IMPLEMENTED: "…",
    Value.UNSUPPORTED: "·",
    Value.STALE: "STALE",
    Value.BROKEN: "BROKEN",
    Value.UNKNOWN: "?",
}
LEGEND = "✓ holds   ≠ deviates, as declared   ⊘ refuses   · unsupported   … not implemented   ? unknown"
BIAS = "The runtime behind `faust` was written to this contract, by the same people (README.md, The bias, said aloud)."
_STYLES = {
    Value.HOLDS: "green",
    Value.DEVIATES: "yellow",
    Value.STALE: "red",
    Value.BROKEN: "red",
    Value.UNKNOWN: "red",
}

Cells = Mapping[str, Mapping[str, Verdict]]
"""Engine -> expectation id -> its verdict."""


def table(cells: Cells) -> Table:
    """Return the matrix for a terminal."""
    engines = list(cells)
    title = f"What holds where. {BIAS}" if "faust" in cells else "What holds where"
    grid = Table(title=title, caption=LEGEND, title_justify="left", caption_justify="left")
    grid.add_column("id", no_wrap=True)
    grid.add_column("expectation")
    for engine in engines:
        grid.add_column(engine, justify="center")
    for expectation in _expectations(cells):
        marks = [_mark(cells[engine].get(expectation.id)) for engine in engines]
        grid.add_row(expectation.id, expectation.claim, *marks)
    return grid


def counts(verdicts: Iterable[Verdict]) -> str:
    """Return "58 hold, 12 deviate, 3 unsupported" for one engine."""
    number = Counter(verdict.value for verdict in verdicts)
    words = {Value.HOLDS: "hold", Value.DEVIATES: "deviate", Value.REFUSES: "refused", Value.UNKNOWN: "unknown"}
    return ", ".join(f"{number[value]} {words.get(value, value.value)}" for value in Value if number[value])


def deviations(cells: Cells) -> list[str]:
    """Return a line for each reason why cells do not simply hold: engine, verdict, reason, the expectations' ids."""
    lines = []
    for engine, column in cells.items():
        lines += _grouped(engine, {id: verdict for id, verdict in column.items() if verdict.value is not Value.HOLDS})
    for engine, column in cells.items():
        again = {id: verdict.again for id, verdict in column.items() if verdict.again}
        if again:
            why = next(iter(again.values())).splitlines()[0]
            lines.append(f"{engine} played again, each alone, after their deployment died ({why}): {', '.join(again)}")
    return lines


def unlike(cells: Cells) -> list[str]:
    """Return lines for each variant: its verdicts in numbers, then those that differ from its engine's."""
    lines = []
    for name, column in cells.items():
        engine, variant = registry.get(name)
        own = cells.get(engine.name, {})
        if not (variant and own):
            continue
        other = {id: verdict for id, verdict in column.items() if id in own and _said(verdict) != _said(own[id])}
        among = f"{len(column)} of {len(own)} played ({counts(column.values())})"
        lines.append(f"{name}: {among}, {len(other) or 'none'} unlike {engine.name}")
        lines += _grouped(name, other)
    return lines


def _grouped(engine: str, column: Mapping[str, Verdict]) -> list[str]:
    """Return a line for each verdict and reason, with the ids of which it was said."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for id, verdict in column.items():
        found[_said(verdict)].append(id)
    return [f"{engine} {': '.join(filter(None, said))}: {', '.join(ids)}" for said, ids in found.items()]


def _said(verdict: Verdict) -> tuple[str, str]:
    """Return what must be equal for two engines to agree; what holds needs no reason."""
    return verdict.value.value, "" if verdict.value is Value.HOLDS else verdict.reason


def markdown(cells: Cells, *, core: bool = False) -> str:
    """Return the matrix as a Markdown table; `core`: of the core expectations alone."""
    engines = list(cells)
    lines = [f"| | expectation | {' | '.join(engines)} |", f"|---|---|{':-:|' * len(engines)}"]
    family = ""
    for expectation in _expectations(cells):
        if core and not expectation.core:
            continue
        if expectation.family != family:
            family = expectation.family
            lines.append(f"| | **{FAMILIES[family]}** |{' |' * len(engines)}")
        marks = [GLYPHS[verdict.value] if (verdict := cells[e].get(expectation.id)) else "" for e in engines]
        lines.append(f"| {expectation.id} | {expectation.claim} | {' | '.join(marks)} |")
    return "\n".join([*lines, "", LEGEND])


def story(result: Result) -> str:
    """Return one cell in full: claim, script with `=>` at the step that went wrong, three answers, how to repeat."""
    expectation, verdict = result.expectation, result.verdict
    engine, variant = registry.get(result.engine)
    rules = engine.declaration(variant).rules
    observed = observe(expectation, result.history)
    predicted = _nearest(expectation, rules)
    lines = [
        f"{expectation.id} on {result.engine} {verdict.value.value}: {expectation.claim}",
        f"  {verdict.reason}",
        f"  why it matters: {expectation.because}",
        "",
    ]
    for number, step in enumerate(expectation.timeline):
        arrow = "=>" if number == verdict.step else "  "
        lines.append(f"{arrow} step {number + 1}: {print_step(step)}")
        demands = dict.fromkeys(demand_text(outcome[number]) for outcome in expectation.demand)
        lines.append(f"     demanded   {' or '.join(demands)}")
        if rules != CONTRACT:
            lines.append(f"     predicted  {predicted[number]}")
        lines.append(f"     observed   {_observed_text(observed[number], expectation, number)}")
    told = (Struck, Undecided, Refused, Unseen)
    lines += [f"  {entry}" for entry in result.history.entries if isinstance(entry, told)]
    repeat = shlex.join(["pytest", "-m", "semantics", "--engine", result.engine, "-k", expectation.id])
    return "\n".join([*lines, "", f"  repeat with: {repeat}"])


def _expectations(cells: Cells) -> list[Expectation]:
    ids = {id for column in cells.values() for id in column}
    return [expectation for expectation in all_expectations() if expectation.id in ids]


def _mark(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    style = _STYLES.get(verdict.value)
    return f"[{style}]{GLYPHS[verdict.value]}[/]" if style else GLYPHS[verdict.value]


def _nearest(expectation: Expectation, rules: Rules) -> Sequence[str]:
    """Return the prediction step by step; where a script leaves several, each distinct one."""
    predictions: frozenset[Prediction] = predict(expectation.pipeline, expectation.timeline, rules)
    return [
        " or ".join(sorted({_rows_text(prediction[number].rows) for prediction in predictions}))
        for number in range(len(expectation.timeline))
    ]


def demand_text(demand: Demand) -> str:
    """Return what a step must show: rows, then the figures that are named."""
    return " ".join([_rows_text(demand.rows), *(f"{n}:{print_figure(n, v)}" for n, v in demand.figures.items())])


def _observed_text(observed: Observed, expectation: Expectation, number: int) -> str:
    named = set[str]().union(*(outcome[number].figures for outcome in expectation.demand))
    figures = [f"{name}:{print_figure(name, observed.figures.get(name))}" for name in sorted(named)]
    return " ".join([_rows_text(observed.rows), *figures])


def _rows_text(rows: Sequence[Row]) -> str:
    return " ".join(print_row(row) for row in sorted(rows, key=sort_key)) or "nothing"
