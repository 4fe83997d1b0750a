"""A short soak of the real engine, through the command line."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.__main__ import main

pytestmark = pytest.mark.integration


def test_kills_at_moments_of_chance_lose_and_repeat_nothing(
    broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["soak", "--engine", "faust", "--kills", "3", "--workers", "2", "--seed", "5"]
    assert main([*argv, "--broker", broker, "--output", str(tmp_path)]) == 0
    assert "faust: right, 0 rows repeated" in capsys.readouterr().out
    [record] = map(msgspec.json.decode, next(tmp_path.glob("*/soak.jsonl")).read_bytes().splitlines())
    assert sum(record["kills"].values()) == 3
    assert record["rows"] == record["events"] > 0


def test_a_broker_that_restarts_under_load_ends_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["soak", "--engine", "faust", "--bounces", "1", "--kills", "1", "--workers", "2", "--seed", "5"]
    assert main([*argv, "--output", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "1 of 1 bounces of the broker (0 by SIGKILL), 0 workers ended" in told
    assert "faust: right, 0 rows repeated" in told
    [record] = map(msgspec.json.decode, next(tmp_path.glob("*/soak.jsonl")).read_bytes().splitlines())
    assert len(record["bounces"]) == sum(record["kills"].values()) == 1
    assert record["rows"] == record["events"] > 0


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--engine", "fuast"], "Did you mean faust"),
        (["--engine", "faust", "--kills", "0"], "needs a kill or a bounce"),
        (["--engine", "faust", "--bounces", "-1"], "needs a kill or a bounce"),
        (["--engine", "faust", "--bounces", "1", "--away", "-1"], "0 is the least"),
        (["--engine", "faust", "--bounces", "1", "--broker", "127.0.0.1:1"], "leave out --broker or --bounces"),
        (["--engine", "spark", "--workers", "2"], "no workers to choose"),
    ],
)
def test_what_cannot_be_soaked_is_said(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["soak", *argv]) == 2
    assert says in capsys.readouterr().err
