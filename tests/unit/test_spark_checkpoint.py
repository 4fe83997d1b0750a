from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import EngineFailed
from engines.spark.checkpoint import Checkpoint, Journal


def planned(path: Path, batch: int, *sources: str) -> None:
    (path / "offsets").mkdir(exist_ok=True)
    (path / "offsets" / str(batch)).write_text("\n".join(["v1", '{"batchWatermarkMs":0}', *sources]))
    (path / "offsets" / f".{batch}.crc").write_bytes(b"crc")


def committed(path: Path, batch: int, watermark_ms: int) -> None:
    (path / "commits").mkdir(exist_ok=True)
    (path / "commits" / str(batch)).write_text(f'v1\n{{"nextBatchWatermarkMs":{watermark_ms}}}')
    (path / "commits" / f".{batch}.crc").write_bytes(b"crc")


def test_a_query_that_never_ran_has_nothing(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "not-yet")
    assert checkpoint.last(Journal.COMMITTED) == -1
    assert checkpoint.writing(Journal.PLANNED) == -1
    assert not checkpoint.has(Journal.COMMITTED, 0)


def test_batches_are_numbers_and_drafts_are_not_batches(tmp_path: Path) -> None:
    for batch in (2, 9, 10):
        committed(tmp_path, batch, 0)
    (tmp_path / "commits" / ".11.0f1e-22.tmp").touch()
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.last(Journal.COMMITTED) == 10
    assert checkpoint.writing(Journal.COMMITTED) == 11


def test_a_position_covers_all_partitions_of_all_inputs(tmp_path: Path) -> None:
    planned(tmp_path, 3, '{"left":{"0":5,"1":0}}', '{"right":{"0":7}}')
    assert Checkpoint(tmp_path).position(3) == {("left", 0): 5, ("left", 1): 0, ("right", 0): 7}


def test_an_input_that_said_nothing_yet_has_no_position(tmp_path: Path) -> None:
    planned(tmp_path, 0, '{"left":{"0":5}}', "-")
    assert Checkpoint(tmp_path).position(0) == {("left", 0): 5}


def test_the_watermark_is_none_until_it_was_set(tmp_path: Path) -> None:
    committed(tmp_path, 0, 0)
    committed(tmp_path, 1, 1_767_225_600_001)
    assert Checkpoint(tmp_path).watermark_us(0) is None
    assert Checkpoint(tmp_path).watermark_us(1) == 1_767_225_600_001_000


def test_forgetting_a_commit_leaves_its_plan_and_nothing_later(tmp_path: Path) -> None:
    for batch in range(4):
        planned(tmp_path, batch)
        committed(tmp_path, batch, 0)
    Checkpoint(tmp_path).forget(2)
    assert sorted(path.name for path in (tmp_path / "offsets").iterdir()) == [
        ".0.crc",
        ".1.crc",
        ".2.crc",
        "0",
        "1",
        "2",
    ]
    assert sorted(path.name for path in (tmp_path / "commits").iterdir()) == [".0.crc", ".1.crc", "0", "1"]


def test_an_unknown_form_is_refused(tmp_path: Path) -> None:
    committed(tmp_path, 0, 0)
    (tmp_path / "commits" / "0").write_text("v9\n{}")
    with pytest.raises(EngineFailed, match="changed its checkpoints"):
        Checkpoint(tmp_path).watermark_us(0)
