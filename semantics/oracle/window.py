"""Tumbling and hopping windows: [start, end), aligned to 1970, final and late for at w >= end + grace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from semantics.oracle.clocks import BEFORE_ALL, Dump
from semantics.oracle.operator import NEVER, Aggregating, Missed, Numbers, reached, thawed, time_of
from semantics.pipeline import Aggregate, Hopping, Tumbling
from semantics.rows import WindowRow
from semantics.rules import Rules
from semantics.time import T0_US, us
from semantics.timeline import Event


class Windows(Aggregating):
    """The open windows of one task: by start, then by key. A tumbling window hops by its own size."""

    takes_null_times = False

    def __init__(self, pipeline: Aggregate, window: Tumbling | Hopping, rules: Rules) -> None:
        super().__init__(pipeline, rules)
        self.size_us = us(window.size)
        self.slide_us = us(window.slide) if isinstance(window, Hopping) else self.size_us
        self.top = pipeline.top
        self.offset_us, self.grace_us = us(window.offset), us(window.grace)
        self._panes: dict[int, dict[str | None, Numbers]] = {}
        self._changed: dict[tuple[int, str | None], None] = {}

    def add(self, event: Event, before: int) -> Missed | None:
        time_us = time_of(event)
        starts = self.starts_of(time_us)
        missed: list[tuple[int, int]] = []
        for start in starts:
            end = start + self.size_us
            if self.is_late(time_us, end, before):
                missed.append((start, end))
                continue
            pane = self._panes.setdefault(start, {})
            pane[event.key] = self.raised((start, event.key), pane.get(event.key), event)
            self.due = min(self.due, end + self.grace_us)
            if self.updates:
                self._changed[start, event.key] = None
        return Missed(tuple(missed), wholly=len(missed) == len(starts)) if missed else None

    def starts_of(self, time_us: int) -> Sequence[int]:
        """Return the starts of all windows that hold an instant, the latest first."""
        return range(self.start_of(time_us), time_us - self.size_us, -self.slide_us)

    def start_of(self, time_us: int) -> int:
        """Return the start of the latest window that holds an instant, before 1970 too."""
        return time_us - (time_us + T0_US - self.offset_us) % self.slide_us

    def is_final(self, end_us: int, watermark: int) -> bool:
        return reached(end_us + self.grace_us, watermark, self.rules.window_close)

    def speak(self) -> None:
        self.rows += [self._row(start, key, self._panes[start][key]) for start, key in self._changed]
        self._changed.clear()

    def close(self, now: int) -> None:
        if now < self.due:
            return
        for start in sorted(self._panes):
            if self.is_final(start + self.size_us, now):
                pane = self._panes.pop(start)
                if not self.updates:
                    rows = [self._row(start, key, values) for key, values in pane.items()]
                    self.rows += rows if self.top is None else sorted(rows, key=_rank)[: self.top]
        self.due = min(self._panes, default=NEVER) + self.size_us + self.grace_us

    def held(self) -> Iterator[str | None]:
        return (key for pane in self._panes.values() for key in pane)

    def dump(self) -> Dump:
        panes = ((start, key, tuple(values)) for start, pane in self._panes.items() for key, values in pane.items())
        return tuple(sorted(panes, key=repr))

    def load(self, dump: Dump) -> None:
        self._panes = {}
        for start, key, values in dump:
            self._panes.setdefault(start, {})[key] = thawed(values)
        self.due = BEFORE_ALL

    def _row(self, start: int, key: str | None, values: Numbers) -> WindowRow:
        return WindowRow(key, start, start + self.size_us, self.named(values))


def _rank(row: WindowRow) -> tuple[bool, Any, bool, str]:
    """Order rows by their first aggregate, the highest first, null last; at equal ones by key, null last."""
    value = row.values[0][1]
    assert not isinstance(value, tuple)
    return value is None, 0 if value is None else -value, row.key is None, row.key or ""
