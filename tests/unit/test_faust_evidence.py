"""What the log must show at each crash point; a worker that says otherwise is not believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from engines.contract import Message, Place
from engines.errors import Deadline
from engines.faust import evidence
from engines.faust.evidence import Scene, Witness
from semantics.timeline import CrashPoint

OUT, CHANGELOG = ("out", 0), ("log", 0)
WITNESS = Witness("job", "out", "dead", "log", 1)


class Ends:
    """A log of which only the ends are asked: (high watermark, last stable offset) by place."""

    bootstrap = ""

    def __init__(self, **ends: tuple[int, int]) -> None:
        self.at = {(topic, 0): pair for topic, pair in ends.items()}

    def ends(self, places: Sequence[Place], *, committed: bool = True) -> Mapping[Place, int]:
        return {place: self.at.get(place, (0, 0))[committed] for place in places}

    def create(
        self,
        topics: Mapping[str, int],
        *,
        compact: bool = False,
        settings: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        raise NotImplementedError

    def append(self, batches: Mapping[Place, Sequence[Message]]) -> Mapping[Place, int]:
        raise NotImplementedError

    def read(
        self, ranges: Mapping[Place, tuple[int, int]], *, committed: bool = True
    ) -> Mapping[Place, Sequence[Message]]:
        raise NotImplementedError


def parked(left: Mapping[str, int] | None = None, **wrote: int) -> list[dict[str, Any]]:
    ends = {f"{topic}/0": end for topic, end in wrote.items()}
    return [{"job": "job", "partition": 0, "store": "", "wrote": ends, "left": left or {}}]


@pytest.fixture
def wal(tmp_path: Path) -> Path:
    path = tmp_path / "0" / "job" / "0" / "000001.log"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"12")
    return path


def scene(point: CrashPoint, wal: Path, *, transactional: bool = True) -> Scene:
    log = Ends(out=(3, 3), log=(5, 5))
    return Scene.now(point, log, [WITNESS], stores=wal.parents[3], transactional=transactional)


@pytest.mark.parametrize("point", [CrashPoint.BEFORE_PROCESS, CrashPoint.AFTER_PROCESS])
def test_before_the_sink_nothing_is_written(point: CrashPoint, wal: Path) -> None:
    told = scene(point, wal).verify(Ends(out=(3, 3), log=(5, 5)), parked())
    assert "no record was written" in told
    assert "by the worker's own word, job/0 holds a chunk" in told
    with pytest.raises(Deadline, match="No task"):
        scene(point, wal).verify(Ends(out=(3, 3), log=(5, 5)), [])
    with pytest.raises(Deadline, match="ends moved"):
        scene(point, wal).verify(Ends(out=(4, 3), log=(5, 5)), parked())


@pytest.mark.parametrize("point", [CrashPoint.MID_SINK, CrashPoint.AFTER_SINK])
def test_in_the_sink_a_transaction_is_open(point: CrashPoint, wal: Path) -> None:
    told = scene(point, wal).verify(Ends(out=(5, 3), log=(5, 5)), parked(out=5))
    assert "open transaction" in told
    assert "out/0 3..5" in told
    for log, said in (
        (Ends(out=(4, 3), log=(5, 5)), parked(out=5)),  # less on the log than the worker says
        (Ends(out=(5, 5), log=(5, 5)), parked(out=5)),  # already committed
        (Ends(out=(3, 3), log=(5, 5)), parked()),  # nothing written at all
    ):
        with pytest.raises(Deadline, match="uncommitted"):
            scene(point, wal).verify(log, said)


@pytest.mark.parametrize(
    ("left", "wrote", "says"),
    [
        ({"out/0": 2, "log/0": 3}, {"out": 5}, "2 output records are still to come"),
        ({"log/0": 3}, {"out": 5}, "none of the 3 changelog records"),
        ({}, {"log": 6}, "no output was due"),
    ],
)
def test_mid_sink_is_a_part_and_no_more(
    left: Mapping[str, int], wrote: Mapping[str, int], says: str, wal: Path
) -> None:
    ends = {"out": (3, 3), "log": (5, 5)} | {topic: (end, 3 if topic == "out" else 5) for topic, end in wrote.items()}
    assert says in scene(CrashPoint.MID_SINK, wal).verify(Ends(**ends), parked(left, **wrote))
    with pytest.raises(Deadline, match="more is on the log than a part"):
        scene(CrashPoint.MID_SINK, wal).verify(Ends(**ends | {"dead": (1, 0)}), parked(left, **wrote))


def test_tasks_that_write_to_one_partition_end_where_the_later_one_ends(wal: Path) -> None:
    said = [*parked({"log/0": 1}, out=5), *parked({"log/0": 1}, out=4)]
    for order in (said, said[::-1]):
        told = scene(CrashPoint.MID_SINK, wal).verify(Ends(out=(5, 3), log=(5, 5)), order)
        assert "out/0 3..5" in told


def test_without_transactions_the_changelog_tells(wal: Path) -> None:
    weak = scene(CrashPoint.AFTER_SINK, wal, transactional=False)
    assert "no commit is on the changelog" in weak.verify(Ends(out=(5, 5), log=(5, 5)), parked(out=5))
    with pytest.raises(Deadline, match="committed"):
        weak.verify(Ends(out=(5, 5), log=(6, 6)), parked(out=5))


def test_after_the_commit_all_is_visible_and_the_store_tells_the_two_points_apart(
    wal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "VISIBLE_WITHIN_S", 0.0)
    committed, recorded = scene(CrashPoint.AFTER_COMMIT, wal), scene(CrashPoint.AFTER_PROGRESS, wal)
    log, said = Ends(out=(6, 6), log=(8, 8)), parked(out=5, log=7)
    said[0]["store"] = str(wal.parent)
    assert "not yet written" in committed.verify(log, said)
    with pytest.raises(Deadline, match="should be written"):
        recorded.verify(log, said)
    wal.write_bytes(b"123")
    assert "stores written" in recorded.verify(log, said)
    with pytest.raises(Deadline, match="should not be written"):
        committed.verify(log, said)
    with pytest.raises(Deadline, match="become visible"):
        recorded.verify(Ends(out=(6, 3), log=(8, 8)), said)
