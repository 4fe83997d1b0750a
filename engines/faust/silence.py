"""Since when nothing has come in: which inputs are idle. Times are seconds since 1970.

It is not our own silence that counts, which may be ours alone: the broker must have said, that much later, that there
is nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

LOOK_AGAIN_S = 0.02
"""Until the broker has said so: it answers every fetch, some 50 ms apart where nothing comes."""


class Silence:
    """The inputs of a task that can be idle, and are not. `after_s`: topic -> how long it has to be silent."""

    def __init__(self, after_s: Mapping[str, float]) -> None:
        self._after_s = after_s
        self._due: dict[str, float] = {}

    def heard(self, topic: str, now: float) -> None:
        """Take note that something came, or that listening begins."""
        if topic in self._after_s:
            self._due[topic] = now + self._after_s[topic]

    def overdue(self, now: float) -> bool:
        """Return whether an input may be idle that was not found to be."""
        return any(due <= now for due in self._due.values())

    def wait_s(self, now: float) -> float | None:
        """Return after how many seconds to look; None: there is nothing to look for."""
        return max(min(self._due.values()) - now, LOOK_AGAIN_S) if self._due else None

    def fallen(self, now: float, answered: Callable[[str], float]) -> Iterator[str]:
        """Yield the topics that are idle from now on. `answered`: when the broker last had nothing more of a topic."""
        for topic, due in [*self._due.items()]:
            if due <= now and answered(topic) >= due:
                del self._due[topic]
                yield topic
