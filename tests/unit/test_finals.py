"""The judge of final rows: good, bad and undecidable histories, by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from semantics.checkers.delivery import Judgement, Outcome
from semantics.checkers.finals import Wrong, judge_finals, place
from semantics.rows import WindowRow
from semantics.rules import Sink


def row(key: str, start: int, count: int) -> WindowRow:
    return WindowRow(key, start * 1_000_000, (start + 1) * 1_000_000, (("n", count),))


CLOSED = [(row("a", 0, 2), 10), (row("a", 1, 1), 20), (row("b", 0, 1), 10)]
DUE = {place(each): (each, closed) for each, closed in CLOSED}
GOOD = [(row("a", 0, 2), 11), (row("b", 0, 1), 10), (row("a", 1, 1), 25)]


def judge(
    rows: Sequence[tuple[WindowRow, int]],
    strange: str = "",
    unsure: int = 0,
    missing: str = "",
    sink: Sink = Sink.EXACTLY_ONCE,
) -> Judgement:
    return judge_finals(rows, DUE, strange=strange, unsure=unsure, missing=missing, sink=sink)


def test_right() -> None:
    assert judge(GOOD) == Judgement(outcome=Outcome.RIGHT)
    assert judge(GOOD[::-1]) == Judgement(outcome=Outcome.RIGHT)


@pytest.mark.parametrize(
    ("rows", "found", "witness"),
    [
        (GOOD[:2], Wrong.LOST, "a[1,2)=1"),
        ([*GOOD[:2], (row("a", 1, 2), 25)], Wrong.DIFFERS, "a[1,2)=2, not a[1,2)=1"),
        ([*GOOD[:2], (row("a", 1, 1), 19)], Wrong.PREMATURE, "a[1,2)=1, read 1 ns before"),
        ([*GOOD, GOOD[0]], Wrong.REPEATED, "a[0,1)=2"),
        ([*GOOD, (row("c", 0, 1), 30)], Wrong.PHANTOM, "c[0,1)=1"),
        ([*GOOD, (row("a", 2, 1), 30)], Wrong.PHANTOM, "a[2,3)=1"),
    ],
)
def test_wrong(rows: list[tuple[WindowRow, int]], found: Wrong, witness: str) -> None:
    judgement = judge(rows)
    assert judgement.outcome is Outcome.WRONG
    assert [(finding.kind, finding.witness) for finding in judgement.findings] == [(found, witness)]


def test_a_row_of_another_kind_is_none_of_ours() -> None:
    assert [finding.kind for finding in judge(GOOD, strange="{").findings] == [Wrong.PHANTOM]


def test_at_least_once_may_repeat_a_row_as_it_was() -> None:
    again = [*GOOD, GOOD[0]]
    assert judge(again, sink=Sink.AT_LEAST_ONCE) == Judgement(outcome=Outcome.RIGHT, repeats=1)
    otherwise = judge([*GOOD, (row("a", 0, 1), 30)], sink=Sink.AT_LEAST_ONCE)
    assert [finding.kind for finding in otherwise.findings] == [Wrong.DIFFERS]


@pytest.mark.parametrize(
    ("judgement", "reason"),
    [
        (judge(GOOD, missing="the reader stopped"), "the reader stopped"),
        (judge(GOOD[:1], missing="the reader stopped"), "the reader stopped"),
        (judge(GOOD, unsure=2), "2 events were sent without an answer"),
        (judge(GOOD[:1], unsure=2), "2 events were sent without an answer"),
        (judge([*GOOD[:2], (row("a", 1, 2), 25)], unsure=1), "1 events were sent without an answer"),
        (judge_finals([], {}, strange="", unsure=0, missing="", sink=Sink.EXACTLY_ONCE), "no window was due"),
    ],
)
def test_undecided(judgement: Judgement, reason: str) -> None:
    assert judgement == Judgement(outcome=Outcome.UNDECIDED, reason=reason)


def test_a_repeat_is_wrong_whatever_was_not_answered() -> None:
    assert judge([*GOOD, GOOD[0]], unsure=1).outcome is Outcome.WRONG
