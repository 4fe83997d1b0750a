"""The judge, on hand-made histories: good, bad and undecidable ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semantics.catalogue import find
from semantics.expectation import Expectation, after, either, script
from semantics.expr import VALUE, expr
from semantics.history import (
    Again,
    DeadLetters,
    Entry,
    History,
    Letter,
    NotRun,
    Refused,
    Seen,
    Settled,
    Struck,
    Undecided,
    Unseen,
)
from semantics.notation import parse_demand
from semantics.pipeline import Aggregate, Emit, Filter, Source, Tumbling
from semantics.rows import Row
from semantics.rules import CONTRACT, Rules, SessionLateness, Sink, WatermarkAdvance, WatermarkScope
from semantics.time import s
from semantics.timeline import Crash, CrashPoint
from semantics.verdict import Value, Verdict, explain, judge

SESSION = find("SW-07")
OWN_SPAN = Rules(session_lateness=SessionLateness.OWN_SPAN)


def rows(*texts: str) -> tuple[Row, ...]:
    return parse_demand(texts)[0]


def history(
    expectation: Expectation,
    *steps: str,
    struck: tuple[int, ...] = (),
    hidden: bool = False,
    extra: tuple[Entry, ...] = (),
) -> History:
    """Return a history whose steps showed these rows, with the names that the expectation's pipeline gives them."""
    entries: list[Entry] = []
    offset = 0
    for number, text in enumerate(steps):
        if number in struck:
            entries.append(Struck(step=number, point="after-sink", evidence="seen", killed=(1,), hidden=hidden))
        for row in rows(text):
            entries.append(Seen(step=number, row=_named(expectation, row), partition=0, offset=offset))
            offset += 1
        entries.append(Settled(step=number, watermark_us=None, late=None, dead=None, state=None))
    return History(expectation.id, "some", (*entries, *extra, DeadLetters()))


def _named(expectation: Expectation, row: Row) -> Row:
    return expectation._row(row)


def verdict(expectation: Expectation, rules: Rules, *steps: str, **more: object) -> Verdict:
    return judge(expectation, rules, history(expectation, *steps, **more))  # type: ignore[arg-type]


def test_as_demanded_and_as_predicted_holds() -> None:
    assert verdict(SESSION, CONTRACT, "", "", "", "a[7,20)=2 z[18,28)=1").value is Value.HOLDS


def test_otherwise_but_as_declared_deviates_and_names_the_rule() -> None:
    found = verdict(SESSION, OWN_SPAN, "", "", "", "a[10,20)=1 z[18,28)=1")
    assert found.value is Value.DEVIATES
    assert found.rules == (("session_lateness",),)
    assert found.reason == "session_lateness = OWN_SPAN"
    assert found.step == 3


def test_as_demanded_but_not_as_declared_is_stale() -> None:
    assert verdict(SESSION, OWN_SPAN, "", "", "", "a[7,20)=2 z[18,28)=1").value is Value.STALE


@pytest.mark.parametrize(
    "last", ["", "a[7,20)=2", "a[7,20)=2 a[7,20)=2 z[18,28)=1", "a[7,20)=3 z[18,28)=1", "a[10,20)=1 z[18,28)=1"]
)
def test_neither_is_broken(last: str) -> None:
    found = verdict(SESSION, CONTRACT, "", "", "", last)
    assert found.value is Value.BROKEN
    assert found.step == 3


def test_a_row_in_the_wrong_step_is_broken() -> None:
    assert verdict(SESSION, CONTRACT, "", "", "a[7,20)=2", "z[18,28)=1").step == 2


def test_a_row_that_comes_only_at_the_stop_is_broken() -> None:
    late = Unseen(rows=rows("z[18,28)=1"))
    assert verdict(SESSION, CONTRACT, "", "", "", "a[7,20)=2 z[18,28)=1", extra=(late,)).value is Value.BROKEN


@pytest.mark.parametrize(
    ("entry", "refusal", "value"),
    [
        (Undecided(step=1, reason="the fault did not bite"), "", Value.UNKNOWN),
        (NotRun(support="not-implemented", reason="later"), "", Value.NOT_IMPLEMENTED),
        (NotRun(support="unsupported", reason="cited"), "", Value.UNSUPPORTED),
        (Refused(error="NoJoin", message="no"), "NoJoin", Value.REFUSES),
        (Refused(error="NoJoin", message="no"), "NoSession", Value.BROKEN),
        (Refused(error="NoJoin", message="no"), "", Value.BROKEN),
    ],
)
def test_what_was_not_played_is_its_own_value(entry: Entry, refusal: str, value: Value) -> None:
    assert judge(SESSION, CONTRACT, History("SW-07", "some", (entry,)), refusal=refusal).value is value


def test_running_though_declared_to_refuse_is_stale() -> None:
    seen = history(SESSION, "", "", "", "a[7,20)=2 z[18,28)=1")
    assert judge(SESSION, CONTRACT, seen, refusal="NoSession").value is Value.STALE


def test_a_declared_defect_deviates_and_is_stale_once_it_is_gone() -> None:
    bad = history(SESSION, "", "", "", "a[7,20)=9 z[18,28)=1")
    good = history(SESSION, "", "", "", "a[7,20)=2 z[18,28)=1")
    assert judge(SESSION, CONTRACT, bad, defect="issue 1").value is Value.DEVIATES
    assert judge(SESSION, CONTRACT, good, defect="issue 1").value is Value.STALE


COUNT = Expectation(
    "EO-99",
    "a running count",
    pipeline=Aggregate(Source(), emit=Emit.UPDATE),
    timeline=script("a@1 a@2 b@3", Crash(CrashPoint.AFTER_SINK), "a@4 a@5"),
    demand=after(["a=2", "b=1"], [], ["a=4"]),
    because="It is the simplest state.",
)
AT_LEAST_ONCE = Rules(sink=Sink.AT_LEAST_ONCE)


@pytest.mark.parametrize("first", ["a=1 a=2 b=1", "a=2 b=1", "b=1 a=1 a=2"])
def test_updates_are_compared_by_the_last_row_of_each_key(first: str) -> None:
    assert verdict(COUNT, CONTRACT, first, "", "a=3 a=4", struck=(2,)).value is Value.HOLDS


@pytest.mark.parametrize("first", ["a=1 b=1", "a=2", "a=2 a=1 a=2 b=1", "a=3 a=2 b=1", "a=2 a=2 b=1", "a=2 b=1 c=1"])
def test_updates_that_the_key_never_had_in_that_order_are_broken(first: str) -> None:
    assert verdict(COUNT, CONTRACT, first, "", "a=4", struck=(2,)).value is Value.BROKEN


def test_repeated_rows_under_a_fault_deviate_where_the_sink_is_declared_at_least_once() -> None:
    found = verdict(COUNT, AT_LEAST_ONCE, "a=2 b=1", "", "a=3 a=4 a=3 a=4", struck=(2,))
    assert found.value is Value.DEVIATES
    assert found.rules == (("sink",),)


def test_a_kill_that_leaves_no_trace_where_it_must_is_undecided() -> None:
    assert verdict(COUNT, AT_LEAST_ONCE, "a=2 b=1", "", "a=4", struck=(2,)).value is Value.UNKNOWN


def test_what_nobody_could_see_when_the_kill_struck_must_not_come_again() -> None:
    assert verdict(COUNT, AT_LEAST_ONCE, "a=2 b=1", "", "a=4", struck=(2,), hidden=True).value is Value.HOLDS
    again = verdict(COUNT, AT_LEAST_ONCE, "a=2 b=1", "", "a=3 a=4 a=3 a=4", struck=(2,), hidden=True)
    assert again.value is Value.BROKEN


def test_a_crash_without_a_kill_is_undecided() -> None:
    assert verdict(COUNT, CONTRACT, "a=2 b=1", "", "a=4").value is Value.UNKNOWN


def test_a_record_that_ends_early_is_undecided() -> None:
    whole = history(SESSION, "", "", "", "a[7,20)=2 z[18,28)=1")
    assert judge(SESSION, CONTRACT, whole).value is Value.HOLDS
    for cut in range(len(whole.entries)):
        assert judge(SESSION, CONTRACT, History("SW-07", "some", whole.entries[:cut])).value is Value.UNKNOWN


NO_TIME = Letter(reason="no_time", record="in/0@0", step=0, intact=True)


@pytest.mark.parametrize(
    ("letters", "value"),
    [
        ([NO_TIME], Value.HOLDS),
        ([], Value.BROKEN),
        ([NO_TIME, NO_TIME], Value.BROKEN),
        ([replace(NO_TIME, reason="late")], Value.BROKEN),
        ([replace(NO_TIME, step=1)], Value.BROKEN),
        ([replace(NO_TIME, step=None, record="in/0@9")], Value.BROKEN),
        ([replace(NO_TIME, intact=False)], Value.BROKEN),
    ],
    ids=["good", "none", "twice", "another reason", "another record", "no record", "altered"],
)
def test_dead_letters_are_judged_by_what_they_say(letters: list[Letter], value: Value) -> None:
    null_time = find("WM-12")
    entries: list[Entry] = [
        Settled(step=0, watermark_us=None, late=0, dead=1, state=1),
        Seen(step=1, row=_named(null_time, rows("a[0,10)=1")[0]), partition=0, offset=0),
        Settled(step=1, watermark_us=None, late=0, dead=0, state=1),
    ]
    seen = History("WM-12", "some", (*entries, DeadLetters(letters=tuple(letters))))
    assert judge(null_time, CONTRACT, seen).value is value


def test_a_second_play_is_told() -> None:
    played = history(SESSION, "", "", "", "a[7,20)=2 z[18,28)=1")
    again = History("SW-07", "some", (Again(reason="the deployment died"), *played.entries))
    assert judge(SESSION, CONTRACT, again) == replace(judge(SESSION, CONTRACT, played), again="the deployment died")


NOT_UTF_8 = "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe9 in position 3: unexpected end of data"


@pytest.mark.parametrize(
    ("first", "second", "value"),
    [
        (NOT_UTF_8, NOT_UTF_8, Value.BROKEN),
        ("KeyError: '/tmp/weir-run-ab/7'", "KeyError: '/tmp/weir-run-cd/8'", Value.BROKEN),
        (NOT_UTF_8, "RecursionError: maximum recursion depth exceeded", Value.UNKNOWN),
        (NOT_UTF_8, "", Value.UNKNOWN),
        ("", NOT_UTF_8, Value.UNKNOWN),  # First a shared deployment died, perhaps of another job.
        ("", "", Value.UNKNOWN),
        ("KafkaTimeoutError: 5 s", "KafkaTimeoutError: 5 s", Value.UNKNOWN),
        ("TimeoutError", "TimeoutError", Value.UNKNOWN),
        ("OSError: [Errno 28] No space left on device", "OSError: [Errno 28] No space left on device", Value.UNKNOWN),
    ],
)
def test_the_same_exception_in_both_plays_is_broken(first: str, second: str, value: Value) -> None:
    died = Undecided(step=1, reason="worker ended with exit code 70.\n  last lines", exception=second)
    found = judge(SESSION, CONTRACT, History("SW-07", "some", (Again(reason="it died", exception=first), died)))
    assert (found.value, found.step) == (value, 1)
    assert (second in found.reason) or value is Value.UNKNOWN


def test_an_exception_that_does_not_come_again_leaves_it_unknown() -> None:
    played = history(SESSION, "", "", "", "a[7,20)=2 z[18,28)=1")
    once = History("SW-07", "some", (Again(reason="it died", exception=NOT_UTF_8), *played.entries))
    found = judge(SESSION, CONTRACT, once)
    assert found.value is Value.UNKNOWN
    assert NOT_UTF_8 in found.reason


@pytest.mark.parametrize(
    ("steps", "struck"),
    [
        (("a=2 b=1", "", "a=5 a=6"), (2,)),  # counted twice: that is no repeated row
        (("a=2 b=1", "", ""), (2,)),  # lost
        (("a=2 b=1 b=1", "", "a=4"), (2,)),  # repeated where no fault struck
    ],
)
def test_at_least_once_excuses_repeats_of_demanded_rows_under_a_fault_and_nothing_else(
    steps: tuple[str, ...], struck: tuple[int, ...]
) -> None:
    assert verdict(COUNT, AT_LEAST_ONCE, *steps, struck=struck).value is Value.BROKEN


def test_exactly_once_excuses_no_repeat() -> None:
    assert verdict(COUNT, CONTRACT, "a=2 b=1", "", "a=3 a=4 a=3 a=4", struck=(2,)).value is Value.BROKEN


def test_figures_are_compared_where_the_demand_names_them() -> None:
    watermark = find("WM-01")
    entries = [
        Settled(step=n, watermark_us=w, late=7, dead=7, state=7) for n, w in enumerate([10**7, 10**7, 15 * 10**6])
    ]
    end = DeadLetters(letters=tuple(replace(NO_TIME, step=n // 7) for n in range(21)))
    assert judge(watermark, CONTRACT, History("WM-01", "some", (*entries, end))).value is Value.HOLDS
    wrong = replace(entries[1], watermark_us=3)
    found = judge(watermark, CONTRACT, History("WM-01", "some", (entries[0], wrong, entries[2], end)))
    assert (found.value, found.step) == (Value.BROKEN, 1)


def test_ids_are_compared_where_the_demand_names_them() -> None:
    passing = Expectation(
        "EO-98",
        "events pass",
        pipeline=Filter(Source(), expr(VALUE, ">", 0)),
        timeline=script("a@1 a@2"),
        demand=after(["a#e1@1", "a@2"]),
        because="They do.",
    )
    unnamed = replace(passing, demand=after(["a@1", "a@2"]))
    assert verdict(unnamed, CONTRACT, "a#e1@1 a#e2@2").value is Value.HOLDS
    assert verdict(passing, CONTRACT, "a#e9@1 a#e2@2").value is Value.BROKEN


def test_an_alternative_that_the_contract_does_not_predict_may_be_demanded() -> None:
    base = find("WM-02")
    open_ended = replace(base, demand=either(base.demand, after([], ["a[0,5)=2"], [])))
    seen = history(open_ended, "", "a[0,5)=2", "")
    assert judge(open_ended, CONTRACT, seen).value is Value.STALE  # demanded, but not what these rules predict


def test_the_explanation_is_the_smallest_set_of_rules() -> None:
    spark = Rules(
        watermark_scope=WatermarkScope.SOURCE_MAX,
        watermark_advance=WatermarkAdvance.BATCH,
        session_lateness=SessionLateness.OWN_SPAN,
    )
    assert explain(find("WM-07"), spark) == (("watermark_advance",),)
    assert explain(find("WM-09"), spark) == (("watermark_scope",),)
    assert explain(find("SW-07"), spark) == (("session_lateness",),)


def test_a_window_size_of_the_contract_is_not_excused_by_rules() -> None:
    tumbling = Expectation(
        "TW-99",
        "a count",
        pipeline=Aggregate(Source(delay=s(0)), window=Tumbling(s(10))),
        timeline=script("a@1", "z@10"),
        demand=after([], ["a[0,10)=1"]),
        because="It is.",
    )
    assert verdict(tumbling, OWN_SPAN, "", "a[0,11)=1").value is Value.BROKEN
