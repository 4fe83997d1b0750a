"""A query's checkpoint directory, read from outside: what Spark has planned, what it has committed, and until where.

`offsets/N` is written before batch N runs, `commits/N` after all of its output was written. Files appear whole, by
rename; names that start with a dot are being written. https://spark.apache.org/docs/4.2.0/streaming/
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from engines.contract import Place
from engines.errors import EngineFailed

_DRAFT = re.compile(r"\.(\d+)\..+\.tmp")


class Journal(Enum):
    """The two logs of a query; the value is the folder's name."""

    PLANNED = "offsets"
    COMMITTED = "commits"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The directory of one query. All methods may be called while it runs."""

    path: Path

    def last(self, journal: Journal) -> int:
        """Return the newest batch in a log; -1 if there is none."""
        return max((int(name) for name in self._names(journal) if name.isdecimal()), default=-1)

    def writing(self, journal: Journal) -> int:
        """Return the batch whose entry is being written just now; -1 if none is."""
        drafts = [match for name in self._names(journal) if (match := _DRAFT.fullmatch(name))]
        return max((int(match[1]) for match in drafts), default=-1)

    def has(self, journal: Journal, batch: int) -> bool:
        """Return whether the batch is in the log."""
        return (self.path / journal.value / str(batch)).exists()

    def position(self, batch: int) -> Mapping[Place, int]:
        """Return the input offsets up to which a batch, and all before it, have read. Raises `EngineFailed`."""
        found: dict[Place, int] = {}
        with self._entry(Journal.PLANNED, batch) as lines:
            for line in lines[2:]:
                if line != "-":  # A source that has not yielded anything yet.
                    for topic, partitions in json.loads(line).items():
                        found |= {(topic, int(partition)): offset for partition, offset in partitions.items()}
        return found

    def watermark_us(self, batch: int) -> int | None:
        """Return the watermark after a committed batch, in microseconds since 1970; None while it was never set."""
        with self._entry(Journal.COMMITTED, batch) as lines:
            millis = json.loads(lines[1])["nextBatchWatermarkMs"]
        return millis * 1000 if millis else None

    def forget(self, batch: int) -> None:
        """Take back the commit of a batch, and every later entry, as if the process had died before it."""
        for journal, first in ((Journal.COMMITTED, batch), (Journal.PLANNED, batch + 1)):
            for number in range(first, self.last(journal) + 1):
                for name in (str(number), f".{number}.crc"):
                    (self.path / journal.value / name).unlink(missing_ok=True)

    def _names(self, journal: Journal) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return [path.name for path in (self.path / journal.value).iterdir()]
        return []

    @contextlib.contextmanager
    def _entry(self, journal: Journal, batch: int) -> Iterator[list[str]]:
        """Give the lines of an entry; whoever cannot make sense of them raises `EngineFailed`."""
        path = self.path / journal.value / str(batch)
        try:
            lines = path.read_text().splitlines()
            if not lines or lines[0] not in ("v1", "v2"):
                raise EngineFailed(f"{path} has a form that is not known: Spark changed its checkpoints.")
            yield lines
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise EngineFailed(f"{path} cannot be read: {type(error).__name__}: {error}.") from error
