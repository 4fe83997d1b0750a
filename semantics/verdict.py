"""demand x prediction x observation -> a verdict, and the reason of it.

|                | observed as demanded  | observed otherwise     |
|----------------|-----------------------|------------------------|
| as predicted   | holds                 | deviates (explained)   |
| not predicted  | stale (fails)         | broken (fails)         |
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from semantics.expectation import Demand, Expectation, Outcome
from semantics.history import Again, DeadLetters, History, NotRun, Refused, Seen, Settled, Struck, Undecided, Unseen
from semantics.notation import Figure, print_row
from semantics.oracle import Prediction, StepResult, consulted, predict
from semantics.pipeline import Aggregate, Emit, Pipeline
from semantics.rows import Row, names_ids, without_ids
from semantics.rules import CONTRACT, Rules, Sink
from semantics.timeline import Crash, CrashPoint

_OF_THE_MACHINE = re.compile(r"time.?out|timed.?out|deadline|MemoryError|OutOfMemory|No space left", re.IGNORECASE)
"""Exceptions that a slow or full machine can raise twice: no evidence against an engine."""
_VOLATILE = re.compile(r"\S*[\d/]\S*")
"""Words of a message that differ between two runs of one script: offsets, ports, paths, names with a random part."""


class Value(Enum):
    """What a verdict can be."""

    HOLDS = "holds"
    DEVIATES = "deviates"
    """Otherwise than demanded, and exactly as the engine's declaration predicts."""
    REFUSES = "refuses"
    """The engine itself refused, with the class of error that its declaration names."""
    NOT_IMPLEMENTED = "not implemented"
    """Not run: our adapter has no translation."""
    UNSUPPORTED = "unsupported"
    """Not run: the engine's design lacks it."""
    STALE = "stale"
    """As demanded, but not as declared: the declaration is wrong."""
    BROKEN = "broken"
    """Neither as demanded nor as declared, or ended by the same exception in two plays."""
    UNKNOWN = "unknown"
    """Could not be decided."""

    @property
    def fails(self) -> bool:
        """Return whether a suite that meets it fails."""
        return self in (Value.STALE, Value.BROKEN, Value.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement of one history."""

    value: Value
    reason: str
    rules: tuple[tuple[str, ...], ...] = ()
    """For a deviation: the smallest sets of overridden rules whose return to the contract would end it."""
    step: int | None = None
    """The first step (from 0) whose observation was not as demanded."""
    again: str = ""
    """Why it was played a second time, alone."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What one step showed: rows in the order of the log, figures where the engine tells them."""

    rows: tuple[Row, ...]
    figures: dict[str, Figure]
    struck: str = ""
    """The crash point at which a kill struck."""
    hidden: bool = False
    """Nothing of what was under way could be seen when it struck."""


def judge(expectation: Expectation, rules: Rules, history: History, *, refusal: str = "", defect: str = "") -> Verdict:
    """Judge a history under the engine's declaration.

    `refusal`: the declared class of error of a refusal of this pipeline; `defect`: a declared deviation that rules
    cannot express.
    """
    again = next((entry for entry in history.entries if isinstance(entry, Again)), Again(reason=""))
    return replace(_judge(expectation, rules, history, refusal, defect, again.exception), again=again.reason)


def _judge(
    expectation: Expectation, rules: Rules, history: History, refusal: str, defect: str, exception: str
) -> Verdict:
    """Judge a history. `exception`: of an earlier play of the same script, which it ended."""
    for entry in history.entries:
        match entry:
            case NotRun(support=support, reason=reason):
                return Verdict(value=Value(support.replace("-", " ")), reason=reason)
            case Refused(error=error, message=message):
                if refusal and error == refusal:
                    return Verdict(value=Value.REFUSES, reason=f"{error}: {message}")
                return Verdict(value=Value.BROKEN, reason=f"refused, which is not declared: {error}: {message}")
            case Undecided(step=step, exception=second) if _same_exception(exception, second):
                reason = f"the same exception ends it each time it is played: {second}"
                return Verdict(value=Value.BROKEN, reason=reason, step=step)
            case Undecided(step=step, reason=reason):
                return Verdict(value=Value.UNKNOWN, reason=reason, step=step)
    if exception:
        return Verdict(value=Value.UNKNOWN, reason=f"an exception ended it in one of two plays: {exception}")
    if refusal:
        return Verdict(value=Value.STALE, reason=f"it ran, though a refusal with {refusal} is declared")
    hole = _hole(expectation, history)
    if hole:
        return Verdict(value=Value.UNKNOWN, reason=hole)
    odd = _odd_end(history)
    if odd:
        return Verdict(value=Value.BROKEN, reason=odd)
    return _compare(expectation, rules, observe(expectation, history), defect)


def _same_exception(first: str, second: str) -> bool:
    """Return whether two plays were ended by one exception, which is none of the machine's."""
    masked = {_VOLATILE.sub("#", exception) for exception in (first, second)}
    return bool(first) and len(masked) == 1 and not _OF_THE_MACHINE.search(second)


def _hole(expectation: Expectation, history: History) -> str:
    """Return what the history lacks to be judged by: what was not seen is not green."""
    settled = {entry.step for entry in history.entries if isinstance(entry, Settled)}
    struck = {entry.step for entry in history.entries if isinstance(entry, Struck)}
    for number, step in enumerate(expectation.timeline):
        if isinstance(step, Crash):
            if number + 1 not in struck:
                return f"no process was killed in step {number + 2}"
        elif number not in settled:
            return f"the record has no end of step {number + 1}"
    if not any(isinstance(entry, DeadLetters) for entry in history.entries):
        return "the record ends before the graceful stop"
    return ""


def _odd_end(history: History) -> str:
    """Return what the graceful stop brought to light, if anything."""
    unseen = [row for entry in history.entries if isinstance(entry, Unseen) for row in entry.rows]
    if unseen:
        return f"came out only after the last step had settled: {' '.join(map(print_row, unseen))}"
    told = [entry.dead for entry in history.entries if isinstance(entry, Settled)]
    letters = [letter for entry in history.entries if isinstance(entry, DeadLetters) for letter in entry.letters]
    for letter in letters:
        if letter.step is None:
            return f"a dead letter says that it was {letter.record}, where nothing was sent"
        if not letter.intact:
            return f"the dead letter of {letter.record} is not that record as it came"
    found = len(letters)
    struck = any(isinstance(entry, Struck) for entry in history.entries)
    known = [dead for dead in told if dead is not None]
    if not struck and len(known) == len(told) and sum(known) != found:
        return f"says that it wrote {sum(known)} dead letters, and the topic holds {found}"
    return ""


def observe(expectation: Expectation, history: History) -> tuple[Observed, ...]:
    """Return what each step of the script showed."""
    rows: dict[int, list[Seen]] = defaultdict(list)
    figures: dict[int, dict[str, Figure]] = defaultdict(dict)
    dead: dict[int, list[str]] = defaultdict(list)
    struck: dict[int, Struck] = {}
    for entry in history.entries:
        match entry:
            case Seen(step=step):
                rows[step].append(entry)
            case Settled(step=step, watermark_us=wm, late=late, dup=dup, state=state):
                figures[step] = {"wm": wm, "late": late, "dup": dup, "state": state}
            case Struck(step=step):
                struck[step] = entry
            case DeadLetters(letters=letters):
                for letter in letters:
                    dead[letter.step or 0].append(letter.reason)
    return tuple(
        Observed(
            tuple(seen.row for seen in sorted(rows[step], key=lambda seen: (seen.partition, seen.offset))),
            figures[step] | {"dead": tuple(sorted(dead[step]))},
            struck[step].point if step in struck else "",
            step in struck and struck[step].hidden,
        )
        for step in range(len(expectation.timeline))
    )


def undemanded(expectation: Expectation, rules: Rules = CONTRACT) -> frozenset[Prediction]:
    """Return what the rules predict but the expectation does not demand; empty under the contract for a sound one."""
    return frozenset(
        prediction
        for prediction in predict(expectation.pipeline, expectation.timeline, rules)
        if not any(_demands(expectation.pipeline, outcome, prediction) for outcome in expectation.demand)
    )


def _compare(expectation: Expectation, rules: Rules, observed: tuple[Observed, ...], defect: str) -> Verdict:
    pipeline = expectation.pipeline
    predictions = predict(pipeline, expectation.timeline, rules)
    observed = _without_sentinels(observed, predictions)
    wrong = _closest(pipeline, observed, _demanded(expectation))
    if defect:
        if wrong is None:
            return Verdict(value=Value.STALE, reason=f"it holds, though this defect is declared: {defect}")
        return Verdict(value=Value.DEVIATES, reason=defect, step=wrong)
    steps = zip(*expectation.demand, strict=True)
    named = [set[str]().union(*(demand.figures for demand in demands)) for demands in steps]
    predicted = [(prediction, named) for prediction in predictions]
    exactly = _closest(pipeline, observed, predicted) is None
    loosely = exactly or _closest(pipeline, observed, predicted, sink=rules.sink) is None
    if wrong is None:
        if rules.sink is Sink.AT_LEAST_ONCE and _untouched(observed):
            return Verdict(value=Value.UNKNOWN, reason="the kill after the output left no repeated row: did it bite?")
        if loosely:
            return Verdict(value=Value.HOLDS, reason=expectation.claim)
        return Verdict(value=Value.STALE, reason="it holds, but its declared rules predict otherwise")
    if not loosely:
        return Verdict(value=Value.BROKEN, reason="neither as demanded nor as its declared rules predict", step=wrong)
    found = explain(expectation, rules, with_sink=not exactly)
    reason = " or ".join(", ".join(f"{name} = {getattr(rules, name).name}" for name in names) for names in found)
    return Verdict(value=Value.DEVIATES, reason=reason, rules=found, step=wrong)


def _without_sentinels(observed: Sequence[Observed], predictions: Iterable[Prediction]) -> tuple[Observed, ...]:
    """Take the sentinel's rows, of which the rules tell the number, out of the state that the engine counted."""
    own: list[Observed] = []
    for seen, steps in zip(observed, zip(*predictions, strict=True), strict=True):
        state, sentinels = seen.figures.get("state"), {step.sentinels for step in steps}
        if isinstance(state, int) and len(sentinels) == 1:
            seen = replace(seen, figures={**seen.figures, "state": state - sentinels.pop()})
        own.append(seen)
    return tuple(own)


def _untouched(observed: Sequence[Observed]) -> bool:
    """Return whether a kill struck when all output could be seen, and yet every row is there only once."""
    after = CrashPoint.AFTER_SINK.value
    hit = [step.rows for step in observed if step.struck == after and not step.hidden and step.rows]
    return bool(hit) and all(len(set(rows)) == len(rows) for rows in hit)


def _demanded(expectation: Expectation) -> list[tuple[Prediction, list[set[str]]]]:
    """Return every demanded outcome in full, with the figures that it names.

    A demand names the last row of each key that updates; what the key was before comes from the contract's prediction.
    An alternative that the contract does not predict (`either`) stands for itself.
    """
    pipeline, full = expectation.pipeline, []
    for outcome in expectation.demand:
        named = [set(demand.figures) for demand in outcome]
        contract = [p for p in predict(pipeline, expectation.timeline, CONTRACT) if _demands(pipeline, outcome, p)]
        alone = tuple(StepResult(rows=demand.rows, **_filled(demand.figures)) for demand in outcome)
        full += [(prediction, named) for prediction in contract or [alone]]
    return full


def _filled(named: Mapping[str, Figure]) -> dict[str, Any]:
    return {"wm": None, "late": 0, "dup": 0, "dead": (), "state": 0, **named}


def _closest(
    pipeline: Pipeline,
    observed: Sequence[Observed],
    allowed: Iterable[tuple[Prediction, Sequence[set[str]]]],
    *,
    sink: Sink = Sink.EXACTLY_ONCE,
) -> int | None:
    """Return None if the observation is an allowed one, else the first wrong step of the one followed longest."""
    longest = 0
    for prediction, named in allowed:
        wrong = _first_wrong(pipeline, observed, prediction, named, sink)
        if wrong is None:
            return None
        longest = max(longest, wrong)
    return longest


def explain(expectation: Expectation, rules: Rules, *, with_sink: bool = False) -> tuple[tuple[str, ...], ...]:
    """Return the smallest sets of overridden rules whose return to the contract brings the prediction into the demand.

    `with_sink`: rows were repeated under a fault, so that `sink` must be among them.

    A set that does not do it can only be part of one that does if that returns one more of the rules which were
    consulted under it: all others leave the prediction as it is. So sets grow by those alone.
    """
    candidates = [name for name in rules.overridden() if name != "sink"]
    fixed = ("sink",) if with_sink else ()
    sets: set[tuple[int, ...]] = {()}
    while sets:
        grown: set[tuple[int, ...]] = set()
        found: list[tuple[str, ...]] = []
        for numbers in sorted(sets):
            names = tuple(candidates[number] for number in numbers)
            returned = rules.returned(names)
            if (names or fixed) and _sound(expectation, returned):
                found.append((*names, *fixed))
            asked = consulted(expectation.pipeline, expectation.timeline, returned)
            more = (number for number, name in enumerate(candidates) if name in asked and number not in numbers)
            grown |= {tuple(sorted((*numbers, number))) for number in more}
        if found:
            return tuple(found)
        sets = grown
    return ()


def _sound(expectation: Expectation, rules: Rules) -> bool:
    pipeline = expectation.pipeline
    return all(
        any(_demands(pipeline, outcome, prediction) for outcome in expectation.demand)
        for prediction in predict(pipeline, expectation.timeline, rules)
    )


def _demands(pipeline: Pipeline, outcome: Outcome, prediction: Prediction) -> bool:
    """Return whether the prediction is this demanded outcome; updates are demanded by the last row of each key."""
    return all(
        _rows_demanded(pipeline, demand, step) and _figures_equal(demand.figures, step, set(demand.figures))
        for demand, step in zip(outcome, prediction, strict=True)
    )


def _rows_demanded(pipeline: Pipeline, demand: Demand, step: StepResult) -> bool:
    wanted, predicted = _alike(demand.rows, step.rows)
    if _updates(pipeline):
        return _last_by_key(wanted) == _last_by_key(predicted)
    return Counter(wanted) == Counter(predicted)


def _first_wrong(
    pipeline: Pipeline, observed: Sequence[Observed], prediction: Prediction, named: Sequence[set[str]], sink: Sink
) -> int | None:
    """Return the first step whose observation is not the predicted one; None if all are."""
    for number, (seen, step) in enumerate(zip(observed, prediction, strict=True)):
        loose = sink is Sink.AT_LEAST_ONCE and bool(seen.struck) and not seen.hidden
        compare = _updates_match if _updates(pipeline) else _rows_match
        if not compare(seen.rows, step.rows, loose) or not _figures_equal(seen.figures, step, named[number], loose):
            return number
    return None


def _rows_match(seen: Sequence[Row], predicted: Sequence[Row], loose: bool) -> bool:
    predicted, seen = _alike(predicted, seen)
    return set(seen) == set(predicted) if loose else Counter(seen) == Counter(predicted)


def _updates_match(seen: Sequence[Row], predicted: Sequence[Row], loose: bool) -> bool:
    """Compare per key: the last row must be the same, earlier ones values that the key had, in order."""
    seen_by_key, predicted_by_key = _by_key(seen), _by_key(predicted)
    if seen_by_key.keys() != predicted_by_key.keys():
        return False
    for key, rows in seen_by_key.items():
        had = predicted_by_key[key]
        if rows[-1] != had[-1]:
            return False
        if not (set(rows) <= set(had) if loose else _subsequence(rows, iter(had))):
            return False
    return True


def _subsequence(rows: Iterable[Row], had: Iterator[Row]) -> bool:
    return all(any(row == other for other in had) for row in rows)


def _figures_equal(figures: Mapping[str, Figure], step: StepResult, named: set[str], loose: bool = False) -> bool:
    def equal(told: Figure | None, expected: Figure) -> bool:
        if loose and isinstance(told, tuple) and isinstance(expected, tuple):
            return set(told) == set(expected)
        return told == expected

    return all(equal(figures.get(name), getattr(step, name)) for name in named)


def _updates(pipeline: Pipeline) -> bool:
    return isinstance(pipeline, Aggregate) and pipeline.emit is Emit.UPDATE


def _by_key(rows: Iterable[Row]) -> dict[object, list[Row]]:
    keyed: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        keyed[(row.key, getattr(row, "start_us", None))].append(row)
    return keyed


def _last_by_key(rows: Iterable[Row]) -> dict[object, Row]:
    return {key: had[-1] for key, had in _by_key(rows).items()}


def _alike(demanded: Sequence[Row], predicted: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
    """Drop the ids on both sides where the demand names none."""
    if any(names_ids(row) for row in demanded):
        return demanded, predicted
    return [without_ids(row) for row in demanded], [without_ids(row) for row in predicted]
