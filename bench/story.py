"""The three answers to one expectation on one engine, side by side: what `explain` prints and the report draws."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.tables import meaning
from engines.contract import Declaration
from semantics import notation
from semantics.expectation import Expectation, Outcome
from semantics.history import Again, History, Restarted, Scaled, Struck, Undecided, Unseen
from semantics.notation import print_figure, print_row, print_step
from semantics.oracle import Prediction, StepResult, predict
from semantics.pipeline import Aggregate, Emit
from semantics.rows import Row, names_ids, sort_key, without_ids
from semantics.rules import CONTRACT, Sink
from semantics.timeline import Crash, Step
from semantics.verdict import Observed, Verdict, observe

RECONSTRUCTED = ", reconstructed (the process had come further, and its newer files were taken back before the restart)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row that at least one answer has in a step, and how often each has it. None: there is no such answer."""

    row: Row
    text: str
    demanded: int
    allowed: int
    """How often it may come out beyond that: a value that the key had before its last one."""
    predicted: int
    observed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure that the demand names for a step, in all three answers; observed is None without a run."""

    name: str
    demanded: str
    predicted: str
    observed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One step of the script, and what was to be seen and what was."""

    step: Step
    text: str
    wrong: bool
    """Whether it is the first step whose observation was not as demanded."""
    lines: tuple[Line, ...]
    figures: tuple[Figure, ...]
    repeats: bool
    """Whether the prediction is each row at least once: a kill struck, and the sink repeats what it had written."""
    observed: bool
    """Whether there is an observation of this step at all."""
    contract_wm: int | None
    """The watermark after the step by the contract, in microseconds from T0."""
    engine_wm: int | None
    """The engine's own: as observed if it told, else as predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One overridden rule: its question, the engine's value, the contract's value, the source."""

    rule: str
    decides: str
    value: str
    means: str
    contract: str
    source: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One cell in full."""

    expectation: Expectation
    engine: str
    title: str
    verdict: Verdict
    scenes: tuple[Scene, ...]
    reasons: tuple[tuple[Reason, ...], ...]
    """Sets of rules. The return of any one set to the contract would end the deviation."""
    demands: int
    """How many outcomes the demand allows; the one nearest to the observation is shown."""
    notes: tuple[str, ...]
    """What else was seen: kills, restarts, errors."""
    played: bool
    repeat: str
    """The command that plays it again."""


def tell(
    expectation: Expectation, name: str, declaration: Declaration, verdict: Verdict, seen: History | None
) -> Story:
    """Set demand, prediction and observation side by side, each in the outcome nearest to what was observed.

    `name` is engine[:variant]; without a history the prediction stands alone.
    """
    ids = any(names_ids(row) for outcome in expectation.demand for demand in outcome for row in demand.rows)
    observed = None if seen is None else observe(expectation, seen)
    predictions = predict(expectation.pipeline, expectation.timeline, declaration.rules)
    rows = None if observed is None else [_counted(step.rows, ids) for step in observed]
    predicted = _nearest(predictions, rows or _demanded(expectation.demand[0], ids), ids)
    outcome, demanded, contract = _demand(expectation, rows or [_counted(step.rows, ids) for step in predicted], ids)
    scenes = []
    for number, step in enumerate(expectation.timeline):
        shown = None if observed is None else observed[number]
        told = None if shown is None else shown.figures.get("wm")
        scenes.append(
            Scene(
                step=step,
                text=print_step(step),
                wrong=verdict.step == number,
                lines=_lines(
                    demanded[number],
                    predicted[number].rows,
                    None if shown is None else shown.rows,
                    ids=ids,
                    updates=_updates(expectation),
                ),
                figures=_figures(outcome[number].figures, predicted[number], shown),
                repeats=number > 0
                and isinstance(expectation.timeline[number - 1], Crash)
                and declaration.rules.sink is Sink.AT_LEAST_ONCE,
                observed=shown is not None,
                contract_wm=contract[number].wm,
                engine_wm=told if isinstance(told, int) else predicted[number].wm,
            )
        )
    return Story(
        expectation=expectation,
        engine=name,
        title=declaration.title,
        verdict=verdict,
        scenes=tuple(scenes),
        reasons=tuple(tuple(_reason(declaration, rule) for rule in found) for found in verdict.rules),
        demands=len(expectation.demand),
        notes=() if seen is None else tuple(_notes(seen)),
        played=seen is not None,
        repeat=shlex.join(["pytest", "-m", "semantics", "--engine", name, "-k", expectation.id]),
    )


def _reason(declaration: Declaration, rule: str) -> Reason:
    override = next(override for override in declaration.overrides if override.rule == rule)
    value = getattr(declaration.rules, rule)
    return Reason(
        rule=rule,
        decides=(type(value).__doc__ or "").strip().partition(". ")[0].rstrip(".") + ".",
        value=value.name,
        means=meaning(value),
        contract=getattr(CONTRACT, rule).name,
        source=override.source,
        remedy=override.remedy,
    )


def _demand(
    expectation: Expectation, near: Sequence[Counter[str]], ids: bool
) -> tuple[Outcome, list[Sequence[Row]], Prediction]:
    """Return the demanded outcome nearest to `near`, its rows in full, and the contract's prediction of it.

    A demand for updates names each key's last row only: the rows on the way there are the contract's.
    """
    outcome = min(expectation.demand, key=lambda o: _distance(_demanded(o, ids), near))
    contract = _nearest(predict(expectation.pipeline, expectation.timeline), _demanded(outcome, ids), ids)
    rows: list[Sequence[Row]] = [step.rows for step in (contract if _updates(expectation) else outcome)]
    return outcome, rows, contract


def _updates(expectation: Expectation) -> bool:
    return isinstance(expectation.pipeline, Aggregate) and expectation.pipeline.emit is Emit.UPDATE


def _nearest(predictions: Iterable[Prediction], near: Sequence[Counter[str]], ids: bool) -> Prediction:
    def distance(prediction: Prediction) -> tuple[int, str]:
        return _distance([_counted(step.rows, ids) for step in prediction], near), repr(prediction)

    return min(predictions, key=distance)


def _demanded(outcome: Outcome, ids: bool) -> list[Counter[str]]:
    return [_counted(demand.rows, ids) for demand in outcome]


def _distance(these: Sequence[Counter[str]], those: Sequence[Counter[str]]) -> int:
    return sum(((this - that) + (that - this)).total() for this, that in zip(these, those, strict=True))


def _counted(rows: Iterable[Row], ids: bool) -> Counter[str]:
    return Counter(print_row(row if ids else without_ids(row)) for row in rows)


def _lines(
    demanded: Sequence[Row], predicted: Iterable[Row], observed: Iterable[Row] | None, *, ids: bool, updates: bool
) -> tuple[Line, ...]:
    answers = [list(demanded), list(predicted), list(observed or ())]
    rows: dict[str, Row] = {}
    for row in sorted((row for answer in answers for row in answer), key=sort_key):
        bare = row if ids else without_ids(row)
        rows.setdefault(print_row(bare), bare)
    # Of updates only the last row of a key is demanded; those before are values that it had.
    due = {(row.key, getattr(row, "start_us", None)): row for row in demanded}.values() if updates else demanded
    want, had, expect, saw = (_counted(answer, ids) for answer in (due, *answers))
    return tuple(
        Line(
            row=row,
            text=text,
            demanded=want[text],
            allowed=had[text] - want[text],
            predicted=expect[text],
            observed=None if observed is None else saw[text],
        )
        for text, row in rows.items()
    )


def _figures(named: Mapping[str, notation.Figure], predicted: StepResult, seen: Observed | None) -> tuple[Figure, ...]:
    figures = []
    for name, demanded in named.items():
        told = None if seen is None else seen.figures.get(name)
        if name == "state" and isinstance(told, int):
            told -= predicted.sentinels
        answers = (demanded, getattr(predicted, name), told)
        want, expect, saw = (print_figure(name, answer) for answer in answers)
        figures.append(
            Figure(name=name, demanded=want, predicted=expect, observed=None if seen is None else saw),
        )
    return tuple(figures)


def _notes(seen: History) -> Iterable[str]:
    for entry in seen.entries:
        match entry:
            case Struck(step=step, point=point, evidence=evidence, reconstructed=rebuilt):
                yield f"step {step + 1}: killed at {point}{RECONSTRUCTED if rebuilt else ''}: {evidence}"
            case Restarted(step=step, wiped=wiped):
                yield f"step {step + 1}: started again{', its local state wiped' if wiped else ''}"
            case Scaled(step=step, workers=workers):
                yield f"step {step + 1}: {workers} worker{'s' if workers > 1 else ''} from here on"
            case Undecided(step=step, reason=reason):
                yield f"step {step + 1}: undecided: {reason}"
            case Unseen(rows=rows):
                yield f"came out only after the last step had settled: {' '.join(map(print_row, rows))}"
            case Again(reason=reason):
                yield f"played again: {reason}"
