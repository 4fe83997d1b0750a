"""The watermarks between the operators of a pipeline, as they follow from the clocks of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from engines.faust.keys import BEFORE_ALL
from semantics.pipeline import Pipeline, Source, Watermark, clocked, held_back_us, inputs, nodes, sources


class Clock(Protocol):
    """The highest event time of a clock, how far its watermark is behind it, and whether it is left out."""

    highest: int | None
    behind_us: int | None
    idle: bool
    patient: bool
    """Whether it can be idle."""


def behind(node: Pipeline, clocks: Mapping[str, Clock]) -> Callable[[], int]:
    """Return what reads the watermark of what comes out of a node."""
    match node:
        case Source() | Watermark():
            clock = clocks[sources(node)[0].name]

            def reading() -> int:
                highest, behind_us = clock.highest, clock.behind_us
                return BEFORE_ALL if highest is None or behind_us is None else highest - behind_us

            return reading
        case _:
            read, held_us = before(node, clocks), held_back_us(node)
            return (lambda: max(read() - held_us, BEFORE_ALL)) if held_us else read


def before(node: Pipeline, clocks: Mapping[str, Clock]) -> Callable[[], int]:
    """Return what reads the watermark of what goes into a node; an input without a clock is left out."""
    read = [stream for stream in inputs(node) if clocked(stream)]
    readings = [behind(stream, clocks) for stream in read]
    match readings:
        case []:
            return lambda: BEFORE_ALL
        case [alone]:
            return alone
        case _:
            return _lowest(readings, [_clocks(stream, clocks) for stream in read])


def _lowest(readings: Sequence[Callable[[], int]], clocks: Sequence[Sequence[Clock]]) -> Callable[[], int]:
    """Return what reads the lowest of several watermarks.

    One whose `clocks` are all idle is left out; of what is left out altogether the highest counts.
    """
    if not any(clock.patient for one in clocks for clock in one):
        return lambda: min([reading() for reading in readings])

    def reading() -> int:
        pairs = zip(readings, clocks, strict=True)
        awake = [reading() for reading, of in pairs if not all(clock.idle for clock in of)]
        return min(awake) if awake else max(reading() for reading in readings)

    return reading


def _clocks(node: Pipeline, clocks: Mapping[str, Clock]) -> list[Clock]:
    """Return the clocks below a node, or at it."""
    named = {sources(below)[0].name: below for below in nodes(node) if isinstance(below, Source | Watermark)}
    return [clocks[name] for name in named if clocks[name].behind_us is not None]
