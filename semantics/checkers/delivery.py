"""Was every event counted, and none twice? Judges what a reader saw of a running count against what was sent.

A running count says of itself how much it holds, so each row can be judged alone: row n of a key claims that n of its
events were there when it was read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from semantics.rules import Sink


class Kind(Enum):
    """What can be wrong; the value is how a report says it."""

    LOST = "lost: the last count of a key is below its events sent"
    EXCESS = "counted more than was sent"
    PREMATURE = "counted before it was sent"
    REGRESSED = "a count fell back"
    REPEATED = "a row came twice"
    PHANTOM = "a key that was never sent"
    DIFFERS = "other aggregates than those of the events counted"


class Outcome(Enum):
    """The three answers of a judge."""

    RIGHT = "right"
    WRONG = "wrong"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of error: how often it was seen, and the first case as witness."""

    kind: Enum
    cases: int
    witness: str

    def __str__(self) -> str:
        return f"{self.kind.value} ({self.cases} {'case' if self.cases == 1 else 'cases'}, first: {self.witness})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The outcome; `reason` says why it is undecided; `repeats` counts rows that came again and were allowed to."""

    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    repeats: int = 0


@dataclass(slots=True)
class _Seen:
    last: int = 0
    counts: list[int] = field(default_factory=list)
    """The distinct counts of one key, ascending."""


def judge_counts(
    rows: Iterable[tuple[str, int, int]],
    sent: Mapping[str, Sequence[int]],
    *,
    unsure: Mapping[str, int],
    missing: str,
    sink: Sink,
    differing: Sequence[str] = (),
) -> Judgement:
    """Judge the rows of a running count by key, emitted as updates: one for each event, or fewer.

    rows: (key, count, time of receipt), in the order read; a key's rows are in the order written.
    sent: for each key the times at which its events were sent, ascending; same clock and unit as the receipts.
    unsure: for each key how many of `sent` were never acknowledged: they may be there or not.
    missing: why rows may be missing that were written ("" if the reader read to the end).
    sink: under AT_LEAST_ONCE a row may come again, but only as it was, and the last one must still be right.
    differing: witnesses of rows whose count is one that was sent, but whose other aggregates are not those of so many.
    """
    cases: dict[Kind, tuple[int, str]] = {}

    def found(kind: Kind, witness: str) -> None:
        number, first = cases.get(kind, (0, witness))
        cases[kind] = number + 1, first

    seen: dict[str, _Seen] = {key: _Seen() for key in sent}
    repeats = 0
    for key, count, received in rows:
        if key not in seen:
            found(Kind.PHANTOM, f"{key} = {count}")
            continue
        mine, times = seen[key], sent[key]
        highest = mine.counts[-1] if mine.counts else 0
        if count > len(times):
            found(Kind.EXCESS, f"{key} = {count}, sent {len(times)}")
        elif count > 0 and received < times[count - 1]:
            early = times[count - 1] - received
            found(Kind.PREMATURE, f"{key} = {count}, read {early} ns before event {count} was sent")
        if count > highest:
            mine.counts.append(count)
        elif count < 1 or mine.counts[bisect_left(mine.counts, count)] != count:
            found(Kind.REGRESSED, f"{key} = {count} after {highest}")
        elif sink is Sink.EXACTLY_ONCE:
            found(Kind.REPEATED, f"{key} = {count}, again after {key} = {mine.last}")
        else:
            repeats += 1
        mine.last = count

    for witness in differing:
        found(Kind.DIFFERS, witness)
    doubt = missing or ("" if sent else "nothing was sent")
    for key, mine in seen.items():
        attempted = len(sent[key])
        highest = mine.counts[-1] if mine.counts else 0
        if sink is Sink.AT_LEAST_ONCE and mine.last < highest and not missing:
            found(Kind.REGRESSED, f"{key} ends with {mine.last}, it was {highest} before")
        if highest < attempted - unsure.get(key, 0) and not missing:
            found(Kind.LOST, f"{key} ends with {highest}, sent {attempted}")
        elif highest < attempted:
            doubt = doubt or f"{key} ends with {highest}; {attempted} were sent, {unsure.get(key, 0)} without an answer"

    findings = tuple(Finding(kind=kind, cases=cases[kind][0], witness=cases[kind][1]) for kind in Kind if kind in cases)
    outcome = Outcome.WRONG if findings else Outcome.UNDECIDED if doubt else Outcome.RIGHT
    return Judgement(
        outcome=outcome, findings=findings, reason=doubt if outcome is Outcome.UNDECIDED else "", repeats=repeats
    )
