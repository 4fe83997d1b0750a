"""What a benchmark shall do, checked before anything starts."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines import registry
from engines.broker.address import WANTED, is_address
from engines.errors import EnvironmentNotReady
from scenarios import user
from scenarios.running_count import SCENARIO as RUNNING_COUNT
from scenarios.scenario import Scenario
from scenarios.tumbling_count import SCENARIO as TUMBLING_COUNT
from semantics.errors import UnknownName, WeirError, did_you_mean
from semantics.pipeline import rekeyed

SCENARIOS = {scenario.name: scenario for scenario in (RUNNING_COUNT, TUMBLING_COUNT)}

SHORTEST_S = 5.0
"""Less holds no ten micro-batches or commits of any engine."""
DECISIVE_S = 60.0
"""Below this a result is headed as a smoke test: too few compactions, collections and commits were met."""
FEWEST_EVENTS = 40
MOST_BYTES = 3 << 30
"""Of all events, as they are prepared and kept in memory. Generator, probe and judge together take two to three times
as much."""
_EVENT_BYTES = 150
"""Of an event that the scenario does not pad, with its key, its time and where it lies."""


class InvalidPlan(WeirError):
    """A benchmark was asked for that cannot be run; the message says which argument, and what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One benchmark: every engine gets the same events, at the same moments after its start."""

    engines: tuple[str, ...]
    scenario: Scenario
    rate: float
    """Events a second."""
    duration_s: float
    """Measured, after the warm-up."""
    warmup_s: float | None
    """None: as declared for each engine."""
    partitions: int
    broker: str | None
    """HOST:PORT; None: the embedded one."""
    output: Path
    seed: int
    runs: int = 1
    """Of each engine, interleaved."""

    def __post_init__(self) -> None:
        if not self.engines:
            raise EnvironmentNotReady("No engine can run here: `python -m bench doctor` says what each one lacks.")
        for name in self.engines:
            registry.get(name)
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise InvalidPlan(f"--rate is events a second, above zero, not {self.rate:g}.")
        if not (math.isfinite(self.duration_s) and self.duration_s >= SHORTEST_S):
            raise InvalidPlan(f"--duration is at least {SHORTEST_S:g} s, not {self.duration_s:g}.")
        if self.warmup_s is not None and not (math.isfinite(self.warmup_s) and self.warmup_s >= 0):
            raise InvalidPlan(f"--warmup is seconds, zero or more, not {self.warmup_s:g}.")
        if not 1 <= self.partitions <= 64:
            raise InvalidPlan(f"--partitions is 1 to 64, not {self.partitions}.")
        if self.partitions > 1 and rekeyed(self.scenario.pipeline):
            raise InvalidPlan(
                f"Scenario {self.scenario.name} replaces its key, and nobody promises the order of a new key's events"
                " between partitions: say --partitions 1."
            )
        if self.rate * self.duration_s < FEWEST_EVENTS:
            raise InvalidPlan(
                f"{self.rate * self.duration_s:g} events measured tell not even a median, which takes {FEWEST_EVENTS}:"
                " raise --rate or --duration."
            )
        if not 1 <= self.runs <= 100:
            raise InvalidPlan(f"--runs is 1 to 100, not {self.runs}.")
        if self.seed < 0:
            raise InvalidPlan(f"--seed is zero or more, not {self.seed}.")
        check_address(self.broker)
        events, most = self.rate * (self.duration_s + (self.warmup_s or 0)), MOST_BYTES // self._event_bytes
        if events > most:
            raise InvalidPlan(
                f"{events:.0f} events are more than the {most} of this size that one run holds: lower --rate or"
                " --duration."
            )

    def events(self, warmup_s: float) -> int:
        """Return how many events an engine with this warm-up gets. Rounded up: the schedule is covered wholly."""
        return math.ceil(self.rate * (warmup_s + self.duration_s))

    @property
    def _event_bytes(self) -> int:
        return max(self.scenario.event_bytes - 100, 0) + _EVENT_BYTES

    def rehearse(self) -> None:
        """Generate the longest load once, so that a bad scenario is told before anything starts.

        Raises `InvalidScenario`.
        """
        count = self.events(max(self._declared.values()) if self.warmup_s is None else self.warmup_s)
        self.scenario.rehearse(self.seed, due_us(intended_ns(count, self.rate)))

    def order(self) -> list[tuple[str, int]]:
        """Return (engine, number of its run) in the order of measuring: forwards, backwards, forwards, ...

        So a machine that gets slower or faster meanwhile does so for every engine alike (ABBA).
        """
        rounds = range(1, self.runs + 1)
        return [(name, number) for number in rounds for name in self.engines[:: 1 if number % 2 else -1]]

    @property
    def _declared(self) -> dict[str, float]:
        """The warm-up that each engine declares, in seconds."""
        asked = {name: registry.get(name) for name in self.engines}
        return {name: engine.declaration(variant).warmup_s for name, (engine, variant) in asked.items()}

    @property
    def heading(self) -> str:
        """The caveat above the results; empty for a run long enough to decide by."""
        why = [] if self.duration_s >= DECISIVE_S else [
            f"{self.duration_s:g} s measured; {DECISIVE_S:g} s or more decide"
        ]  # fmt: skip
        if self.warmup_s is not None:
            short = {name: needed for name, needed in self._declared.items() if needed > self.warmup_s}
            why += [f"{name} warmed up for {self.warmup_s:g} s of {needed:g} s" for name, needed in short.items()]
        return f"smoke, not for decisions ({'; '.join(why)})" if why else ""


def scenario(name: str) -> Scenario:
    """Return the scenario of that name, or the one in the file that `name` is. Raises `UnknownName`, `InvalidScenario`.

    A file's name has an ending or a folder: mine.py, ./mine.py.
    """
    if Path(name).suffix or "/" in name:
        return user.load(Path(name))
    if name not in SCENARIOS:
        raise UnknownName(f"No scenario {name!r}.{did_you_mean(name, SCENARIOS)}")
    return SCENARIOS[name]


def intended_ns(count: int, rate: float) -> NDArray[np.int64]:
    """Return when each event is due, in nanoseconds from the start."""
    return (np.arange(count) * (1e9 / rate)).astype(np.int64)


def due_us(due_ns: NDArray[np.int64]) -> array[int]:
    """Return due times as generators take them: whole microseconds, 8 bytes each."""
    return array("q", (due_ns // 1000).tobytes())


def check_address(broker: str | None) -> None:
    """Raise `InvalidPlan`, without the address, if it is none."""
    if broker is not None and not is_address(broker):
        raise InvalidPlan(f"--broker is {WANTED}.")
