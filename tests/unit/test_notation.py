"""The shorthand: what parses prints back the same, and what does not is pointed at."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantics.errors import InvalidNotation
from semantics.expectation import script
from semantics.notation import parse_demand, parse_step, print_event, print_row, print_step, print_time
from semantics.rows import EventRow, PairRow, Ref, Row, ValueRow, WindowRow
from semantics.timeline import Crash, CrashPoint, Event, Flush, Idle, Raw, Restart, Send, Step

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True)
KEYS = st.none() | NAMES
TIMES = st.integers(-(10**16), 10**16)
VALUES = st.integers(-(2**63), 2**63 - 1)
EVENTS = st.builds(Event, KEYS, st.none() | TIMES, id=NAMES, value=VALUES, input=NAMES, partition=st.integers(0, 99))
REFS = st.builds(Ref, st.just("") | NAMES, st.none() | TIMES)
NULLABLE = st.none() | VALUES
ONE = st.tuples(st.tuples(st.just(""), NULLABLE))
"""One aggregate has no name in a demand."""
SEVERAL = st.lists(st.tuples(NAMES, NULLABLE), min_size=2, max_size=3, unique_by=lambda item: item[0]).map(tuple)
AGGREGATES = ONE | SEVERAL
ROWS: st.SearchStrategy[Row] = st.one_of(
    st.builds(EventRow, KEYS, st.just("") | NAMES, NULLABLE, st.none() | TIMES),
    st.builds(WindowRow, KEYS, TIMES, TIMES, AGGREGATES),
    st.builds(ValueRow, KEYS, AGGREGATES),
    st.builds(PairRow, KEYS, st.none() | REFS, st.none() | REFS),
)


@given(st.lists(EVENTS, min_size=1, max_size=4))
def test_events_print_and_parse_back(events: list[Event]) -> None:
    printed = print_step(Send(tuple(events)))
    assert parse_step(printed, 0) == (Send(tuple(events)), len(events))


@given(st.lists(ROWS, max_size=4))
def test_rows_print_and_parse_back(rows: list[Row]) -> None:
    assert parse_demand([" ".join(map(print_row, rows))]) == (tuple(rows), {})


@given(TIMES)
def test_times_are_exact(time_us: int) -> None:
    assert parse_demand([f"wm:{print_time(time_us)}"]) == ((), {"wm": time_us})


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("a@5", Event("a", 5_000_000, "e1")),
        ("a=7@5", Event("a", 5_000_000, "e1", 7)),
        ("a#x=-7@5", Event("a", 5_000_000, "x", -7)),
        ("L:a@5", Event("a", 5_000_000, "e1", input="L")),
        ("a@5/1", Event("a", 5_000_000, "e1", partition=1)),
        ("~@5", Event(None, 5_000_000, "e1")),
        ("L:~@5", Event(None, 5_000_000, "e1", input="L")),
        ("a@~", Event("a", None, "e1")),
        ("a@~/2", Event("a", None, "e1", partition=2)),
        ("a@+1h", Event("a", 3_600_000_000, "e1")),
        ("a@-5", Event("a", -5_000_000, "e1")),
        ("a@2d", Event("a", 172_800_000_000, "e1")),
        ("a@1.5m", Event("a", 90_000_000, "e1")),
        ("a@1ms", Event("a", 1_000, "e1")),
        ("a@1us", Event("a", 1, "e1")),
        ("a@0.000001", Event("a", 1, "e1")),
    ],
)
def test_an_event_means(text: str, event: Event) -> None:
    assert parse_step(text, 0) == (Send((event,)), 1)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("a[0,10)=2", WindowRow("a", 0, 10_000_000, (("", 2),))),
        ("~[-10,0.5){n=2 sum=-9}", WindowRow(None, -10_000_000, 500_000, (("n", 2), ("sum", -9)))),
        ("a[0,1h){n=2}", WindowRow("a", 0, 3_600_000_000, (("n", 2),))),
        ("a=3", ValueRow("a", (("", 3),))),
        ("a{n=2 sum=9}", ValueRow("a", (("n", 2), ("sum", 9)))),
        ("a@5", EventRow("a", "", 1, 5_000_000)),
        ("a#e1=4@5", EventRow("a", "e1", 4, 5_000_000)),
        ("a=4@~", EventRow("a", "", 4, None)),
        ("a(0,5)", PairRow("a", Ref("", 0), Ref("", 5_000_000))),
        ("a(0#e1,5#e2)", PairRow("a", Ref("e1", 0), Ref("e2", 5_000_000))),
        ("~(0,_)", PairRow(None, Ref("", 0), None)),
        ("a(_,~#x)", PairRow("a", None, Ref("x", None))),
    ],
)
def test_a_row_means(text: str, row: Row) -> None:
    assert parse_demand([text]) == ((row,), {})


def test_events_are_numbered_through_the_script() -> None:
    steps = script("a@0 b#mine@1", "c@2")
    assert [e.id for step in steps if isinstance(step, Send) for e in step.events if isinstance(e, Event)] == [
        "e1",
        "mine",
        "e3",
    ]


def test_figures_stand_beside_rows() -> None:
    assert parse_demand(["a=3 late:1", "wm:~ state:2 dead:2*late,future"]) == (
        (ValueRow("a", (("", 3),)),),
        {"late": 1, "wm": None, "state": 2, "dead": ("future", "late", "late")},
    )


@pytest.mark.parametrize(
    ("text", "problem", "at"),
    [
        ("a", "expected '@'", 1),
        ("a@", "expected a time", 2),
        ("5@1", "expected a key", 0),
        ("a@5,b@6", "expected a space", 3),
        ("a@5x", "expected a space", 3),
        ("a=@5", "expected a whole number", 2),
        ("a#@5", "expected an id", 2),
        ("a@5/x", "expected a partition", 4),
        ("a@0.0000001", "a whole number of microseconds", 2),
        ("a@5 b@0.1us", "a whole number of microseconds", 6),
    ],
)
def test_a_wrong_event_is_pointed_at(text: str, problem: str, at: int) -> None:
    with pytest.raises(InvalidNotation, match=re.escape(problem)) as failure:
        parse_step(text, 0)
    assert _pointer(failure.value) == (text, at)


@pytest.mark.parametrize(
    ("text", "problem", "at"),
    [
        ("dead:2", "expected '*'", 6),
        ("dead:late,lost", "no reason 'lost'", 10),
        ("a[0,10", "expected ')'", 6),
        ("a[0,10)", "expected '{'", 7),
        ("a[~,10)=1", "expected a time, not null", 2),
        ("a[0 10)=1", "expected ','", 3),
        ("a{n=1", "expected a space or '}'", 5),
        ("a{n=1sum=2}", "expected a space or '}'", 5),
        ("a{}", "expected the name of an aggregate", 2),
        ("a{n=1 n=2}", "n is named twice", 6),
        ("a(0)", "expected ','", 3),
        ("a#e=3", "expected '@'", 5),
        ("lat:1", "no figure 'lat'", 0),
        ("late:x", "expected a count", 5),
        ("late:-1", "expected a count", 5),
        ("late:1 late:2", "late is named twice", 7),
    ],
)
def test_a_wrong_demand_is_pointed_at(text: str, problem: str, at: int) -> None:
    with pytest.raises(InvalidNotation, match=re.escape(problem)) as failure:
        parse_demand([text])
    assert _pointer(failure.value) == (text, at)


def _pointer(error: InvalidNotation) -> tuple[str, int]:
    """Return the text and the place under which the message's caret stands."""
    _, text, caret = str(error).split("\n")
    assert caret.strip() == "^"
    return text.removeprefix("  "), caret.index("^") - 2


def test_a_step_without_events_is_no_step() -> None:
    with pytest.raises(InvalidNotation, match="without events"):
        parse_step("  ", 0)


def test_other_steps_print_on_a_line() -> None:
    steps: list[Step] = [
        Flush(60_000_000),
        Idle(timedelta(seconds=12)),
        Crash(CrashPoint.AFTER_SINK, wipe_state=True),
        Crash(CrashPoint.MID_SINK),
        Restart(),
        Restart(wipe_state=True),
    ]
    assert [print_step(step) for step in steps] == [
        "flush(60)",
        "idle(12 s)",
        "crash(after-sink, state wiped)",
        "crash(mid-sink)",
        "restart()",
        "restart(state wiped)",
    ]
    assert print_event(Raw(b'{"a":', "L", 1)) == "raw(L:b'{\"a\":'/1)"
    assert print_event(Raw(b"{" + b"[" * 2000 + b"7")) == "raw(b'{[…2000 times…7')"
