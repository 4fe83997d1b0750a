"""Where a sink of ours can be made to stand still, so that the process can be killed exactly there.

Spark's own sink has no such place (`engines/spark/crash.py`). An armed point holds every batch that comes to it, for
ever: none passes, so none commits beyond it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import NoReturn

from semantics.timeline import CrashPoint

INNER = frozenset(
    {CrashPoint.AFTER_PROCESS, CrashPoint.MID_SINK, CrashPoint.AFTER_SINK, CrashPoint.AFTER_COMMIT},
)
"""The points inside a sink; before and after it, the checkpoint tells."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A batch that stands still. `wrote` of its `rows` had been acknowledged by then."""

    job: str
    batch: int
    rows: int
    wrote: int


class Gate:
    """The crash points of one worker."""

    def __init__(self) -> None:
        self.armed: CrashPoint | None = None
        self._parked: Parked | None = None
        self._moved = threading.Event()

    def at(self, point: CrashPoint, parked: Parked) -> None:
        """Pass, or stand still for ever if the point is armed."""
        if self.armed is point:
            self._parked = parked
            self._moved.set()
            _for_ever()

    def parked(self) -> Parked:
        """Wait until a batch stands still; return which."""
        self._moved.wait()
        assert self._parked is not None
        return self._parked


def _for_ever() -> NoReturn:
    while True:
        threading.Event().wait()
