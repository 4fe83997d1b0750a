"""Did every window's final row come, right, once, and not too early? Judges what a reader saw against the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TypeAlias

from semantics.checkers.delivery import Finding, Judgement, Outcome
from semantics.notation import print_row
from semantics.rows import WindowRow
from semantics.rules import Sink

Place: TypeAlias = tuple[str | None, int, int]
"""A window or session: key, start, end."""


class Wrong(Enum):
    """What can be wrong; the value is how a report says it."""

    LOST = "lost: a window's final row never came"
    DIFFERS = "other aggregates than those of the window's events"
    PREMATURE = "final before any event could close it"
    REPEATED = "a final row came twice"
    PHANTOM = "a window that no event is in"


def place(row: WindowRow) -> Place:
    """Return which window a row speaks of. No two due rows have the same."""
    return row.key, row.start_us, row.end_us


def judge_finals(
    rows: Iterable[tuple[WindowRow, int]],
    due: Mapping[Place, tuple[WindowRow, int]],
    *,
    strange: str,
    unsure: int,
    missing: str,
    sink: Sink,
) -> Judgement:
    """Judge the final rows of windows, all of which were closed in the end.

    rows: (row, time of receipt), in the order read.
    due: for each window its row, and the time before which no event had been sent that closes it; same clock and unit.
    strange: the first row that is none of a window, as text; "" if there was none.
    unsure: events never acknowledged; with any, a window's row may rightly be another, or not be there.
    missing: why rows may be missing that were written ("" if the reader read to the end).
    sink: under AT_LEAST_ONCE a row may come again as it was.
    """
    cases: dict[Wrong, tuple[int, str]] = {}

    def found(kind: Wrong, witness: str) -> None:
        number, first = cases.get(kind, (0, witness))
        cases[kind] = number + 1, first

    if strange:
        found(Wrong.PHANTOM, strange)
    seen: set[Place] = set()
    repeats = 0
    for row, received in rows:
        at = place(row)
        right, earliest = due.get(at, (None, 0))
        if right is None:
            found(Wrong.PHANTOM, print_row(row))
        elif row != right:
            found(Wrong.DIFFERS, f"{print_row(row)}, not {print_row(right)}")
        elif received < earliest:
            found(Wrong.PREMATURE, f"{print_row(row)}, read {earliest - received} ns before")
        if at not in seen:
            seen.add(at)
        elif sink is Sink.EXACTLY_ONCE:
            found(Wrong.REPEATED, print_row(row))
        else:
            repeats += 1
    if not missing:
        for at, (row, _) in due.items():
            if at not in seen:
                found(Wrong.LOST, print_row(row))

    doubt = missing or ("" if due else "no window was due")
    if unsure:
        doubt = doubt or f"{unsure} events were sent without an answer"
        cases = {kind: case for kind, case in cases.items() if kind is Wrong.REPEATED}
    findings = tuple(
        Finding(kind=kind, cases=cases[kind][0], witness=cases[kind][1]) for kind in Wrong if kind in cases
    )
    outcome = Outcome.WRONG if findings else Outcome.UNDECIDED if doubt else Outcome.RIGHT
    return Judgement(
        outcome=outcome, findings=findings, reason=doubt if outcome is Outcome.UNDECIDED else "", repeats=repeats
    )
