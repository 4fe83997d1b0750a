"""A scenario: work that looks like users' work, as a pipeline and a seeded generator. One file each.

The truth needs no third part: what a right engine says of the events follows from the pipeline (`scenarios/truth.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from semantics.errors import WeirError
from semantics.oracle.simple import through
from semantics.pipeline import Aggregate, Emit, Function, Pipeline, Session, Source, flat, rekeyed, sources, steps
from semantics.time import us
from semantics.timeline import SENTINEL_KEY, Event, sentinel

Generate: TypeAlias = Callable[[np.random.Generator, Sequence[int]], Iterable[Event]]
"""(randomness, when each event is due) -> that many events, in the order in which they are sent.

Due times are microseconds from the start of the load, ascending; event times are offsets from T0, so that an event
whose time is its due time is sent exactly then.
"""

COMPARED = 10_000
"""Events that are generated a second time, to see whether the same seed gives the same again."""
_INT64 = range(-(1 << 63), 1 << 63)


class InvalidScenario(WeirError):
    """A scenario cannot be benched; the message says what is wrong with it, and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One input's events through one pipeline that the bench can judge exactly.

    That is a running aggregate with a count among its functions, or the final rows of a window. Raises
    `InvalidScenario` for all others.
    """

    name: str
    """Goes into topics and folders: lower-case letters, digits and hyphens."""
    claim: str
    """What is computed, for the heading of results."""
    pipeline: Pipeline
    events: Generate
    event_bytes: int = 0
    """The generator pads each event's value on the log to this size; 0: as it is."""
    file: str = ""
    """Where it was loaded from; empty if it comes with Weir."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", self.name):
            raise InvalidScenario(
                f"A scenario's name goes into topics: up to 40 of a-z, 0-9 and hyphens, not {self.name!r}."
            )
        if why := _unjudged(self.pipeline):
            raise InvalidScenario(f"Scenario {self.name} cannot be judged: {why}")

    @property
    def input(self) -> Source:
        """The one input."""
        (found,) = sources(self.pipeline)
        return found

    @property
    def final(self) -> bool:
        """Whether rows are final ones, said when time has passed, and not updates, said as events come."""
        return isinstance(self.pipeline, Aggregate) and self.pipeline.window is not None

    @property
    def latency(self) -> str:
        """What is measured, for the heading of results."""
        if self.final:
            return "Emission delay: from when the event was due that lets a window close to when a reader saw its row"
        return "Visible latency: from when an event was due to the first read_committed row that reflects it"

    def generate(self, seed: int, due_us: Sequence[int]) -> Iterator[Event]:
        """Yield one event for each due time. Raises `InvalidScenario` at the first that cannot be benched."""
        delay_us = None if self.input.delay is None else us(self.input.delay)
        highest, number = None, 0
        for number, event in enumerate(self._drawn(seed, due_us), 1):
            here = f"Scenario {self.name}, event {number}:"
            if problem := _problem(event, self.input.name):
                raise InvalidScenario(f"{here} {problem}")
            if number > len(due_us):
                raise InvalidScenario(f"{here} only {len(due_us)} were asked for.")
            if delay_us is not None:
                if event.time_us is None:
                    raise InvalidScenario(f"{here} it has no time, and its source has a clock.")
                highest = event.time_us if highest is None else max(highest, event.time_us)
                if self.final and highest - event.time_us >= delay_us:
                    raise InvalidScenario(
                        f"{here} {(highest - event.time_us) / 1e6:g} s behind the highest time before it; only below"
                        f" the delay of {delay_us / 1e6:g} s do all engines agree: raise the source's delay."
                    )
            yield event
        if number < len(due_us):
            raise InvalidScenario(f"Scenario {self.name}: {number} events, and {len(due_us)} were asked for.")

    def rehearse(self, seed: int, due_us: Sequence[int]) -> None:
        """Generate all events before anything starts, and the first again. Raises `InvalidScenario`."""
        first: list[Event] = []
        for event in self.generate(seed, due_us):
            if len(first) < COMPARED:
                first.append(event)
        for number, (event, again) in enumerate(zip(first, self.generate(seed, due_us), strict=False), 1):
            if event != again:
                raise InvalidScenario(
                    f"Scenario {self.name}, event {number}: another one for the same seed. Draw from the randomness"
                    " that is passed in, and from nothing else."
                )

    def padding(self, seed: int) -> np.random.Generator:
        """Return the source of the padding. Random, for compression would make constant bytes weigh nothing."""
        return np.random.default_rng(_derived(seed, "padding"))

    def _drawn(self, seed: int, due_us: Sequence[int]) -> Iterator[Event]:
        random = np.random.default_rng(_derived(seed, self.name))
        try:
            # One more than asked for tells that there are too many; a generator without end must not hang the bench.
            yield from islice(self.events(random, due_us), len(due_us) + 1)
        except WeirError:
            raise
        except Exception as error:
            raise InvalidScenario(f"Scenario {self.name}: its generator failed: {error!r}.") from error


def _unjudged(pipeline: Pipeline) -> str:
    """Return why rows of a pipeline cannot be told right from wrong one by one; empty if they can."""
    if not flat(pipeline):
        return "the bench feeds one input to one operator, with filters, selects and key_bys before it."
    match pipeline:
        case Aggregate(window=None, functions=functions):
            return "" if Function.COUNT in functions else (
                "add Function.COUNT, so that each row says how many events it holds."
            )  # fmt: skip
        case Aggregate(emit=Emit.UPDATE):
            return "updates of a window do not say which events they hold; leave out emit=Emit.UPDATE."
        case Aggregate(window=Session(gap)) if not isinstance(gap, timedelta):
            return "when the last session is over hangs on its events; give all sessions one gap."
        case Aggregate(input=stream):
            if rekeyed(pipeline):
                return "at the end every window is closed by an event of our own, whose rows a key_by would hide."
            if not through(steps(stream), sentinel(sources(stream)[0].name, 0, 0)):
                return (
                    f"let its filter pass key {SENTINEL_KEY!r}, value 1: the event of our own that closes all windows."
                )
            return ""
        case _:
            return "the bench judges running aggregates with a count, and final rows of windows."


def _problem(event: object, stream: str) -> str:
    """Return why an event cannot be benched; empty if it can."""
    if not isinstance(event, Event):
        return f"a generator yields Event, not {type(event).__name__}."
    if not isinstance(event.key, str):
        return f"its key is a string, by which rows are told apart, not {event.key!r}."
    if event.key == SENTINEL_KEY:
        return f"key {SENTINEL_KEY} is taken."
    if event.input != stream or event.partition != 0:
        return f"it goes to input {event.input!r}, partition {event.partition}; say {stream!r} and no partition."
    if type(event.value) is not int or event.value not in _INT64:
        return f"its value is a 64-bit integer, not {event.value!r}."
    if type(event.id) is not str or not (event.time_us is None or type(event.time_us) is int):
        return f"its id is a string and its time an integer, not {event.id!r} and {event.time_us!r}."
    return ""


def _derived(seed: int, component: str) -> Any:
    """Give each component its own stream of the one root seed."""
    return np.random.SeedSequence([seed, *component.encode()])
