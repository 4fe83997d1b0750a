"""A task's inputs: their clocks, and what is known of the partitions of a stage that feeds one."""

from __future__ import annotations

from collections.abc import Mapping

from engines.faust.carry import Carried
from engines.faust.steps import Transform
from engines.faust.store import Mark
from semantics.pipeline import Source
from semantics.time import us


class Input:
    """One input of a task: its stateless operators and its clock.

    `delay_us`: of the clock that each of its events moves; None without one.
    """

    def __init__(self, source: Source, side: int, transform: Transform | None) -> None:
        self.name, self.side, self.transform = source.name, side, transform
        self.delay_us = None if source.delay is None else us(source.delay)
        self.behind_us = self.delay_us
        """How far its watermark is behind: that of a clock farther on, which a chain moves, too."""
        self.future_us = None if source.future is None else us(source.future)
        self.late_output = source.late_output
        self.patient = source.idle_after is not None
        """Whether it can be idle."""
        self.idle = False
        """Left out where the lowest watermark counts, until it speaks again."""
        self.highest: int | None = None
        """The highest event time seen; only with a clock."""
        self.held_us = 0
        """How far the clocks of the stage before are ahead of the watermark that it passes on."""


class Fed(Input):
    """An input that another stage feeds: its clock is the lowest of what that stage's partitions say of theirs."""

    def __init__(self, source: Source, side: int, transform: Transform | None, partitions: int) -> None:
        super().__init__(source, side, transform)
        self._partitions = partitions
        self.marks: dict[int, Mark] = {}
        """Partition of the stage before -> what was last heard of it."""

    def hear(self, said: Carried) -> bool:
        """Take what one partition says of its watermark and commits; return whether the input's clock moved."""
        before = self.marks.get(said.p, _UNHEARD)
        if said.n is None and said.w == before.watermark and not before.idle:
            return False
        self.marks[said.p] = Mark(said.w, before.commit if said.n is None else said.n, said.z, said.c)
        if self.delay_us is None or len(self.marks) < self._partitions:
            return False
        was_idle, awake = self.idle, [mark.watermark for mark in self.marks.values() if not mark.idle]
        self.idle = not awake
        known = [mark for mark in awake or (mark.watermark for mark in self.marks.values()) if mark is not None]
        if not known or len(known) < len(awake):
            return self.idle is not was_idle
        lowest = (min(known) if awake else max(known)) + self.delay_us
        moved = self.highest is None or lowest > self.highest
        if moved:
            self.highest = lowest
        if said.n is not None and self.highest is not None:
            clocks = [each.watermark if each.clock is None else each.clock for each in self.marks.values()
                      if not (awake and each.idle)]  # fmt: skip
            clock = (min if awake else max)(clock for clock in clocks if clock is not None)
            self.held_us = max(clock - (self.highest - self.delay_us), 0)
        return moved or self.idle is not was_idle


_UNHEARD = Mark(None, 0)


def input_of(source: Source, side: int, transform: Transform | None, feeds: Mapping[str, int]) -> Input:
    """Return the input of a source. `feeds`: of how many partitions it is, if another stage feeds it."""
    partitions = feeds.get(source.name)
    return Input(source, side, transform) if partitions is None else Fed(source, side, transform, partitions)
