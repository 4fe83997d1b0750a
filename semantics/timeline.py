"""The script of a run: a tuple of steps, each of which ends settled (all consumed, all due rows visible)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TypeAlias

from semantics.errors import InvalidTimeline

SENTINEL_KEY = "__flush__"
"""Key of the events that `flush` sends to move time; rows of this key are filtered from outcomes."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a script. `time_us` is an offset from T0 in microseconds; None: null event time."""

    key: str | None
    time_us: int | None
    id: str = ""
    value: int | None = 1
    """None only where an engine reads a record so (`rules.BadRecord`)."""
    input: str = "in"
    partition: int = 0


@dataclass(frozen=True, slots=True)
class Raw:
    """A record with these bytes as its value, as no producer of ours would send it."""

    value: bytes
    input: str = "in"
    partition: int = 0


@dataclass(frozen=True, slots=True)
class Send:
    """Send events and raw records; those of one (input, partition) arrive as one batch, in this order."""

    events: tuple[Event | Raw, ...]


@dataclass(frozen=True, slots=True)
class Flush:
    """Send a sentinel at `time_us` (offset from T0) into every partition of every input."""

    time_us: int


@dataclass(frozen=True, slots=True)
class Idle:
    """Let processing time pass with no input at all."""

    duration: timedelta


class CrashPoint(Enum):
    """Points of the protocol at which a process can die; the same for all engines."""

    BEFORE_PROCESS = "before-process"
    """Input fetched, nothing processed."""
    AFTER_PROCESS = "after-process"
    """Input processed, nothing written."""
    MID_SINK = "mid-sink"
    """Part of the output written."""
    AFTER_SINK = "after-sink"
    """All output written, nothing committed."""
    AFTER_COMMIT = "after-commit"
    """Output visible, own progress not yet recorded, where that differs."""
    AFTER_PROGRESS = "after-progress"
    """Everything recorded."""


@dataclass(frozen=True, slots=True)
class Crash:
    """Kill -9 whoever holds the state when the *next* step reaches `point`; then restart, and settle that step.

    `wipe_state`: the local state directory is lost with the process (durable logs and checkpoints are not).
    `takeover`: only the workers that reached the point die, and do not come back: the others take over.
    """

    point: CrashPoint
    wipe_state: bool = field(default=False, kw_only=True)
    takeover: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Restart:
    """Stop gracefully and start again, in a new process."""

    wipe_state: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Scale:
    """Run on that many workers from now on: new ones join, or the last leave gracefully. A script begins on one."""

    workers: int


Step: TypeAlias = Send | Flush | Idle | Crash | Restart | Scale
Timeline: TypeAlias = tuple[Step, ...]


def sentinel(input: str, partition: int, time_us: int) -> Event:
    """Return the event that `Flush` sends into one partition of one input."""
    return Event(SENTINEL_KEY, time_us, f"flush_{input}_{partition}_{time_us}", 1, input, partition)


def partitions(timeline: Timeline) -> int:
    """Return how many partitions each input topic has: the highest one named, plus one."""
    named = [event.partition for step in timeline if isinstance(step, Send) for event in step.events]
    return max(named, default=0) + 1


def check(timeline: Timeline, inputs: tuple[str, ...]) -> None:
    """Raise `InvalidTimeline` if the timeline cannot be played on these inputs."""
    home: dict[tuple[str, str], int] = {}
    workers = 1
    for number, step in enumerate(timeline, 1):
        if isinstance(step, Scale):
            workers = step.workers
        if workers < 1:
            raise InvalidTimeline(f"step {number}: somebody has to work: {workers} workers do not.")
        if isinstance(step, Crash):
            if step.takeover:
                if workers < 2:
                    raise InvalidTimeline(f"step {number}: there is nobody to take over: scale(2) first.")
                if step.wipe_state:
                    raise InvalidTimeline(f"step {number}: who does not come back has no state to wipe.")
                workers -= 1
            following = timeline[number] if number < len(timeline) else None
            if not isinstance(following, Send | Flush):
                raise InvalidTimeline(
                    f"step {number}: a crash strikes the next step's processing: follow it by events."
                )
        if not isinstance(step, Send):
            continue
        for event in step.events:
            if event.input not in inputs:
                known = ", ".join(inputs)
                raise InvalidTimeline(f"step {number}: no input {event.input!r} in this pipeline; it has {known}.")
            if isinstance(event, Raw):
                continue
            if event.key == SENTINEL_KEY:
                raise InvalidTimeline(f"step {number}: key {SENTINEL_KEY} is the sentinel's own; use flush().")
            if event.key is not None and home.setdefault((event.input, event.key), event.partition) != event.partition:
                raise InvalidTimeline(f"step {number}: key {event.key} stands in two partitions of {event.input!r}.")
