"""What our agents tell of themselves, and where they can be made to stand still; all of it is in the user's part.

Faust itself is watched by its own words only: the offsets that its consumer has committed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any, NoReturn

from semantics.timeline import CrashPoint


class Gate:
    """The agents of one worker."""

    def __init__(self) -> None:
        self.armed: CrashPoint | None = None
        self.parked: set[str] = set()
        """Jobs whose agent stands still."""
        self.reached: dict[str, dict[str, int]] = defaultdict(dict)
        """Job -> "topic/partition" -> the offset after the last event whose loop body has ended."""
        self._sends: dict[str, set[asyncio.Future[Any]]] = defaultdict(set)
        self._moved = asyncio.Event()

    async def before(self, job: str) -> None:
        """Stand still if nothing shall be processed any more."""
        if self.armed is CrashPoint.BEFORE_PROCESS:
            self.parked.add(job)
            self._moved.set()
            await _for_ever()

    def sent(self, job: str, acknowledged: asyncio.Future[Any]) -> None:
        """Note a send that the broker has not acknowledged yet."""
        self._sends[job].add(acknowledged)
        acknowledged.add_done_callback(self._sends[job].discard)

    def processed(self, job: str, message: Any) -> None:
        """Note that an event's loop body has ended."""
        self.reached[job][f"{message.topic}/{message.partition}"] = message.offset + 1
        self._moved.set()

    async def acknowledged(self, job: str) -> None:
        """Wait until the broker has acknowledged all that the job has sent."""
        if waiting := list(self._sends[job]):
            await asyncio.wait(waiting)

    async def standstill(self, ends: dict[str, dict[str, int]]) -> None:
        """Wait until every agent with input up to `ends` is parked, or has processed all of it and been acknowledged.

        `ends`: job -> "topic/partition" -> offset.
        """
        while not all(self._there(job, places) for job, places in ends.items()):
            self._moved.clear()
            await self._moved.wait()
        for job in ends:
            await self.acknowledged(job)

    def _there(self, job: str, places: dict[str, int]) -> bool:
        return job in self.parked or all(self.reached[job].get(place, 0) >= end for place, end in places.items() if end)

    @staticmethod
    async def hold(*_: Any, **__: Any) -> NoReturn:
        """Stand in the place of a commit that shall not come to pass."""
        await _for_ever()


async def _for_ever() -> NoReturn:
    while True:
        await asyncio.Event().wait()
