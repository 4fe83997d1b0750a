"""Playing again what an exception ended: twice the same is the script's doing, anything else decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from engines import journal
from engines.contract import Job, Log, RunDirs, Settings
from engines.errors import Deadline, EngineFailed
from engines.memory import MemoryLog
from engines.player import Player
from engines.reference.engine import ReferenceDeployment, ReferenceEngine
from semantics.catalogue import find
from semantics.rules import CONTRACT
from semantics.verdict import Value, judge

FINE = ""


class Mortal(ReferenceEngine):
    """The reference, some deployments of which end with an exception."""

    def __init__(self, *ends: str) -> None:
        self.ends: Iterator[str] = iter(ends)

    async def deploy(self, jobs: Sequence[Job], *, log: Log, dirs: RunDirs, settings: Settings) -> ReferenceDeployment:
        match next(self.ends):
            case "":
                return await super().deploy(jobs, log=log, dirs=dirs, settings=settings)
            case "Deadline":
                raise Deadline("Waited 60 s for a worker to be ready.")
            case exception:
                raise EngineFailed("a worker ended with exit code 70.", exception)


async def verdicts(folder: Path, ids: Sequence[str], *ends: str) -> list[Value]:
    """Play; return the verdicts, which must be those of the record too. Every end must have been met."""
    written = journal.Journal(folder / "history.jsonl")
    engine = Mortal(*ends)
    expectations = [find(id) for id in ids]
    player = Player(engine, "", MemoryLog(), logs=folder, journal=written)
    played = await player.play(expectations)
    written.close()
    assert next(engine.ends, None) is None
    recorded = {history.expectation: history for history in journal.read(folder / "history.jsonl")}
    assert recorded == played
    return [judge(e, CONTRACT, recorded[e.id]).value for e in expectations]


@pytest.mark.parametrize(
    ("ends", "value"),
    [
        ((FINE,), Value.HOLDS),
        (("UnicodeDecodeError: byte 0xe9 at 3", "UnicodeDecodeError: byte 0xe9 at 7"), Value.BROKEN),
        (("UnicodeDecodeError: byte 0xe9 at 3", "KeyError: 3"), Value.UNKNOWN),
        (("UnicodeDecodeError: byte 0xe9 at 3", FINE), Value.UNKNOWN),
        (("KeyError: 3", "Deadline"), Value.UNKNOWN),
        (("Deadline",), Value.UNKNOWN),
    ],
)
async def test_an_exception_is_broken_if_it_comes_again(tmp_path: Path, ends: tuple[str, ...], value: Value) -> None:
    assert await verdicts(tmp_path, ["WM-01"], *ends) == [value]


async def test_a_shared_deployment_that_dies_accuses_nobody(tmp_path: Path) -> None:
    ends = "KeyError: 3", FINE, "KeyError: 3", "KeyError: 4"
    assert await verdicts(tmp_path, ["WM-01", "WM-02"], *ends) == [Value.HOLDS, Value.BROKEN]
