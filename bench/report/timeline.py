"""A cell as a drawn timeline: event time to the right, arrival downwards, step by step.

Events stand at their times in the order in which they arrive; the watermark is a line that moves to the right between
a step's events and its results; a row is a bar, a point or a link at its time, and beside it stands which of the three
answers has it. Columns are instants, not to scale: a microsecond and a week must fit on one axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.report.picture import Box, Dot, Picture, Shape, Text, Track, width
from bench.story import Figure, Line, Scene, Story
from bench.text import plain
from semantics.notation import print_event, print_time
from semantics.rows import EventRow, PairRow, Ref, Row, ValueRow, WindowRow
from semantics.timeline import Event, Flush, Raw, Send

ROW = 20
HEAD = 44
STEP = 64
"""Left of the axis: "step 12"."""
ANSWER = 84
"""The width of a column of answers, at least."""
MOST_INSTANTS = 60
MOST_LINES = 12
"""Rows of a step; more are counted."""
_DAY_US = 86_400_000_000


def draw(story: Story) -> Picture | None:
    """Return the timeline of a cell, or None if it has more instants than can be drawn."""
    instants = _instants(story)
    return _Drawing(story, instants).picture() if len(instants) <= MOST_INSTANTS else None


class _Drawing:
    """One picture in the making: `at` is how far down it is."""

    def __init__(self, story: Story, instants: Sequence[int]) -> None:
        self.story = story
        self.shapes: list[Shape] = []
        self.at = HEAD
        labels = {time_us: print_time(time_us) for time_us in instants}
        for scene in story.scenes:
            for event in _events(scene):
                if event.time_us is not None and len(_label(event)) > len(labels[event.time_us]):
                    labels[event.time_us] = _label(event)
        self.columns: dict[int, float] = {}
        x = STEP + 16.0
        for time_us in instants:
            half = max(width(labels[time_us]) / 2 + 5, 16)
            self.columns[time_us] = x + half
            x += 2 * half
        self.rows_at = x + 16
        texts = [plain(line.text, 40) for scene in story.scenes for line in scene.lines[:MOST_LINES]]
        figures = [figure for scene in story.scenes for figure in scene.figures]
        self.answers_at = self.rows_at + max(map(width, [*texts, "watermark", *map(_name, figures)])) + 16
        self.answers = ("demanded", "predicted", "observed") if story.played else ("demanded", "predicted")
        told = [text for figure in figures for text in (figure.demanded, figure.predicted, figure.observed or "")]
        self.answer = max(ANSWER, *(width(text) + 12 for text in ["", *told]))
        self.width = self.answers_at + self.answer * len(self.answers)

    def picture(self) -> Picture:
        marks = [("contract", [scene.contract_wm for scene in self.story.scenes])]
        engine = [scene.engine_wm for scene in self.story.scenes]
        if engine != marks[0][1]:
            marks.append(("engine", engine))
        turns: list[tuple[int, int]] = []
        for number, scene in enumerate(self.story.scenes, 1):
            turns.append(self._scene(number, scene))
        for kind, times in marks:
            self.shapes += self._watermark(kind, times, turns)
        expectation = self.story.expectation
        return Picture(
            width=round(self.width),
            height=self.at + 6,
            says=f"{expectation.id} on {self.story.engine}: {expectation.claim}; the same as text stands below",
            shapes=(*self._axis(), *self.shapes),
        )

    def _axis(self) -> Iterator[Shape]:
        yield Text(STEP + 16, 14, "event time in seconds, not to scale →", "dim")
        for time_us, x in self.columns.items():
            yield Text(x, 34, print_time(time_us), "dim", "middle")
            yield Track(((x, HEAD), (x, self.at)), "grid")
        for number, answer in enumerate(self.answers):
            yield Text(self._answer(number), 34, answer, "dim", "middle")

    def _scene(self, number: int, scene: Scene) -> tuple[int, int]:
        """Draw a step; return where its results begin, and where it ends."""
        top, shapes = self.at, self.shapes
        self.shapes = []
        self._sent(scene)
        turn = self.at
        for line in scene.lines[:MOST_LINES]:
            self._line(line, scene.repeats)
        if len(scene.lines) > MOST_LINES:
            self._put(Text(self.rows_at, self.at + 14, f"and {len(scene.lines) - MOST_LINES} rows more", "dim"))
        for figure in scene.figures:
            self._figure(figure)
        self.at += 4
        shapes.append(Box(0, top, self.width, self.at - top, "wrong" if scene.wrong else f"band{number % 2}"))
        shapes.append(Text(8, top + 14, f"{'⇒ ' if scene.wrong else ''}step {number}", "wrong" if scene.wrong else ""))
        self.shapes = shapes + self.shapes
        return turn, self.at

    def _sent(self, scene: Scene) -> None:
        """Draw a step's events, in a new line where time goes back; a step without any says what it does."""
        last: int | None = None
        others = [plain(scene.text, 60)] if not isinstance(scene.step, Send | Flush) else []
        line = self.at
        for event in _events(scene):
            if event.time_us is None:
                others.append(f"{_label(event)} without a time")
                continue
            if last is not None and event.time_us <= last:
                line += ROW
            last = event.time_us
            x = self.columns[event.time_us]
            self.shapes += [Dot(x, line + 16, "event"), Text(x, line + 9, _label(event), "event", "middle")]
        if isinstance(scene.step, Send):
            others += [plain(print_event(event), 60) for event in scene.step.events if isinstance(event, Raw)]
        self.at = line + ROW + 2 if last is not None else line
        for other in others:
            self._put(Text(STEP + 16, self.at + 14, other, "event"))

    def _put(self, *shapes: Shape) -> None:
        self.shapes += shapes
        self.at += ROW

    def _line(self, line: Line, repeats: bool) -> None:
        shown = line.predicted if line.observed is None else line.observed
        most = line.demanded + line.allowed
        style = "missing" if shown < line.demanded else "extra" if shown > most else "agreed"
        answers = [
            "may come" if line.allowed and not line.demanded else _count(line.demanded),
            f"{_count(line.predicted)} or more" if repeats and line.predicted else _count(line.predicted),
            *([] if line.observed is None else [_count(line.observed)]),
        ]
        texts = [Text(self._answer(n), self.at + 14, told, style, "middle") for n, told in enumerate(answers)]
        self._put(*self._row(line.row, style), Text(self.rows_at, self.at + 14, plain(line.text, 40), style), *texts)

    def _figure(self, figure: Figure) -> None:
        told = [figure.demanded, figure.predicted, *([] if figure.observed is None else [figure.observed])]
        style = "agreed" if told[-1] == told[0] else "extra"
        answers = [Text(self._answer(n), self.at + 14, value, style, "middle") for n, value in enumerate(told)]
        self._put(Text(self.rows_at, self.at + 14, _name(figure), style), *answers)

    def _row(self, row: Row, style: str) -> Iterator[Shape]:
        y = self.at + 10
        match row:
            case WindowRow(_, start_us, end_us, _):
                start, end = self.columns[start_us], self.columns[end_us]
                yield Box(start, y - 5, max(end - start, 3), 10, style)
            case PairRow(_, Ref(_, int(left)), Ref(_, int(right))):
                yield Track(((self.columns[left], y), (self.columns[right], y)), style)
                yield Dot(self.columns[left], y, style)
                yield Dot(self.columns[right], y, style)
            case PairRow(_, Ref(_, int(time_us)), None) | PairRow(_, None, Ref(_, int(time_us))):
                yield Dot(self.columns[time_us], y, style)
                yield Text(self.columns[time_us] + 8, y + 4, "∅", style)
            case EventRow(_, _, _, int(time_us)):
                yield Dot(self.columns[time_us], y, style)
            case ValueRow() | PairRow() | EventRow():
                pass

    def _watermark(self, kind: str, times: Sequence[int | None], turns: Sequence[tuple[int, int]]) -> Iterator[Shape]:
        """Yield the step line; where there is no watermark yet, or one far below every event, there is no line."""
        points: list[tuple[float, float]] = []
        for time_us, (turn, end) in zip(times, turns, strict=True):
            if time_us is None or time_us not in self.columns:
                continue
            x = self.columns[time_us]
            points += [(points[-1][0], turn)] if points else []
            points += [(x, turn), (x, end)]
        if points:
            yield Track(tuple(points), f"wm {kind}")

    def _answer(self, number: int) -> float:
        return self.answers_at + self.answer * (number + 0.5)


def _name(figure: Figure) -> str:
    return {"wm": "watermark", "dup": "duplicates", "dead": "dead letters"}.get(figure.name, figure.name)


def _count(count: int) -> str:
    return "-" if not count else "●" if count == 1 else f"● {count} times"


def _events(scene: Scene) -> Iterator[Event]:
    match scene.step:
        case Send(events):
            yield from (event for event in events if isinstance(event, Event))
        case Flush(time_us):
            yield Event("flush", time_us)


def _label(event: Event) -> str:
    """Return the event's notation without time, and without the id that the catalogue has numbered."""
    given = event.id if event.id and not (event.id[0] == "e" and event.id[1:].isdecimal()) else ""
    text = print_event(replace(event, id=given, partition=0)).partition("@")[0]
    return plain((text if given else text.replace("#", "")) + (f"/{event.partition}" if event.partition else ""), 24)


def _instants(story: Story) -> list[int]:
    """Return every instant that is drawn, ascending: of events, rows, and watermarks that are not far below them."""
    found = {event.time_us for scene in story.scenes for event in _events(scene) if event.time_us is not None}
    for scene in story.scenes:
        for line in scene.lines[:MOST_LINES]:
            match line.row:
                case WindowRow(_, start_us, end_us, _):
                    found |= {start_us, end_us}
                case PairRow(_, left, right):
                    found |= {ref.time_us for ref in (left, right) if ref is not None and ref.time_us is not None}
                case EventRow(_, _, _, int(time_us)):
                    found.add(time_us)
                case EventRow() | ValueRow():
                    pass
    if not found:
        return []
    lowest = min(found) - 2 * (max(found) - min(found)) - _DAY_US
    marks = {mark for scene in story.scenes for mark in (scene.contract_wm, scene.engine_wm) if mark is not None}
    return sorted(found | {mark for mark in marks if mark >= lowest})
