"""From the raw records of generator and probe to a judgement, and to samples only if it is right.

One pass of the oracle over the events says which rows are due, and which event lets each out. What a reader saw is
judged against that; a latency runs from when that event was due.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.latency import first_reflections
from bench.load import Watch
from bench.plan import due_us
from engines.wire import row_decoder
from scenarios.scenario import InvalidScenario, Scenario
from scenarios.truth import FLUSHED, due
from semantics.checkers.delivery import Judgement, Outcome, judge_counts
from semantics.checkers.finals import Place, judge_finals, place
from semantics.notation import print_row
from semantics.rows import Row, ValueRow, Values, WindowRow
from semantics.rules import Sink
from semantics.timeline import SENTINEL_KEY


@dataclass(frozen=True, slots=True)
class Samples:
    """One value for each measured event or row, in nanoseconds."""

    latency_ns: NDArray[np.int64]
    """From when the event was due that lets a row out until a reader saw it."""
    slip_ns: NDArray[np.int64]
    """From when an event was due until it was sent."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """The judgement; samples only if it is right."""

    judgement: Judgement
    samples: Samples | None
    keys: int | None
    """Rows of state there must be when all is consumed; None where that depends on the clock."""
    rows: int
    """Rows read that the events of the load caused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What generator and probe recorded of one load. All times are monotonic nanoseconds of one clock."""

    work: Scenario
    seed: int
    start_ns: int
    """When the schedule began; event `n` was due at this + `intended_ns[n]`, and sent at this + `sent_ns[n]`."""
    intended_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    digest: str
    """Of the events that were sent."""
    rows: NDArray[Any]
    """Of `bench.probe.ROWS`, in the order read."""
    values: bytes
    """The values of the rows, one behind the other."""
    unsure: Mapping[str, int]
    """Key -> events never acknowledged."""
    missing: str
    """Why rows may be missing that were written; empty if all were read."""

    def weigh(self, sink: Sink, since_ns: int) -> Weighed:
        """Judge under what the engine's sink promises; sample what was due from `since_ns` after the start on.

        Raises `InvalidScenario` if the events drawn here are not those that were sent.
        """
        return self._finals(sink, since_ns) if self.work.final else self._running(sink, since_ns)

    def _running(self, sink: Sink, since_ns: int) -> Weighed:
        # Per event and row only numbers side by side: a run holds millions of both.
        index: dict[str, int] = {}
        sent: dict[str, array[int]] = defaultdict(lambda: array("q"))
        others: dict[str, list[Values]] = defaultdict(list)
        causes, keys, occurrence = array("q"), array("q"), array("q")
        sent_ns = (self.sent_ns + self.start_ns).data
        for cause, row in self._due():
            assert isinstance(row, ValueRow)
            assert row.key is not None
            sent[row.key].append(sent_ns[cause])
            causes.append(cause)
            keys.append(index.setdefault(row.key, len(index)))
            occurrence.append(len(sent[row.key]))
            if len(row.values) > 1:
                others[row.key].append(row.values)

        row_keys, row_counts = array("q"), array("q")
        differing: list[str] = []  # Filled while the judge reads the claims, which it does first.
        missing = self.missing
        if others and self.unsure and not missing:
            others, missing = defaultdict(list), f"{sum(self.unsure.values())} events were sent without an answer"

        def claims() -> Iterator[tuple[str, int, int]]:
            for seen, raw, received in self._seen():
                if not isinstance(seen, ValueRow) or seen.key is None:
                    yield _stranger(raw), 0, received
                    continue
                said = dict(seen.values)["n"]
                count = said if isinstance(said, int) else 0
                known = 0 < count <= len(sent.get(seen.key, ()))
                row_keys.append(index.get(seen.key, -1))
                row_counts.append(count if known else 0)
                if known and others and seen.values != (right := others[seen.key][count - 1]):
                    differing.append(f"{print_row(seen)}, not {print_row(ValueRow(seen.key, right))}")
                yield seen.key, count, received

        judgement = judge_counts(claims(), sent, unsure=self.unsure, missing=missing, sink=sink, differing=differing)
        if judgement.outcome is not Outcome.RIGHT:
            return Weighed(judgement, None, len(sent), len(self.rows))
        seen_ns = first_reflections(
            _numbers(keys), _numbers(occurrence), _numbers(row_keys), _numbers(row_counts), self.rows["received_ns"]
        )
        return Weighed(judgement, self._samples(_numbers(causes), seen_ns, since_ns), len(sent), len(self.rows))

    def _finals(self, sink: Sink, since_ns: int) -> Weighed:
        wanted: dict[Place, tuple[WindowRow, int]] = {}
        causes: dict[Place, int] = {}
        sent_ns = (self.sent_ns + self.start_ns).data
        for cause, row in self._due():
            assert isinstance(row, WindowRow)
            # Not before the last event: only then is the one sent that closes all windows.
            wanted[place(row)] = row, sent_ns[cause]
            causes[place(row)] = cause
        found: list[tuple[WindowRow, int]] = []
        strange = ""
        first: dict[Place, int] = {}
        for seen, raw, received in self._seen():
            if not isinstance(seen, WindowRow):
                strange = strange or _stranger(raw)
            elif seen.key != SENTINEL_KEY:
                found.append((seen, received))
                first.setdefault(place(seen), received)
        judgement = judge_finals(
            found, wanted, strange=strange, unsure=sum(self.unsure.values()), missing=self.missing, sink=sink
        )
        if judgement.outcome is not Outcome.RIGHT:
            return Weighed(judgement, None, None, len(found))
        timed = [at for at, cause in causes.items() if cause != FLUSHED]
        seen_ns = np.array([first[at] for at in timed], dtype=np.int64)
        caused = np.array([causes[at] for at in timed], dtype=np.int64)
        return Weighed(judgement, self._samples(caused, seen_ns, since_ns), None, len(found))

    def _due(self) -> Iterator[tuple[int, Row]]:
        watch = Watch()
        yield from due(self.work, watch.over(self.work.generate(self.seed, due_us(self.intended_ns))))
        if watch.digest != self.digest:
            raise InvalidScenario(
                f"Scenario {self.work.name}: its generator drew other events in another process for the same seed; a"
                " set's order or hash() may be behind that."
            )

    def _seen(self) -> Iterator[tuple[Row | None, bytes, int]]:
        """Yield (row, None if it is none of this pipeline; its bytes; when it was received)."""
        decode, at = row_decoder(self.work.pipeline), 0
        for received, size in zip(
            *(np.ascontiguousarray(self.rows[name]).data for name in ("received_ns", "size")), strict=True
        ):
            raw = self.values[at : at + size]
            at += size
            try:
                yield decode(raw), raw, received
            except (msgspec.MsgspecError, UnicodeDecodeError):
                yield None, raw, received

    def _samples(self, causes: NDArray[np.int64], seen_ns: NDArray[np.int64], since_ns: int) -> Samples:
        due_ns = self.intended_ns[causes]
        measured = due_ns >= since_ns
        slip = (self.sent_ns - self.intended_ns)[self.intended_ns >= since_ns]
        return Samples((seen_ns - self.start_ns - due_ns)[measured], slip)


def _numbers(column: array[int]) -> NDArray[np.int64]:
    return np.frombuffer(column, dtype=np.int64)


def _stranger(raw: bytes) -> str:
    return f"a row that is none of this scenario, {repr(raw)[:200]},"
