"""A user's own scenario in one file, and what is said of one that cannot be run: one sentence, exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import main
from bench.plan import scenario
from semantics.time import T0_US
from semantics.timeline import Event

MINE = """
from dataclasses import dataclass
from scenarios.replay import replay
from scenarios.scenario import Scenario
from semantics.pipeline import Aggregate, Emit, Source
from semantics.timeline import Event

COUNT = Aggregate(Source(), emit=Emit.UPDATE)

@dataclass
class Mine:
    word: str

def events(random, due_us):
    for number, at in enumerate(due_us):
        yield Event(f"k{{random.integers(9)}}", at, f"e{{number}}")

{scenario}
"""
PLAIN = 'SCENARIO = Scenario(name="mine", claim="mine", pipeline=COUNT, events=events)'


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.py"
    path.write_text(MINE.format(scenario=text))
    return path


def replaying(folder: Path, lines: str) -> Path:
    (folder / "events.jsonl").write_text(lines)
    return write(folder, PLAIN.replace("=events", f"=replay({str(folder / 'events.jsonl')!r})"))


@pytest.mark.parametrize("text", [PLAIN, f"def SCENARIO():\n    {PLAIN.replace('SCENARIO =', 'return')}"])
def test_a_value_or_a_function_gives_the_scenario(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    loaded = scenario(str(path))
    assert (loaded.name, loaded.file) == ("mine", str(path))
    assert list(loaded.generate(7, [0, 5])) == list(scenario(str(path)).generate(7, [0, 5]))


def test_a_file_is_replayed_in_its_order_and_again_with_time_moved_on(tmp_path: Path) -> None:
    lines = f'{{"k":"a","t":{T0_US + 5},"v":3,"i":"x","more":1}}\n\n{{"k":"b","t":{T0_US}}}\n'
    loaded = scenario(str(replaying(tmp_path, lines)))
    assert list(loaded.generate(1, [0, 1, 2, 3, 4])) == [
        Event("a", 5, "x", 3),
        Event("b", 0, "e1"),
        Event("a", 11, "x-1", 3),
        Event("b", 6, "e1-1"),
        Event("a", 17, "x-2", 3),
    ]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('{"k":"a","t":1}\n{"k":', "line 2: "),
        ('{"k":"a","t":1}\n\n{"k":1,"t":1}\n', "line 3: Expected `str`, got `int` - at `$.k`"),
        ('{"k":"a"}\n', "line 1: Object missing required field `t`"),
        ("", "holds no event"),
    ],
)
def test_a_line_that_cannot_be_replayed_is_named(
    tmp_path: Path, lines: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in refused(str(replaying(tmp_path, lines)), capsys)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no SCENARIO = Scenario(...)"),
        ("SCENARIO = COUNT", "has no SCENARIO = Scenario(...)"),
        ("x = 1 / 0", "line 18: ZeroDivisionError: division by zero"),
        ("x = = 1", "line 18: SyntaxError"),
        ("import nowhere", "line 18: ModuleNotFoundError"),
        (PLAIN.replace('"mine"', '"My Own"', 1), "goes into topics"),
        (PLAIN.replace("COUNT", "Source()"), "cannot be judged"),
        (PLAIN.replace("=events", "=replay('nowhere.jsonl')"), "Cannot replay nowhere.jsonl: No such file"),
        (f"import itertools\nstep = itertools.count()\n{PLAIN.replace('=events', '=drifting')}", "NameError"),
        (
            "import itertools\nstep = itertools.count()\n"
            "def drifting(random, due_us):\n    yield from (Event(f'k{next(step)}', at) for at in due_us)\n"
            + PLAIN.replace("=events", "=drifting"),
            "another one for the same seed",
        ),
    ],
)
def test_a_file_that_cannot_be_run_is_refused(
    tmp_path: Path, text: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in refused(str(write(tmp_path, text)), capsys)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.py", "There is no file"),
        ("events.jsonl", "write a scenario file with events=replay("),
        ("./mine", "There is no file"),
        ("runing-count", "Did you mean running-count"),
    ],
)
def test_a_name_that_is_no_scenario(name: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in refused(name, capsys)


def refused(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the bench on it; return the one line on stderr."""
    assert main(["--engine", "reference", "--scenario", name]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    return line
