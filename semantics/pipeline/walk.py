"""What can be read off a pipeline, node by node."""

from __future__ import annotations

from datetime import timedelta

from semantics.pipeline.choices import Timer
from semantics.pipeline.nodes import (
    Absence,
    Aggregate,
    Dedup,
    Explode,
    Filter,
    Join,
    KeyBy,
    Lookup,
    Pipeline,
    Select,
    Source,
    Stateful,
    Step,
    Union,
    Upsert,
    Watermark,
    clocked,
    nodes,
    sources,
)
from semantics.time import us


def rekeyed(pipeline: Pipeline) -> bool:
    """Return whether any node replaces the key."""
    return any(isinstance(node, KeyBy) for node in nodes(pipeline))


def clock(node: Pipeline) -> int | None:
    """Return the delay of the node's clock in microseconds, the longest of several; None without a watermark."""
    return max(map(us, delays(node))) if clocked(node) else None


def delays(node: Pipeline) -> set[timedelta]:
    """Return how far the clocks of a node are behind."""
    clocks = [below.delay for below in nodes(node) if isinstance(below, Source | Watermark)]
    return {delay for delay in clocks if delay is not None}


def held_back_us(node: Pipeline) -> int:
    """Return how far a node's output watermark stands behind its own, in microseconds."""
    match node:
        case Aggregate(window=window) if window is not None:
            return us(window.grace)
        case Join(lo=lo, hi=hi):
            return max(0, 0 if hi is None else us(hi), 0 if lo is None else -us(lo))
        case _:
            return 0


def timed(pipeline: Pipeline) -> frozenset[str]:
    """Return the inputs whose events need a time: a clock, window, function, join or dedup on their way asks for it."""

    def asks(node: Pipeline) -> bool:
        match node:
            case Source(delay=delay):
                return delay is not None
            case Aggregate(functions=functions, window=window):
                return window is not None or any(function.timed for function in functions)
            case Absence(timer=timer):
                return timer is Timer.EVENT_TIME
            case _:
                return isinstance(node, Watermark | Join | Dedup | Upsert | Lookup)

    return frozenset(source.name for node in nodes(pipeline) if asks(node) for source in sources(node))


def steps(stream: Pipeline) -> tuple[Step, ...]:
    """Return the nodes above the `origin` of a stream, in the order in which an event meets them."""
    met: list[Step] = []
    while isinstance(stream, Filter | Select | KeyBy | Explode | Watermark):
        met.append(stream)
        stream = stream.input
    return tuple(reversed(met))


def origin(stream: Pipeline) -> Source | Union | Stateful:
    """Return the source, union or operator that a stream comes from, through nothing but steps."""
    while isinstance(stream, Filter | Select | KeyBy | Explode | Watermark):
        stream = stream.input
    return stream


def flat(pipeline: Pipeline) -> bool:
    """Return whether at most one operator, at the end, reads sources through filters, selects and key_bys alone."""
    *below, last = nodes(pipeline)
    plain = Source | Filter | Select | KeyBy
    return isinstance(last, plain | Stateful) and all(isinstance(node, plain) for node in below)
