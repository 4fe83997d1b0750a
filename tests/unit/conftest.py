"""What several unit tests share: the planted bugs, played once, and directories in memory."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bench import tables
from semantics.verdict import Value

MEMORY = Path("/dev/shm")  # noqa: S108  (names in it are drawn at random)
ROOM_BYTES = 16 << 20
"""A store of one example takes less than 1 MB; a container may have as little as 64 MB of such memory."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the users of a costly fixture in one process, where it is made once (`--dist loadgroup`)."""
    for item in items:
        if "planted" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("planted"))


@pytest.fixture(scope="session")
def planted() -> Mapping[str, Mapping[str, Value]]:
    """Return the catalogue's verdicts on each bug planted into the reference."""
    return asyncio.run(tables.planted())


@pytest.fixture(scope="session")
def scratch() -> Callable[[], AbstractContextManager[str]]:
    """Return what makes a directory for one example of a property: in memory where there is room, and gone after it.

    RocksDB waits for the disk at every save, so an example on a slow disk takes ten times as long.
    """

    def directory() -> AbstractContextManager[str]:
        quick = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
        return tempfile.TemporaryDirectory(prefix="weir-", dir=MEMORY if quick else None)

    return directory
