"""The pages in docs/ say what the catalogue says, and the drawings show what the scripts do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench import recorded
from bench.drawing import draw
from bench.foretold import declarations, foretell, recipe
from bench.pages import MADE, answers, pages, stale
from bench.recorded import Recorded
from bench.tables import failing, rules_page, telling_apart
from semantics.catalogue import FAMILIES, all_expectations, find
from semantics.expectation import Expectation, after, script
from semantics.pipeline import Aggregate, Join, Session, Source
from semantics.rules import CONTRACT, Rules, SessionLateness, Sink, WatermarkStart
from semantics.time import s
from semantics.timeline import Crash
from semantics.verdict import Value, undemanded


@pytest.fixture(scope="module")
def made(planted: Mapping[str, Mapping[str, Value]]) -> dict[Path, str]:
    return pages({bug: failing(verdicts) for bug, verdicts in planted.items()})


def test_the_pages_are_current(made: dict[Path, str]) -> None:
    assert stale(made) == [], "run `make docs`, read what changed, and commit it"
    assert {f"{family.lower()}.md" for family in FAMILIES} < {path.name for path in made}
    for expectation in all_expectations():
        assert f"## {expectation.id}: " in made[Path("expectations") / f"{expectation.family.lower()}.md"]


def test_no_page_lists_a_predicted_verdict_as_played(made: dict[Path, str]) -> None:
    verdicts = recorded.load()
    listed = 0
    for expectation in all_expectations():
        page = made[Path("expectations") / f"{expectation.family.lower()}.md"]
        _, _, story = page.partition(f"## {expectation.id}: ")
        for line in story.partition("\n## ")[0].splitlines():
            match = re.match(r"- ([a-z][a-z, :-]*): (played, |not run, |predicted )(.*)", line)
            if match is None:
                assert not line.startswith("- "), f"{expectation.id}: no word on how it is known: {line}"
                continue
            for name in match[1].split(", "):
                cell, listed = verdicts.verdict(name, expectation), listed + 1
                if match[2] == "predicted ":
                    assert cell is None, f"{expectation.id} on {name} is recorded, and listed as predicted"
                else:
                    assert cell is not None, f"{expectation.id} on {name} is not recorded: {line}"
                    assert match[3].startswith(cell.value)
                    assert (match[2] == "not run, ") is (cell.value in ("unsupported", "not implemented"))
    assert listed > len(all_expectations()) * 5


def test_without_a_record_every_verdict_is_predicted() -> None:
    declared = {"spark:txn-sink": dict(declarations())["spark:txn-sink"]}
    empty = Recorded(date="2026-01-01", commits=[], cells={"spark:txn-sink": {}})
    assert list(answers(find("EO-01"), declared, empty)) == [
        "Predicted from declarations, not played:",
        "",
        "- spark:txn-sink: predicted holds",
    ]


def test_the_index_counts_predictions_apart(made: dict[Path, str]) -> None:
    index = made[Path("expectations") / "README.md"]
    played, predicted = index.split("## Predicted, not played")
    assert "predicted" not in played
    rows = [line.split("|")[5:] for line in predicted.splitlines() if line.startswith("| [")]
    assert len(rows) == len(FAMILIES)
    assert all(not cell.strip() or cell.strip().startswith("predicted: ") for row in rows for cell in row)


def test_what_is_changed_by_hand_missing_or_left_over_is_stale(tmp_path: Path) -> None:
    made = {Path(name): f"{MADE}\n\n{name}\n" for name in ("a.md", "b.md", "c.md")}
    for name, text in {"a.md": made[Path("a.md")], "b.md": f"{MADE}\n\nB\n", "old.md": MADE, "own.md": "ours"}.items():
        (tmp_path / name).write_text(text)
    assert stale(made, tmp_path) == ["b.md", "c.md", "old.md"]
    assert stale(made, tmp_path / "nowhere") == ["a.md", "b.md", "c.md"]


def test_a_drawing_shows_events_in_order_watermark_and_rows() -> None:
    late = Expectation(
        "XX-01",
        "x",
        pipeline=Aggregate(Source(delay=s(0)), window=Session(s(10))),
        timeline=script("a@10", "z@18", "a@7 b=3@8 a@~", "y@60"),
        demand=after([], [], [], ["a[7,20)=2", "b[8,18)=1", "z[18,28)=1"]),
        because="x",
    )
    assert draw(late).splitlines() == [
        "seconds after T0  7  8    10  18  20  28  60",
        "step 1                    a",
        "  watermark       -------->",
        "step 2                        z",
        "  watermark       ------------>",
        "step 3            a  b=3",
        "                  a#e5@~",
        "  watermark       ------------>",
        "step 4                                    y",
        "  watermark       ------------------------>",
        "  out             [===============)           a[7,20)=2",
        "                     [========)               b[8,18)=1",
        "                              [=======)       z[18,28)=1",
    ]


def test_a_drawing_shows_pairs_and_breaks_a_line_where_time_goes_back() -> None:
    pairs = Expectation(
        "XX-02",
        "x",
        pipeline=Join(Source("L", delay=s(0)), Source("R", delay=s(0)), lo=s(0), hi=s(5)),
        timeline=script("L:a@3 L:a@1", "R:a@5"),
        demand=after([], ["a(3,5)", "a(1,5)"]),
        because="x",
    )
    drawn = draw(pairs).splitlines()
    assert [line.split() for line in drawn[:3]] == [
        ["seconds", "after", "T0", "1", "3", "5"],
        ["step", "1", "L:a"],
        ["L:a"],
    ]
    assert drawn[1].index("L:a") > drawn[2].index("L:a")
    assert [line.split()[-2:] for line in drawn[-2:]] == [["o----o", "a(3,5)"], ["o---------o", "a(1,5)"]]


@pytest.mark.parametrize("expectation", all_expectations(), ids=lambda expectation: expectation.id)
def test_every_event_and_row_of_the_catalogue_is_drawn(expectation: Expectation) -> None:
    drawn = draw(expectation)
    assert drawn.count("\nstep ") == len(expectation.timeline)
    assert drawn.count("  out") == sum(
        any(outcome[n].rows for outcome in expectation.demand) for n in range(drawn.count("\nstep "))
    )
    assert drawn.isprintable() or set(drawn) - {"\n"} == {c for c in drawn if c.isprintable()}


def test_an_engine_under_the_contract_is_foretold_to_hold_wherever_it_runs() -> None:
    faust = dict(declarations())["faust"]
    assert faust.rules == CONTRACT
    foretold = {foretell(expectation, faust).values for expectation in all_expectations()}
    assert foretold <= {(Value.HOLDS,), (Value.NOT_IMPLEMENTED,), (Value.UNSUPPORTED,)}


def test_a_rule_foretells_a_deviation_and_is_its_reason() -> None:
    spark = dict(declarations())["spark"]
    foretold = foretell(find("SW-07"), spark)
    assert (foretold.values, foretold.reason) == ((Value.DEVIATES,), "session_lateness = OWN_SPAN")
    assert foretell(find("SW-01"), spark).values == (Value.HOLDS,)


def test_what_tells_a_value_apart_is_not_demanded_under_it() -> None:
    declared = dict(declarations())
    ids = telling_apart("session_lateness", SessionLateness.OWN_SPAN, declared)
    assert "SW-07" in ids
    for id in ids:
        assert undemanded(find(id), Rules(session_lateness=SessionLateness.OWN_SPAN))
    assert telling_apart("watermark_start", WatermarkStart.BEFORE_ALL, declared) == []
    for id in telling_apart("sink", Sink.AT_LEAST_ONCE, declared):
        assert any(isinstance(step, Crash) for step in find(id).timeline)


def test_the_rules_page_gives_meaning_source_and_a_warning_where_too_few_tell_it_apart() -> None:
    page = rules_page(dict(declarations()))
    engines = "spark, spark:txn-sink, spark:dead-letters, spark:available-now, spark:once"
    assert f"| OWN_SPAN | The event's own [t, t+gap). | {engines}: https://" in page
    assert "Weir declares another value on an engine's behalf" in page
    assert "(fewer than 2)" in rules_page({})


def test_a_recipe_is_told_where_the_engine_usually_needs_none() -> None:
    declared = dict(declarations())
    asked = [(name, id) for name in ("spark", "faust") for id in ("ST-01", "CDC-01")]
    told = {(name, id): recipe(find(id), declared[name]) for name, id in asked}
    assert told == {(name, id): foretell(find(id), declared[name]).recipe for name, id in asked}
    assert told.pop(("spark", "CDC-01")).startswith("A transformWithState")
    assert not any(told.values())
