"""Where a task can be made to stand still, so that it can be killed exactly there.

An armed point holds every task that comes to it until it is disarmed: none passes, so none commits beyond it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from semantics.timeline import CrashPoint


@dataclass(frozen=True, slots=True)
class Parked:
    """A task that stands still."""

    job: str
    partition: int
    store: str
    """The directory of its store."""
    wrote: Mapping[str, int]
    """"topic/partition" -> the offset after its last record of this commit there."""
    left: Mapping[str, int] = field(default_factory=dict)
    """At mid-sink: "topic/partition" -> how many records of this commit it has yet to write there."""


class FailPoints:
    """The crash points of one worker."""

    def __init__(self) -> None:
        self.armed: CrashPoint | None = None
        self.parked: list[Parked] = []
        self._moved, self._released = asyncio.Event(), asyncio.Event()

    def arm(self, point: CrashPoint | None) -> None:
        """Hold tasks at this point from now on; None lets go of all that are held."""
        self._released.set()
        self.armed, self.parked, self._released = point, [], asyncio.Event()

    async def at(self, point: CrashPoint, parked: Callable[[], Parked]) -> None:
        """Pass, or stand still until another word comes, if the point is armed."""
        if self.armed is point:
            self.parked.append(parked())
            self._moved.set()
            await self._released.wait()

    async def standstill(self, busy: Callable[[], int]) -> list[Parked]:
        """Wait until somebody is parked and `busy`, the number of tasks with work at hand, are all parked."""
        while not self.parked or busy() > len(self.parked):
            self._moved.clear()
            await self._moved.wait()
        return self.parked
