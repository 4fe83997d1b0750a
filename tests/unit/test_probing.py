"""The table of what an engine runs: every combination has an answer, and what changes is told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench import __main__ as command_line
from bench.probing import chosen
from engines import registry
from engines.probing import Answer, Probe, Record, Statement, contradicted, differences, load, save
from engines.spark import probe_facts, probe_frames
from engines.spark.facts import QUESTIONS
from engines.spark.guide import STATEMENTS
from engines.spark.probe import PROBER
from engines.spark.probes import AGGREGATIONS, CHAINS, DEDUPS, OPERATIONS, WATERMARKS
from semantics.errors import UnknownName

YES, NO = Answer(yes=True), Answer(yes=False, when="start", error="X.Y", saw="not so")


def test_every_probe_is_recorded_and_nothing_else() -> None:
    ids = [probe.id for probe in PROBER.probes]
    assert len(set(ids)) == len(ids)
    assert set(load(PROBER.record).answers) == set(ids)


def test_the_record_is_of_the_version_that_is_installed() -> None:
    assert load(PROBER.record).versions["pyspark"] == PROBER.versions()["pyspark"]


def test_every_name_that_is_asked_has_a_frame() -> None:
    assert tuple(probe_frames.AGGREGATIONS) == AGGREGATIONS
    assert tuple(probe_frames.DEDUPS) == DEDUPS
    assert tuple(probe_frames.CHAINS) == CHAINS
    assert tuple(probe_frames.OPERATIONS) == OPERATIONS
    assert tuple(probe_frames.WATERMARKS) == WATERMARKS
    assert tuple(probe_facts.FACTS) == tuple(QUESTIONS)


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.id)
def test_every_statement_of_the_guide_speaks_of_something_that_is_asked(statement: Statement) -> None:
    assert any(statement.covers(probe) for probe in PROBER.probes)


def test_a_contradiction_is_where_the_guide_says_the_opposite() -> None:
    join = next(statement for statement in STATEMENTS if statement.id == "J4")
    update, append = (Probe(area="join", operator="inner", form="range", mode=mode) for mode in ("update", "append"))
    assert contradicted(join, [update, append], {update.id: YES, append.id: YES}) == [update]
    assert contradicted(join, [update], {update.id: NO}) == []


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        ({}, YES, "not recorded; now yes"),
        ({"a/b": YES}, NO, "recorded as yes; now no: X.Y: not so"),
        ({"a/b": NO}, Answer(yes=False, when="run", error="X.Y"), "recorded as no: X.Y: not so; now no: X.Y"),
        ({"a/b": NO}, Answer(yes=False, when="start", error="Z"), "recorded as no: X.Y: not so; now no: Z"),
    ],
)
def test_what_differs_is_told(before: dict[str, Answer], now: Answer, says: str) -> None:
    assert differences([Probe(area="a", operator="b")], before, {"a/b": now}) == [f"a/b: {says}"]


def test_other_words_for_the_same_refusal_are_no_difference() -> None:
    again = Answer(yes=False, when="start", error="X.Y", saw="#123 is not so")
    assert differences([Probe(area="a", operator="b")], {"a/b": NO}, {"a/b": again}) == []


def test_a_record_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "probes.json"
    record = Record(versions={"x": "1"}, answers={"a/b": YES, "a/c": NO})
    save(path, record)
    assert load(path) == record
    assert len(path.read_text().splitlines()) == 4
    msgspec.json.decode(path.read_bytes())


def test_probes_are_chosen_by_how_their_ids_begin() -> None:
    assert {probe.area for probe in chosen(PROBER.probes, ["join/inner"])} == {"join"}
    assert len(chosen(PROBER.probes, [])) == len(PROBER.probes)
    with pytest.raises(UnknownName, match="Did you mean join"):
        chosen(PROBER.probes, ["joyn"])


def test_an_engine_without_probes_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert registry.prober("reference") is None
    assert command_line.main(["probe", "--engine", "reference"]) == 0
    assert "reference has no probes" in capsys.readouterr().out


def test_an_unknown_engine_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["probe", "--engine", "sparc"]) == 2
    assert "Did you mean spark" in capsys.readouterr().err
