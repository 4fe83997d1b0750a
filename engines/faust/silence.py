"""Processing time: what a task knows of it, up to when it has processed what had come, and which inputs are idle.

It is not our own silence that counts, which may be ours alone: the broker must have said what there is to process.
Times are seconds since 1970.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

LOOK_AGAIN_S = 0.02
"""Until the broker has said so: it answers every fetch, some 50 ms apart where nothing comes."""


class Clock:
    """Processing time: the wall's; or, from `told_s` on, as it is told, and then it stands still in between."""

    def __init__(self, told_s: float | None = None) -> None:
        self._told = [] if told_s is None else [(0.0, told_s)]
        """Since when, by the wall, what time it is."""

    def now(self) -> float:
        """Return what time it is."""
        return self.at(time.time())

    def at(self, wall_s: float) -> float:
        """Return what time it was when the wall's clock showed `wall_s`."""
        return next((told for since, told in reversed(self._told) if since <= wall_s), wall_s)

    def forward(self, seconds: float) -> None:
        """Let time pass that is told."""
        self._told.append((time.time(), self.now() + seconds))


class Processed:
    """Up to when all that had come has been processed, topic by topic.

    `end`: topic -> when the broker last said where its partition ends, and that offset. Under load nobody is ever at
    the end; but what was the end at one instant is passed, and then all that had come by then is processed.
    """

    def __init__(self, end: Callable[[str], tuple[float, int]]) -> None:
        self._end = end
        self._until: dict[str, float] = {}
        self._ahead: dict[str, tuple[float, int]] = {}

    def until(self, topic: str, position: int) -> float:
        """Return up to when; 0 before anything is known. `position`: the next offset to process."""
        at, end = self._ahead.get(topic) or self._end(topic)
        if position >= end:
            self._until[topic] = at
            at, end = self._end(topic)
            if position >= end:
                self._until[topic] = at
        self._ahead[topic] = at, end
        return self._until.get(topic, 0.0)


class Silence:
    """The inputs of a task that can be idle, and are not. `after_s`: topic -> how long it has to be silent."""

    def __init__(self, after_s: Mapping[str, float]) -> None:
        self._after_s = after_s
        self._due: dict[str, float] = {}

    def heard(self, topic: str, now: float) -> None:
        """Take note that something came, or that listening begins."""
        if topic in self._after_s:
            self._due[topic] = now + self._after_s[topic]

    @property
    def due(self) -> float:
        """When to look for what is idle."""
        return min(self._due.values(), default=float("inf"))

    def fallen(self, until: Callable[[str], float]) -> Iterator[str]:
        """Yield the topics that are idle from now on. `until`: up to when all that had come of one is processed."""
        for topic, due in [*self._due.items()]:
            if until(topic) >= due:
                del self._due[topic]
                yield topic
