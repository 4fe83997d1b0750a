from __future__ import annotations

import json
import zipfile
from pathlib import Path

from engines.spark.state import disk_bytes, restore_bytes


def write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))


def snapshot(path: Path, *sst_bytes: int) -> int:
    """Write a snapshot that shares SST files of these sizes; return what reading it costs."""
    files = [{"localFileName": f"{n}.sst", "sizeBytes": size} for n, size in enumerate(sst_bytes)]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata", "v1\n" + json.dumps({"sstFiles": files, "numKeys": 3}))
    return path.stat().st_size + sum(sst_bytes)


def test_without_a_snapshot_every_changelog_is_read(tmp_path: Path) -> None:
    for version, size in ((1, 10), (2, 20), (10, 30)):
        write(tmp_path / f"state/0/0/{version}.changelog", size)
        write(tmp_path / f"state/0/0/.{version}.changelog.crc", 12)
    write(tmp_path / "state/0/_metadata/metadata", 99)
    assert restore_bytes(tmp_path) == 60


def test_only_the_newest_snapshot_and_what_follows_it(tmp_path: Path) -> None:
    for version in range(1, 13):
        write(tmp_path / f"state/0/0/{version}.changelog", 100)
    snapshot(tmp_path / "state/0/0/4.zip", 5_000)
    cost = snapshot(tmp_path / "state/0/0/10.zip", 7_000, 300)
    assert restore_bytes(tmp_path) == cost + 200


def test_the_store_on_the_heap_reads_its_newest_snapshot_and_the_deltas_after_it(tmp_path: Path) -> None:
    for version in range(1, 13):
        write(tmp_path / f"state/0/0/{version}.delta", 100)
    write(tmp_path / "state/0/0/10.snapshot", 900)
    assert restore_bytes(tmp_path) == 1_100


def test_all_stores_of_a_join_and_all_partitions_count(tmp_path: Path) -> None:
    for store in ("0/0/left", "0/0/right", "0/1/left"):
        write(tmp_path / "state" / store / "1.changelog", 7)
    assert restore_bytes(tmp_path) == 21


def test_a_stateless_query_restores_nothing(tmp_path: Path) -> None:
    assert restore_bytes(tmp_path) == 0


def test_local_files_are_those_of_the_working_stores(tmp_path: Path) -> None:
    store = tmp_path / "spark-1" / "StateStoreId(opId=0,partId=0,name=default)-2"
    write(store / "workingDir-3" / "000008.sst", 1_000)
    write(store / "workingDir-3" / "000004.log", 24)
    write(store / "checkpoint-4" / "000008.sst", 1_000)  # Linked to the one above.
    write(tmp_path / "blockmgr-5" / "x", 50)
    assert disk_bytes(tmp_path) == 1_024
