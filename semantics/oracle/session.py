"""Sessions: spans [t, t+gap) of one key that overlap or touch are one, as long as the earlier is not final."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce

from semantics.oracle.clocks import BEFORE_ALL, Dump
from semantics.oracle.operator import NEVER, Aggregating, Missed, Numbers, reached, thawed, time_of
from semantics.oracle.simple import evaluate
from semantics.pipeline import Aggregate, Session
from semantics.rows import WindowRow
from semantics.rules import Rules, SessionLateness, SessionTouch
from semantics.time import T0_US, us
from semantics.timeline import Event


@dataclass(slots=True, eq=False)
class Span:
    """One open session; `eq=False`: two of them are never the same."""

    key: str | None
    start_us: int
    end_us: int
    values: Numbers


class Sessions(Aggregating):
    """The open sessions of one task, by key. No two of a key meet."""

    takes_null_times = False

    def __init__(self, pipeline: Aggregate, window: Session, rules: Rules) -> None:
        super().__init__(pipeline, rules)
        self.gap, self.grace_us = window.gap, us(window.grace)
        self.longest_us = None if window.longest is None else us(window.longest)
        self._spans: dict[str | None, list[Span]] = {}
        self._changed: list[Span] = []

    def gap_us(self, event: Event) -> int:
        """Return how long the session stays open for another event after this one."""
        return us(self.gap) if isinstance(self.gap, timedelta) else 1_000_000 * (evaluate(self.gap, event) or 0)

    def add(self, event: Event, before: int) -> Missed | None:
        time_us = time_of(event)
        cut = self.cut_after(time_us)
        own_end = min(time_us + self.gap_us(event), cut)
        if own_end <= time_us:
            return None
        others = self._spans.get(event.key, [])
        met = self.met([span for span in others if self.cut_after(span.start_us) == cut], time_us, own_end)
        end = max(own_end, *(span.end_us for span in met)) if met else own_end
        judged = own_end if met and self.rules.session_lateness is SessionLateness.OWN_SPAN else end
        if self.is_late(time_us, judged, before):
            return Missed(((time_us, own_end),))
        before_it = reduce(self.together, (span.values for span in met)) if met else None
        values = self.raised((event.key, time_us), before_it, event)
        merged = Span(event.key, self.start_of(time_us, met), end, values)
        self._spans[event.key] = [*(span for span in others if span not in met), merged]
        self.due = min(self.due, end + self.grace_us)
        if self.updates:
            self._changed = [*(span for span in self._changed if span not in met), merged]
        return None

    def cut_after(self, time_us: int) -> int:
        """Return the first instant after this one at which every session ends; never, if none is too long."""
        return NEVER if self.longest_us is None else time_us - (time_us + T0_US) % self.longest_us + self.longest_us

    def met(self, spans: Sequence[Span], start_us: int, end_us: int) -> list[Span]:
        """Return the sessions that a span of the same key becomes one with."""
        if self.rules.session_touch is SessionTouch.SPLIT:
            return [span for span in spans if span.start_us < end_us and start_us < span.end_us]
        return [span for span in spans if span.start_us <= end_us and start_us <= span.end_us]

    def start_of(self, time_us: int, met: Sequence[Span]) -> int:
        """Return where the session starts that an event makes with those it meets."""
        return min([time_us, *(span.start_us for span in met)])

    def is_final(self, end_us: int, watermark: int) -> bool:
        return reached(end_us + self.grace_us, watermark, self.rules.session_close)

    def speak(self) -> None:
        self.rows += map(self._row, self._changed)
        self._changed = []

    def close(self, now: int) -> None:
        if now < self.due:
            return
        final = [span for spans in self._spans.values() for span in spans if self.is_final(span.end_us, now)]
        for span in final:
            self._spans[span.key].remove(span)
            if not self._spans[span.key]:
                del self._spans[span.key]
        if not self.updates:
            self.rows += map(self._row, sorted(final, key=lambda span: span.end_us))
        ends = (span.end_us for spans in self._spans.values() for span in spans)
        self.due = min(ends, default=NEVER) + self.grace_us

    def held(self) -> Iterator[str | None]:
        return (span.key for spans in self._spans.values() for span in spans)

    def dump(self) -> Dump:
        spans = (span for spans in self._spans.values() for span in spans)
        return tuple(sorted(((s.key, s.start_us, s.end_us, tuple(s.values)) for s in spans), key=repr))

    def load(self, dump: Dump) -> None:
        self._spans = {}
        for key, start_us, end_us, values in dump:
            self._spans.setdefault(key, []).append(Span(key, start_us, end_us, thawed(values)))
        self.due = BEFORE_ALL

    def _row(self, span: Span) -> WindowRow:
        return WindowRow(span.key, span.start_us, span.end_us, self.named(span.values))
