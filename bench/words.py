"""A pipeline in words, for people who have not read its code."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import assert_never

from semantics.pipeline import (
    Absence,
    Aggregate,
    Dedup,
    Emit,
    Explode,
    Filter,
    Hopping,
    Join,
    KeyBy,
    Lookup,
    PairTime,
    Pipeline,
    Select,
    Session,
    Source,
    Stateful,
    Stream,
    Timer,
    Tumbling,
    Union,
    Upsert,
    Watermark,
    Window,
    inputs,
    origin,
    sources,
    steps,
)


def describe(pipeline: Pipeline) -> str:
    """Return what the pipeline computes and how far its watermarks stand behind."""
    reads = inputs(pipeline) if isinstance(pipeline, Stateful) else (pipeline,)
    return "; ".join([*_what(pipeline), *map(_input, reads)])


def seconds(duration: timedelta) -> str:
    """Return a duration in seconds, exactly: "0.5 s"."""
    micros = duration // timedelta(microseconds=1)
    return f"{micros / 1_000_000:.6f}".rstrip("0").rstrip(".") + " s"


def _what(pipeline: Pipeline) -> Iterator[str]:
    match pipeline:
        case Aggregate(_, functions, window=window, emit=emit, top=top, ttl=ttl):
            names = " and ".join("count (n)" if function.value == "n" else function.value for function in functions)
            over = "for ever" if window is None else f"in {_window(window)}"
            yield f"{names} by key {over}"
            yield "a row once, when its window closes" if emit is Emit.FINAL else "a row at every change"
            if top is not None:
                yield f"of each window the {top} highest"
            if ttl is not None:
                yield f"a key forgotten {seconds(ttl)} after its latest event"
        case Join(left, right, how=how, time=time):
            yield f"{how.value} join of {_names(left)} and {_names(right)} by key{_pairing(pipeline)}"
            if time is not PairTime.LATER:
                yield f"a pair has the {time.value} time"
        case Dedup(horizon=horizon):
            yield f"the first of each key and id, remembered for {seconds(horizon)}"
        case Upsert(gone=gone):
            yield "the latest of each key by event time" + ("" if gone is None else f", deleted where {gone}")
        case Absence(after=after, timer=timer):
            by = " of processing time" if timer is Timer.PROCESSING_TIME else ""
            yield f"a row when nothing of a key has come for {seconds(after)}{by}"
        case Lookup(stream, table, as_of=as_of, how=how, gone=gone):
            deleted = "" if gone is None else f", deleted where {gone}"
            yield f"{how.value} lookup of {_names(stream)} in {_names(table)} as of {as_of.value}{deleted}"
        case _:
            yield "pass events on"


def _pairing(join: Join) -> str:
    if join.window is not None:
        text = f" in one of {_window(join.window)}"
    else:
        lo = "" if join.lo is None else f"{seconds(join.lo)} {'<' if join.lo_exclusive else '<='} "
        hi = "" if join.hi is None else f" {'<' if join.hi_exclusive else '<='} {seconds(join.hi)}"
        text = f" where {lo}right time - left time{hi}" if lo or hi else ""
    return text if join.where is None else f"{text} and {join.where}"


def _window(window: Window) -> str:
    match window:
        case Tumbling(size):
            kind = f"tumbling windows of {seconds(size)}"
        case Hopping(size, slide):
            kind = f"windows of {seconds(size)} every {seconds(slide)}"
        case Session(timedelta() as gap):
            kind = f"sessions with a gap of {seconds(gap)}"
        case Session(gap):
            kind = f"sessions with a gap of {gap} seconds"
        case _:
            assert_never(window)
    offset = f", offset {seconds(window.offset)}" if not isinstance(window, Session) and window.offset else ""
    cut = f", cut every {seconds(window.longest)}" if isinstance(window, Session) and window.longest else ""
    grace = f", grace {seconds(window.grace)}" if window.grace else ""
    return f"{kind}{cut}{offset}{grace}"


def _input(stream: Stream) -> str:
    match origin(stream):
        case Source(name, delay=delay, late_output=late_output, future=future, idle_after=idle_after):
            clock = "no watermark" if delay is None else _clock(delay)
            guard = "" if future is None else f", nothing more than {seconds(future)} ahead of that"
            late = ", late events to the dead letters" if late_output else ""
            idle = "" if idle_after is None else f", left out after {seconds(idle_after)} without a record"
            start = f"{'' if name == 'in' else f'input {name}: '}{clock}{guard}{late}{idle}"
        case Union(streams):
            start = f"the union of ({'), ('.join(map(_input, streams))})"
        case node:
            start = f"the rows of ({describe(node)})"
    return ", ".join([start, *map(_step, steps(stream))])


def _clock(delay: timedelta) -> str:
    return f"watermark {seconds(delay)} behind the highest time seen"


def _names(stream: Stream) -> str:
    return " with ".join(source.name for source in sources(stream))


def _step(step: Filter | Select | KeyBy | Explode | Watermark) -> str:
    match step:
        case Explode(most=most):
            return f"makes v events (at most {most}) of one of value v"
        case Watermark(delay=delay):
            return f"there a {_clock(delay)}"
        case Filter(where=where):
            return f"keeps events where {where}"
        case Select(value=value):
            return f"sets value = {value}"
        case KeyBy(key=key):
            return f"sets key = {key}"
        case _:
            assert_never(step)
