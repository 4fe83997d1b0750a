"""Good, bad and undecidable histories, by hand, for every judge in semantics/checkers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantics.checkers.delivery import Judgement, Kind, Outcome, judge_counts
from semantics.rules import Sink

SENT = {"a": [10, 20, 30], "b": [15]}
GOOD = [("a", 1, 11), ("b", 1, 16), ("a", 2, 21), ("a", 3, 31)]


def judge(
    rows: Sequence[tuple[str, int, int]],
    sent: Mapping[str, Sequence[int]] = SENT,
    unsure: Mapping[str, int] | None = None,
    missing: str = "",
    sink: Sink = Sink.EXACTLY_ONCE,
) -> Judgement:
    return judge_counts(rows, sent, unsure=unsure or {}, missing=missing, sink=sink)


def kinds(judgement: Judgement) -> list[Enum]:
    return [finding.kind for finding in judgement.findings]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(GOOD, id="a row an event"),
        pytest.param([("b", 1, 40), ("a", 3, 40)], id="a row a batch"),
        pytest.param([("a", 2, 25), ("a", 3, 30), ("b", 1, 15)], id="read in the moment of sending"),
    ],
)
def test_right(rows: list[tuple[str, int, int]]) -> None:
    assert judge(rows) == Judgement(outcome=Outcome.RIGHT)


@pytest.mark.parametrize(
    ("rows", "found", "witness"),
    [
        pytest.param(GOOD[:3], [Kind.LOST], "a ends with 2, sent 3", id="last event lost"),
        pytest.param(GOOD[:1] + GOOD[2:], [Kind.LOST], "b ends with 0, sent 1", id="whole key lost"),
        pytest.param([*GOOD, ("a", 4, 32)], [Kind.EXCESS], "a = 4, sent 3", id="counted twice"),
        pytest.param([*GOOD, ("b", 0, 32)], [Kind.REGRESSED], "b = 0 after 1", id="no count is zero"),
        pytest.param(
            [("a", 3, 22), ("b", 1, 16)], [Kind.PREMATURE], "a = 3, read 8 ns before event 3 was sent", id="one twice"
        ),
        pytest.param([("b", 1, 16), ("a", 3, 31), ("a", 2, 32)], [Kind.REGRESSED], "a = 2 after 3", id="falls back"),
        pytest.param([*GOOD, ("a", 3, 32)], [Kind.REPEATED], "a = 3, again after a = 3", id="row repeated"),
        pytest.param([*GOOD, ("c", 1, 32)], [Kind.PHANTOM], "c = 1", id="key never sent"),
    ],
)  # fmt: skip
def test_wrong(rows: list[tuple[str, int, int]], found: list[Kind], witness: str) -> None:
    judgement = judge(rows)
    assert judgement.outcome is Outcome.WRONG
    assert kinds(judgement) == found
    assert judgement.findings[0].witness == witness


def test_a_wrong_row_condemns_even_what_was_not_read_to_the_end() -> None:
    assert kinds(judge([("a", 4, 32)], missing="the reader stopped")) == [Kind.EXCESS]


def test_findings_are_counted_and_keep_the_first_witness() -> None:
    (finding,) = judge([*GOOD, ("a", 1, 40), ("a", 2, 41)]).findings
    assert str(finding) == "a row came twice (2 cases, first: a = 1, again after a = 3)"


@pytest.mark.parametrize(
    ("judgement", "reason"),
    [
        pytest.param(judge(GOOD[:2], missing="the reader stopped"), "the reader stopped", id="not read to the end"),
        pytest.param(judge(GOOD, missing="the reader stopped"), "the reader stopped", id="more could follow"),
        pytest.param(judge([], {}), "nothing was sent", id="vacuous"),
        pytest.param(
            judge(GOOD[:3], unsure={"a": 1}), "a ends with 2; 3 were sent, 1 without an answer", id="not answered"
        ),
    ],
)
def test_undecided(judgement: Judgement, reason: str) -> None:
    assert judgement == Judgement(outcome=Outcome.UNDECIDED, reason=reason)


def test_an_unanswered_event_that_was_counted_has_arrived() -> None:
    assert judge(GOOD, unsure={"a": 1}).outcome is Outcome.RIGHT


def test_more_lost_than_unanswered_is_wrong() -> None:
    assert kinds(judge([("a", 1, 11), ("b", 1, 16)], unsure={"a": 1})) == [Kind.LOST]


def test_at_least_once_may_repeat_what_was_there_but_must_end_right() -> None:
    again = [*GOOD, ("a", 2, 40), ("a", 3, 41)]
    assert judge(again, sink=Sink.AT_LEAST_ONCE) == Judgement(outcome=Outcome.RIGHT, repeats=2)
    assert kinds(judge(again[:-1], sink=Sink.AT_LEAST_ONCE)) == [Kind.REGRESSED]
    never_there = [("b", 1, 16), ("a", 1, 11), ("a", 3, 31), ("a", 2, 40), ("a", 3, 41)]
    assert kinds(judge(never_there, sink=Sink.AT_LEAST_ONCE)) == [Kind.REGRESSED]


@given(keys=st.lists(st.sampled_from("abc"), min_size=1), data=st.data())
def test_any_coalescing_is_right_and_any_single_harm_is_seen(keys: list[str], data: st.DataObject) -> None:
    sent: dict[str, list[int]] = {}
    rows = []
    for time, key in enumerate(keys):
        sent.setdefault(key, []).append(time)
        rows.append((key, len(sent[key]), time))
    last = {key: len(times) for key, times in sent.items()}
    kept = [row for row in rows if row[1] == last[row[0]] or data.draw(st.booleans())]
    assert judge(kept, sent).outcome is Outcome.RIGHT

    victim = data.draw(st.sampled_from(sorted(sent)))
    lost = [row for row in kept if row[:2] != (victim, last[victim])]
    assert Kind.LOST in kinds(judge(lost, sent))
    repeated = [*kept, data.draw(st.sampled_from(kept))]
    assert kinds(judge(repeated, sent)) == [Kind.REPEATED]
    doubled = [*kept, (victim, last[victim] + 1, len(keys))]
    assert kinds(judge(doubled, sent)) == [Kind.EXCESS]
