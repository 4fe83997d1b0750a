"""A pipeline in words, for people who have not read its code."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import assert_never

from semantics.pipeline import (
    Aggregate,
    Dedup,
    Emit,
    Filter,
    Hopping,
    Join,
    KeyBy,
    Pipeline,
    Select,
    Session,
    Stream,
    Tumbling,
    Window,
    source,
    steps,
    streams,
)


def describe(pipeline: Pipeline) -> str:
    """Return what the pipeline computes and how far its watermarks stand behind."""
    return "; ".join([*_what(pipeline), *(_input(stream) for stream in streams(pipeline))])


def seconds(duration: timedelta) -> str:
    """Return a duration in seconds, exactly: "0.5 s"."""
    micros = duration // timedelta(microseconds=1)
    return f"{micros / 1_000_000:.6f}".rstrip("0").rstrip(".") + " s"


def _what(pipeline: Pipeline) -> Iterator[str]:
    match pipeline:
        case Aggregate(_, functions, window=window, emit=emit):
            names = " and ".join("count (n)" if function.value == "n" else function.value for function in functions)
            over = "for ever" if window is None else f"in {_window(window)}"
            yield f"{names} by key {over}"
            yield "a row once, when its window closes" if emit is Emit.FINAL else "a row at every change"
        case Join(left, right, how=how):
            sides = f"{source(left).name} and {source(right).name}"
            yield f"{how.value} join of {sides} by key{_pairing(pipeline)}"
        case Dedup(horizon=horizon):
            yield f"the first of each key and id, remembered for {seconds(horizon)}"
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
    grace = f", grace {seconds(window.grace)}" if window.grace else ""
    return f"{kind}{offset}{grace}"


def _input(stream: Stream) -> str:
    origin = source(stream)
    clock = (
        "no watermark" if origin.delay is None else f"watermark {seconds(origin.delay)} behind the highest time seen"
    )
    name = "" if origin.name == "in" else f"input {origin.name}: "
    guards = [] if origin.future is None else [f"nothing more than {seconds(origin.future)} ahead of that"]
    late = ["late events to the dead letters"] if origin.late_output else []
    return ", ".join([f"{name}{clock}", *guards, *late, *(_step(step) for step in steps(stream))])


def _step(step: Filter | Select | KeyBy) -> str:
    match step:
        case Filter(where=where):
            return f"keeps events where {where}"
        case Select(value=value):
            return f"sets value = {value}"
        case KeyBy(key=key):
            return f"sets key = {key}"
        case _:
            assert_never(step)
