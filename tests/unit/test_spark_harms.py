"""The page about damaged checkpoints is what the cases say; each case harms what it says it harms."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.spark.damage import PAGE, condition, page
from engines.spark.harms import CASES, TOKENS


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run `python -m engines.spark.damage`"


def test_a_verdict_is_of_what_is_seen_and_what_is_right() -> None:
    verdicts = {cells[1].strip(): cells[-2].strip() for row in page().splitlines() if (cells := row.split("|"))[2:]}
    assert {name: verdicts[name] for name in ("state", "plan_only", "sources")} == {
        "state": "refused",
        "plan_only": "refused",
        "sources": "harmless",
    }
    assert {verdicts[name] for name in ("join_bound", "session_gap", "plan_back")} == {"**silent**"}
    assert verdicts["wiped"] == "repeats"
    assert verdicts.keys() >= CASES.keys()


def test_a_harm_that_finds_nothing_to_harm_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="commits"):
        CASES["commit_last"].harm(tmp_path)


def test_the_innermost_condition_is_told_without_what_differs_from_run_to_run() -> None:
    wrapped = "[STREAM_FAILED] Query [id = x] terminated with exception: [A_B.C_D] one [E_F] two SQLSTATE: 1"
    assert condition(wrapped) == "E_F"
    assert condition("[STREAM_FAILED] x terminated with exception: file:/tmp/x/offsets/2 is bad SQLSTATE: 1") == (
        "offsets/2 is bad"
    )


def test_the_token_loses_what_comes_to_a_batch_whose_plan_is_gone() -> None:
    assert TOKENS["commit_last"].seen == TOKENS["commit_last"].right
    assert TOKENS["plan_last"].seen == "nothing"
