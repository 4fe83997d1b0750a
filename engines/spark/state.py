"""How big the state is: rows and bytes read back from the checkpoint, files as they lie, and what a restore must read.

`live` runs in the worker and asks Spark's own state reader; the others look at files from outside.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

_BOOKKEEPING = "keyToNumValues"
"""A join keeps how many rows a key has beside the rows themselves: bytes of state, but no rows."""
_TIMERS = "TimerState"
"""Of a recipe: neither does Spark count them as rows."""
_VERSIONED = re.compile(r"(\d+)\.(changelog|delta|zip|snapshot)")
"""What RocksDB leaves in a checkpoint (changelogs and archives), and what the store on the heap does."""
_WHOLE = ("zip", "snapshot")


def live(spark: Any, checkpoint: Path) -> tuple[int, int]:
    """Return the committed state's rows, and the bytes of their keys and values written as JSON."""
    if not (checkpoint / "state").exists():
        return 0, 0
    rows = size = 0
    described = spark.read.format("state-metadata").load(str(checkpoint))
    stores = described.select("operatorId", "stateStoreName", "operatorProperties").distinct()
    for store in stores.collect():
        reader = spark.read.format("statestore").option("operatorId", store.operatorId)
        variables = json.loads(store.operatorProperties or "{}").get("stateVariables", ())
        named = [("stateVarName", v["stateName"]) for v in variables if v["stateVariableType"] != _TIMERS]
        # By store and not by side of the join: that option of the reader fails without generated code.
        for option, name in named or [("storeName", store.stateStoreName)]:
            frame = reader.option(option, name).load(str(checkpoint)).drop("partition_id")
            found = frame.selectExpr("count(*) as rows", "sum(octet_length(to_json(struct(*)))) as bytes").first()
            rows += 0 if name.endswith(_BOOKKEEPING) else found.rows
            size += found.bytes or 0
    return rows, size


def disk_bytes(local_dir: Path) -> int:
    """Return the bytes of all local RocksDB files of one Spark process."""
    return sum(_size(path) for path in local_dir.glob("**/StateStoreId*/workingDir*/*"))


def restore_bytes(checkpoint: Path) -> int:
    """Return the bytes of the files that a restore must read: newest snapshots, and the changelogs after them."""
    stores = {path.parent for path in (checkpoint / "state").glob("**/*") if _VERSIONED.fullmatch(path.name)}
    return sum(_restore_bytes(store) for store in stores)


def _restore_bytes(store: Path) -> int:
    versions = [(int(match[1]), match[2]) for path in store.iterdir() if (match := _VERSIONED.fullmatch(path.name))]
    whole, kind = max(((version, kind) for version, kind in versions if kind in _WHOLE), default=(0, ""))
    later = [f"{version}.{kind}" for version, kind in versions if kind not in _WHOLE and version > whole]
    total = sum(_size(store / name) for name in later)
    match kind:
        case "zip":
            return total + _snapshot_bytes(store / f"{whole}.zip")
        case "snapshot":
            return total + _size(store / f"{whole}.snapshot")
        case _:
            return total


def _snapshot_bytes(path: Path) -> int:
    """Return the size of a snapshot: its archive of small files, and the SST files that it shares with others."""
    with zipfile.ZipFile(path) as archive:
        description = archive.read("metadata").decode().partition("\n")[2]
    return _size(path) + sum(int(file["sizeBytes"]) for file in json.loads(description)["sstFiles"])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # Spark deletes behind our back.
        return 0
