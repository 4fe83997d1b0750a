"""A scenario: work that looks like users' work, as a pipeline and a seeded generator. One file each in this folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantics.pipeline import Pipeline
from semantics.timeline import Event

Keys = NDArray[np.int32]
"""The key of every event, by sequence number, as an index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Events with uniformly drawn keys through one pipeline with one input. The same seed draws the same events."""

    name: str
    claim: str
    """What is computed, for the heading of results."""
    pipeline: Pipeline
    keys: int
    event_bytes: int
    """Size of each event's value on the log; the generator pads to it."""

    def draw(self, seed: int, count: int) -> Keys:
        """Return the key index of each of `count` events."""
        return np.random.default_rng(_derived(seed, "keys")).integers(0, self.keys, count, dtype=np.int32)

    def key(self, index: int) -> str:
        """Return the key that an index stands for."""
        return f"k{index:06d}"

    def event(self, sequence: int, index: int, since_start_us: int) -> Event:
        """Return one event. Its event time is its intended send time, counted from the common origin of all scripts."""
        return Event(self.key(index), since_start_us, f"e{sequence}")

    def padding(self, seed: int) -> np.random.Generator:
        """Return the source of the padding. Random, for compression would make constant bytes weigh nothing."""
        return np.random.default_rng(_derived(seed, "padding"))


def occurrences(keys: Keys) -> NDArray[np.int64]:
    """Return for each event which one of its key it is, from 1: the running count that first reflects it."""
    order = np.argsort(keys, kind="stable")
    in_order = keys[order]
    starts = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]]) if len(keys) else np.zeros(0, dtype=np.int64)
    lengths = np.diff(np.r_[starts, len(keys)])
    counted = np.empty(len(keys), dtype=np.int64)
    counted[order] = np.arange(len(keys)) - np.repeat(starts, lengths) + 1
    return counted


def _derived(seed: int, component: str) -> Any:
    """Give each component its own stream of the one root seed."""
    return np.random.SeedSequence([seed, *component.encode()])
