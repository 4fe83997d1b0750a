"""From the raw arrays of generator and probe to a judgement, and to samples only if it is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.latency import first_reflections
from scenarios.scenario import Keys, Scenario, occurrences
from semantics.checkers.delivery import Judgement, Outcome, judge_counts
from semantics.rules import Sink


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What generator and probe recorded of one load. All times are monotonic nanoseconds of one clock."""

    work: Scenario
    keys: Keys
    """Key index of each event, by sequence number; so are the next two."""
    due_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    rows: NDArray[Any]
    """Of `bench.probe.ROWS`, in the order read."""
    strange: str
    """The first row that is none of the scenario, as text; empty if there was none."""
    unsure: Mapping[str, int]
    """Key -> events never acknowledged."""
    missing: str
    """Why rows may be missing that were written; empty if all were read."""

    def judge(self, sink: Sink) -> Judgement:
        """Judge what was read against what was sent, under what the engine's sink promises."""
        return judge_counts(self._claims(), self._sent(), unsure=self.unsure, missing=self.missing, sink=sink)

    def samples(self, judgement: Judgement, since_ns: int) -> Samples | None:
        """Return the samples of all events due from `since_ns` on; None unless the answers were right."""
        if judgement.outcome is not Outcome.RIGHT:
            return None
        rows = self.rows
        seen = first_reflections(self.keys, occurrences(self.keys), rows["key"], rows["count"], rows["received_ns"])
        measured = self.due_ns >= since_ns
        return Samples((seen - self.due_ns)[measured], (self.sent_ns - self.due_ns)[measured])

    def _claims(self) -> Iterator[tuple[str, int, int]]:
        names = [self.work.key(index) for index in range(self.work.keys)]
        stranger = f"a row that is none of this scenario, {self.strange},"
        columns = (self.rows[name].tolist() for name in ("key", "count", "received_ns"))
        for key, count, received in zip(*columns, strict=True):
            yield names[key] if key >= 0 else stranger, count, received

    def _sent(self) -> dict[str, list[int]]:
        order = np.argsort(self.keys, kind="stable")
        present, starts = np.unique(self.keys[order], return_index=True)
        groups = np.split(self.sent_ns[order], starts[1:])
        return {self.work.key(int(key)): times.tolist() for key, times in zip(present, groups, strict=True)}


@dataclass(frozen=True, slots=True)
class Samples:
    """One value for each measured event, in nanoseconds."""

    latency_ns: NDArray[np.int64]
    """From when it was due until a reader saw it reflected."""
    slip_ns: NDArray[np.int64]
    """From when it was due until it was sent."""
