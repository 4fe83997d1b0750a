"""A script drawn in text: one column an instant, not to scale; events, watermark and demanded rows below each other.

Within a step, events are read line by line and left to right: that is the order in which they arrive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from semantics.expectation import Expectation
from semantics.notation import print_event, print_row, print_step, print_time
from semantics.oracle import Prediction, predict
from semantics.pipeline import Dedup
from semantics.rows import EventRow, PairRow, Ref, Row, ValueRow, WindowRow
from semantics.timeline import Event, Flush, Raw, Send, Step, partitions

_Line: TypeAlias = tuple[str, str]
"""What stands before the axis, and what stands on it."""


def draw(expectation: Expectation) -> str:
    """Return the drawing, lines without trailing blanks."""
    predictions = predict(expectation.pipeline, expectation.timeline)
    axis = _Axis(expectation, predictions)
    lines: list[_Line] = [("seconds after T0", axis.head())]
    for number, step in enumerate(expectation.timeline):
        lines += _before(f"step {number + 1}", _step(step, axis))
        if (mark := _watermark(predictions, number)) is not None:
            lines.append(("  watermark", axis.arrow(mark)))
        outcomes = dict.fromkeys(outcome[number].rows for outcome in expectation.demand)
        for at, rows in enumerate(outcomes):
            drawn = [_row(row, axis) for row in rows] or ["nothing"] * (len(outcomes) > 1)
            lines += _before("  or" if at else "  out", drawn)
    width = max(len(left) for left, _ in lines) + 2
    return "\n".join(f"{left:{width}}{right}".rstrip() for left, right in lines)


class _Axis:
    """The instants of a script, each with its column."""

    def __init__(self, expectation: Expectation, predictions: Iterable[Prediction]) -> None:
        self.ids = isinstance(expectation.pipeline, Dedup) or any(
            "#" in print_row(row) for outcome in expectation.demand for step in outcome for row in step.rows
        )
        self.lanes = partitions(expectation.timeline) > 1
        instants: dict[int, list[str]] = {}
        for time_us, text in self._texts(expectation, predictions):
            instants.setdefault(time_us, [print_time(time_us)]).append(text)
        self.columns: dict[int, int] = {}
        self.width = 0
        for time_us in sorted(instants):
            self.columns[time_us] = self.width
            self.width += max(map(len, instants[time_us])) + 2

    def head(self) -> str:
        """Return the line of the instants."""
        return self.place((time_us, print_time(time_us)) for time_us in self.columns)

    def place(self, texts: Iterable[tuple[int, str]]) -> str:
        """Return a line with each text in its instant's column."""
        line = ""
        for time_us, text in sorted(texts):
            line = f"{line:{self.columns[time_us]}}{text}"
        return line

    def arrow(self, time_us: int) -> str:
        """Return a line that runs up to an instant."""
        return "-" * self.columns[time_us] + ">"

    def span(self, start_us: int, end_us: int, ends: str) -> str:
        """Return a line that runs between two instants."""
        start, end = self.columns[start_us], self.columns[end_us]
        return " " * start + (ends[0] + ends[1] * (end - start - 1) + ends[2] if end > start else ends[0])

    def label(self, event: Event) -> str:
        """Return how an event is drawn: its notation without the time."""
        named = event if self.ids else replace(event, id="")
        text = print_event(replace(named, partition=0)).partition("@")[0]
        return (text if self.ids else text.replace("#", "")) + (f"/{event.partition}" if self.lanes else "")

    def _texts(self, expectation: Expectation, predictions: Iterable[Prediction]) -> Iterator[tuple[int, str]]:
        for step in expectation.timeline:
            for event in _events(step):
                if isinstance(event, Event) and event.time_us is not None:
                    yield event.time_us, self.label(event)
        for prediction in predictions:
            yield from ((result.wm, ">") for result in prediction if result.wm is not None)
        for outcome in expectation.demand:
            for row in (row for demand in outcome for row in demand.rows):
                yield from ((time_us, "[") for time_us in _instants(row))


def _before(word: str, lines: Iterable[str]) -> list[_Line]:
    return [("" if number else word, line) for number, line in enumerate(lines)]


def _step(step: Step, axis: _Axis) -> list[str]:
    """Return the lines of what happens in a step."""
    lines: list[list[tuple[int, str]]] = []
    others: list[str] = []
    for event in _events(step):
        if isinstance(event, Raw) or event.time_us is None:
            others.append(print_event(event))
        elif lines and lines[-1][-1][0] < event.time_us:
            lines[-1].append((event.time_us, axis.label(event)))
        else:
            lines.append([(event.time_us, axis.label(event))])
    if not isinstance(step, Send | Flush):
        others.append(print_step(step))
    return [*map(axis.place, lines), *others]


def _events(step: Step) -> Sequence[Event | Raw]:
    match step:
        case Send(events):
            return events
        case Flush(time_us):
            return (Event("flush", time_us),)
        case _:
            return ()


def _watermark(predictions: Iterable[Prediction], number: int) -> int | None:
    """Return the watermark after a step, the lowest task's; None if there is none or the script leaves it open."""
    marks = {prediction[number].wm for prediction in predictions}
    return marks.pop() if len(marks) == 1 else None


def _row(row: Row, axis: _Axis) -> str:
    """Return a demanded row as a line: drawn if it has a place in time, and in notation."""
    match row:
        case WindowRow(_, start_us, end_us, _):
            drawn = axis.span(start_us, end_us, "[=)")
        case PairRow(_, Ref(_, int(left)), Ref(_, int(right))):
            drawn = axis.span(min(left, right), max(left, right), "o-o")
        case PairRow(_, Ref(_, int(time_us)), None) | PairRow(_, None, Ref(_, int(time_us))):
            drawn = axis.place([(time_us, "o")])
        case EventRow(_, _, _, int(time_us)):
            drawn = axis.place([(time_us, "*")])
        case ValueRow() | PairRow() | EventRow():
            drawn = ""
    return f"{drawn:{axis.width}}{print_row(row)}"


def _instants(row: Row) -> Iterator[int]:
    match row:
        case WindowRow(_, start_us, end_us, _):
            yield from (start_us, end_us)
        case PairRow(_, left, right):
            yield from (ref.time_us for ref in (left, right) if ref is not None and ref.time_us is not None)
        case EventRow(_, _, _, time_us) if time_us is not None:
            yield time_us
        case EventRow() | ValueRow():
            pass
