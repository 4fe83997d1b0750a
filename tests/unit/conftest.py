"""What several unit tests share: the planted bugs, played once, and directories in memory."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest

from bench import tables
from semantics.verdict import Value

MEMORY = Path("/dev/shm")  # noqa: S108  (names in it are drawn at random)
ROOM_BYTES = 16 << 20
"""A store of one example takes less than 1 MB; a container may have as little as 64 MB of such memory."""


@pytest.fixture(scope="session")
def planted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Mapping[str, Value]]:
    """Return the catalogue's verdicts on each bug planted into the reference; of several processes, one plays them."""
    own = tmp_path_factory.getbasetemp()
    kept = (own.parent if hasattr(request.config, "workerinput") else own) / "planted.json"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_bytes(msgspec.json.encode(asyncio.run(tables.planted())))
    return msgspec.json.decode(kept.read_bytes(), type=dict[str, dict[str, Value]])


@pytest.fixture(scope="session")
def scratch() -> Callable[[], AbstractContextManager[str]]:
    """Return what makes a directory for one example of a property: in memory where there is room, and gone after it.

    RocksDB waits for the disk at every save, so an example on a slow disk takes ten times as long.
    """

    def directory() -> AbstractContextManager[str]:
        quick = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
        return tempfile.TemporaryDirectory(prefix="weir-", dir=MEMORY if quick else None)

    return directory
