# ruff: noqa: ARG002  (the signature is the protocol's)
"""Operators that feed operators, in one task. To the program they are one operator, with a side for each input.

What one says is read by the next as a reader of the log would read it: as a row. So an operator does not know what
follows it, and costs nothing more where nothing does; where something does, a row is written and read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, assert_never

import msgspec

from engines.faust.clocks import Clock, before
from engines.faust.keys import BEFORE_ALL
from engines.faust.operators import Emit, Event, Operator, Refused
from engines.faust.steps import Transform
from semantics.pipeline import (
    Absence,
    Aggregate,
    Dedup,
    Explode,
    Filter,
    How,
    Join,
    KeyBy,
    Lookup,
    PairTime,
    Pipeline,
    Select,
    Source,
    Stateful,
    Step,
    Union,
    Upsert,
    Watermark,
    inputs,
    sources,
)
from semantics.time import us

Flow: TypeAlias = Callable[[Event], Iterable[Event]]
"""What stateless steps make of an event, which they may change."""


class Stage:
    """One operator in its place: its watermark, what it is working on, and where its rows go as events."""

    __slots__ = ("event", "flow", "mark", "operator", "reading", "side", "target")
    operator: Operator
    event: Event

    def __init__(self, reading: Callable[[], int], target: Stage | None, side: int, flow: Flow) -> None:
        self.reading, self.target, self.side, self.flow = reading, target, side, flow
        self.mark = BEFORE_ALL


class Route(NamedTuple):
    """Where an input comes in: the steps before a clock on its way, the clock, those after, the operator, its side."""

    before: Flow
    clock: Clock | None
    flow: Flow
    target: Stage
    side: int


class Parts(NamedTuple):
    """Of what a chain is made."""

    operator: Callable[[Pipeline, Emit], Operator]
    transform: Callable[[Sequence[Step]], Transform | None]
    clocks: Mapping[str, Clock]
    """By source; one behind several has the name of the first."""
    refuse: Callable[[Refused], None]
    """Told of every event that an operator did not take."""


class Chain:
    """All operators of a pipeline, in the order in which they close."""

    due = BEFORE_ALL  # Rows come in on the way, so that each record may make something due.

    def __init__(self, pipeline: Pipeline, parts: Parts, emit: Emit) -> None:
        self._parts = parts
        self.taken = 0
        """Events that operators took or refused. It tells rows apart where one record becomes many."""
        self.late = False
        """Whether the last event, or a part of it, was late for the first operator that it met."""
        self._routes: dict[str, Route] = {}
        self._stages: list[Stage] = []
        if isinstance(pipeline, Stateful):
            self._build(pipeline, (), None, 0, None, emit)
        else:
            end = Stage(lambda: BEFORE_ALL, None, 0, _flow((), parts))
            end.operator = parts.operator(pipeline, emit)
            self._build(pipeline, (), end, 0, None, emit)
            self._stages.append(end)
        self._by_side = [self._routes[source.name] for source in sources(pipeline)]

    def on_event(self, side: int, event: Event, offset: int, watermark: int) -> None:
        """Take an event of input number `side` as far as it goes."""
        route, self.late = self._by_side[side], False
        for seen in route.before(event):
            for each in route.flow(seen):
                self.late |= self._take(route.target, route.side, each) is Refused.LATE
            clock, time = route.clock, seen.t
            if clock is not None and time is not None and (clock.highest is None or time > clock.highest):
                clock.highest = time

    def on_watermark(self, watermark: int) -> None:
        """Move time and close, operator by operator: what one says is still judged by the next one's old watermark."""
        for stage in self._stages:
            stage.mark = mark = max(stage.mark, stage.reading())
            if mark >= stage.operator.due:
                stage.operator.on_watermark(mark)

    def tidy(self, watermark: int) -> None:
        for stage in self._stages:
            stage.operator.tidy(stage.mark)

    def recover(self, watermark: int) -> None:
        for stage in self._stages:
            stage.mark = max(stage.mark, stage.reading())
            stage.operator.recover(stage.mark)

    @property
    def marks(self) -> list[int]:
        """The watermarks of the operators, in the order in which they close."""
        return [stage.mark for stage in self._stages]

    @marks.setter
    def marks(self, marks: Sequence[int]) -> None:
        for stage, mark in zip(self._stages, marks, strict=True):
            stage.mark = mark

    def entered(self, input: str) -> int:
        """Return the watermark of the operator at which an input comes in."""
        return self._routes[input].target.mark

    def _take(self, stage: Stage, side: int, event: Event) -> Refused | None:
        self.taken += 1
        stage.event = event
        refused = stage.operator.on_event(side, event, self.taken, stage.mark)
        if refused is not None:
            self._parts.refuse(refused)
        return refused

    def _build(
        self, node: Pipeline, steps: tuple[Step, ...], target: Stage | None, side: int,
        clock: tuple[Clock, tuple[Step, ...]] | None, emit: Emit,
    ) -> None:  # fmt: skip
        """Make the stages from here down. `steps` lead from here to the target, or to the `clock` on the way."""
        match node:
            case Source(name):
                assert target is not None
                if clock is None:
                    self._routes[name] = Route(_whole, None, _flow(steps, self._parts), target, side)
                else:
                    first, flow = _flow(steps, self._parts), _flow(clock[1], self._parts)
                    self._routes[name] = Route(first, clock[0], flow, target, side)
            case Watermark(stream):
                here = self._parts.clocks[sources(node)[0].name]
                self._build(stream, (), target, side, (here, steps), emit)
            case Filter() | Select() | KeyBy() | Explode():
                self._build(node.input, (node, *steps), target, side, clock, emit)
            case Union(streams):
                for stream in streams:
                    self._build(stream, steps, target, side, clock, emit)
            case Aggregate() | Dedup() | Join() | Upsert() | Absence() | Lookup():
                stage = Stage(before(node, self._parts.clocks), target, side, _flow(steps, self._parts))
                for own_side, stream in enumerate(inputs(node)):
                    self._build(stream, (), stage, own_side, None, emit)
                stage.operator = self._parts.operator(node, emit if target is None else self._forward(node, stage))
                self._stages.append(stage)
            case _:
                assert_never(node)

    def _forward(self, node: Stateful, stage: Stage) -> Emit:
        """Return what takes a row to the next operator."""
        event_of, flow, target, side = _event_of(node, stage), stage.flow, stage.target, stage.side
        assert target is not None

        def forward(_: bytes | None, row: bytes) -> None:
            for event in flow(event_of(row)):
                self._take(target, side, event)

        return forward


def _whole(event: Event) -> Iterable[Event]:
    return (event,)


def _flow(steps: Sequence[Step], parts: Parts) -> Flow:
    """Return what takes an event through stateless steps."""
    for at, step in enumerate(steps):
        if isinstance(step, Explode):
            return _exploding(_flow(steps[:at], parts), step.most, _flow(steps[at + 1 :], parts))
    transform = parts.transform(steps)
    if transform is None:
        return _whole
    return lambda event: (event,) if transform(event) else ()


def _exploding(before: Flow, most: int, after: Flow) -> Flow:
    def explode(event: Event) -> Iterator[Event]:
        for whole in before(event):
            key, id, time = whole.k, whole.i or "", whole.t
            for part in range(min(whole.v, most)):
                yield from after(Event(part, key, f"{id}_{part}", time))

    return explode


def _event_of(node: Stateful, stage: Stage) -> Callable[[bytes], Event]:
    """Return what reads a row of the node as an event."""
    match node:
        case Aggregate(functions=functions, window=None):
            first = functions[0]
            running = _decoder({"k": str | None, "v": int}, v=first.value)

            def event_of_running(data: bytes) -> Event:
                row, cause = running(data), stage.event
                return Event(row.v, row.k, cause.i, cause.t)

            return event_of_running
        case Aggregate(functions=functions):
            first = functions[0]
            window = _decoder({"k": str | None, "s": int, "e": int, "v": int}, v=first.value)

            def event_of_window(data: bytes) -> Event:
                row = window(data)
                return Event(row.v, row.k, f"{row.s}-{row.e}", row.e - 1)

            return event_of_window
        case Dedup() | Upsert() | Absence() | Lookup() | Join(how=How.SEMI | How.ANTI):
            passed = _decoder({"k": str | None, "i": str | None, "v": int, "t": int | None})

            def event_of_event(data: bytes) -> Event:
                row = passed(data)
                return Event(row.v, row.k, row.i, row.t)

            return event_of_event
        case Join(time=time, window=window):
            pair = msgspec.json.Decoder(_Pair).decode
            size_us, offset_us = (us(window.size), us(window.offset)) if window is not None else (0, 0)

            def event_of_pair(data: bytes) -> Event:
                row = pair(data)
                at = row.time(time)
                last = at - (at - offset_us) % size_us + size_us - 1 if size_us else at
                return Event(1, row.k, f"{row.li or ''}:{row.ri or ''}", last)

            return event_of_pair
        case _:
            assert_never(node)


class _Pair(msgspec.Struct, gc=False):
    k: str | None
    li: str | None = None
    lt: int | None = None
    ri: str | None = None
    rt: int | None = None

    def time(self, of: PairTime) -> int:
        if self.lt is None or self.rt is None:
            alone = self.rt if self.lt is None else self.lt
            assert alone is not None
            return alone
        match of:
            case PairTime.LATER:
                return max(self.lt, self.rt)
            case PairTime.LEFT:
                return self.lt
            case PairTime.RIGHT:
                return self.rt
            case _:
                assert_never(of)


def _decoder(fields: Mapping[str, Any], **rename: str) -> Callable[[bytes], Any]:
    """Return a decoder that takes these fields and passes over all others."""
    return msgspec.json.Decoder(msgspec.defstruct("Row", list(fields.items()), rename=rename, gc=False)).decode
