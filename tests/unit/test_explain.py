"""A cell in words: three answers, the rule and its source; and the catalogue as a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import runs
from bench.__main__ import main
from bench.explain import foreseen, lines
from bench.story import tell
from bench.suite import Suite
from bench.words import describe
from engines import registry
from engines.memory import MemoryLog
from semantics.catalogue import all_expectations, find
from semantics.verdict import Value


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_without_a_run_the_prediction_stands_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output", str(tmp_path), "explain", "SW-07", "--engine", "spark"]) == 0
    said = told(capsys)
    assert said[0] == "SW-07 on Spark Structured Streaming (spark): deviates (predicted, not played)"
    assert "demanded a[7,20)=2 z[18,28)=1" in said
    assert "predicted a[10,20)=1 z[18,28)=1" in said
    assert not any(line.startswith("observed a") for line in said)
    assert "why it is predicted to deviate" in said
    assert "session_lateness = OWN_SPAN; the contract: MERGED_SPAN" in said
    assert any(line.startswith("source https://") for line in said)
    assert "pytest -m semantics --engine spark -k SW-07" in said
    assert any("no run in" in line for line in said)


async def test_with_a_run_the_newest_that_holds_the_cell_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for id in ("SW-07", "SW-05"):
        run = runs.create(tmp_path, {}, seed=1)
        suite = Suite(run, kafka=MemoryLog, progress=lambda _: None)
        await suite.run("reference:late-by-event-time", [find(id)])
        suite.close()
        run.close()
    assert main(["--output", str(tmp_path), "explain", "SW-07", "--engine", "reference:late-by-event-time"]) == 0
    said = told(capsys)
    assert said[0].endswith(": broken")
    assert "=> step 4: y#e4@60" in said
    assert "observed a[10,20)=1 z[18,28)=1" in said
    assert said[-1].startswith("observed in ")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["explain", "SW-7", "--engine", "spark"], "Did you mean SW-"),
        (["explain", "SW-07", "--engine", "sparc"], "Did you mean spark"),
        (["explain", "SW-07", "--engine", "spark", "--run", "nowhere"], "No run folder nowhere"),
        (["list", "--family", "SWW"], "Did you mean SW"),
        (["list", "--engine", "fausst"], "Did you mean faust"),
        (["report", "nowhere"], "No run folder nowhere"),
        (["check", "nowhere"], "No run folder nowhere"),
    ],
)
def test_an_unknown_name_is_usage(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert says in capsys.readouterr().err


def test_a_run_without_the_cell_is_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = runs.create(tmp_path, {}, seed=1)
    assert main(["explain", "SW-07", "--engine", "spark", "--run", str(run.path)]) == 2
    assert "does not hold SW-07 on spark" in capsys.readouterr().err


def test_the_list_says_what_is_foretold(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--family", "SW", "--engine", "spark", "--engine", "faust"]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "SW-07" in line)
    assert "spark: predicted" in out
    assert "faust: predicted" in out
    assert "≠ session_lateness = OWN_SPAN" in row
    assert row.count("✓") == 1
    assert "WM-01" not in out


@pytest.mark.parametrize("name", registry.names())
def test_every_cell_of_the_catalogue_can_be_explained(name: str) -> None:
    declared = registry.get(name)[0].declaration()
    for expectation in all_expectations():
        says, verdict = foreseen(expectation, declared)
        story = tell(expectation, name, declared, verdict, None)
        text = "\n".join(lines(story, says))
        assert expectation.because in text
        assert story.reasons or verdict.value is not Value.DEVIATES or declared.deviations
        assert describe(expectation.pipeline) in text


def test_of_updates_only_the_last_row_of_a_key_is_demanded() -> None:
    expectation, declared = find("EO-01"), registry.get("faust")[0].declaration("at-least-once")
    says, verdict = foreseen(expectation, declared)
    text = "\n".join(lines(tell(expectation, "faust:at-least-once", declared, verdict, None), says))
    assert "holds or deviates (predicted, not played)" in text
    assert "demanded   a=4 (before that, perhaps: a=3)" in text
    assert "predicted  a=3 a=4 (each at least once)" in text
