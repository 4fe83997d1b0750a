"""An expectation: a claim, a pipeline, a script, and what must be seen after each of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from semantics.errors import InvalidTimeline
from semantics.notation import Figure, parse_demand, parse_step, print_row
from semantics.pipeline import (
    Aggregate,
    Hopping,
    Join,
    Pipeline,
    Session,
    Tumbling,
    sources,
)
from semantics.rows import EventRow, PairRow, Row, ValueRow, Values, WindowRow
from semantics.timeline import Raw, Send, Step, Timeline, check


@dataclass(frozen=True, slots=True)
class Demand:
    """What one step must show: its rows as a multiset, and those of the figures that are named."""

    rows: tuple[Row, ...] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """`wm` (microseconds from T0, None for "no watermark"), `state`, `late`, `dup`, and `dead`, the reasons of dead
    letters: compared where named."""


Outcome: TypeAlias = tuple[Demand, ...]
"""One demanded outcome: a Demand for every step."""


@dataclass(frozen=True)
class Expectation:
    """One entry of the catalogue. `demand` holds the allowed outcomes, several only through `either`."""

    id: str
    claim: str
    pipeline: Pipeline = field(kw_only=True)
    timeline: Timeline = field(kw_only=True)
    demand: tuple[Outcome, ...] = field(kw_only=True)
    because: str = field(kw_only=True)
    core: bool = field(default=False, kw_only=True)
    """Whether every newcomer should see it first."""

    def __post_init__(self) -> None:
        check(self.timeline, tuple(source.name for source in sources(self.pipeline)))
        for outcome in self.demand:
            if len(outcome) != len(self.timeline):
                raise InvalidTimeline(
                    f"{self.id}: {len(self.timeline)} steps, but {len(outcome)} demands; say [] where nothing is due."
                )
        resolved = tuple(tuple(self._resolve(demand) for demand in outcome) for outcome in self.demand)
        object.__setattr__(self, "demand", resolved)

    def _resolve(self, demand: Demand) -> Demand:
        """Name the one aggregate of `a=3`, and refuse rows that this pipeline cannot emit."""
        return Demand(tuple(self._row(row) for row in demand.rows), demand.figures)

    def _row(self, row: Row) -> Row:
        match self.pipeline, row:
            case Aggregate(window=None) as aggregate, ValueRow(key, values):
                return ValueRow(key, self._named(row, aggregate, values))
            case Aggregate(window=Tumbling() | Hopping() | Session()) as aggregate, WindowRow(key, start, end, values):
                return WindowRow(key, start, end, self._named(row, aggregate, values))
            case Join(how=how), PairRow() if how.pairs:
                return row
            case Join(how=how), EventRow() if not how.pairs:
                return row
            case ((Aggregate() | Join()), _):
                pass
            case _, EventRow():
                return row
        raise InvalidTimeline(f"{self.id}: {print_row(row)} is no row of a {type(self.pipeline).__name__}.")

    def _named(self, row: Row, aggregate: Aggregate, values: Values) -> Values:
        names = tuple(function.value for function in aggregate.functions)
        given = tuple(name for name, _ in values)
        if given != names and not (given == ("",) and len(names) == 1):
            raise InvalidTimeline(f"{self.id}: {print_row(row)} must name the aggregates {', '.join(names)}.")
        return tuple(zip(names, (value for _, value in values), strict=True))

    @cached_property
    def family(self) -> str:
        """The id's letters: WM, TW, SW, AG, SSJ, DD, LJ, CDC, CH, NK, ST, EO, SCH."""
        return self.id.partition("-")[0]


def script(*steps: str | Step) -> Timeline:
    """Build a timeline: a string is one step's events, numbered e1, e2, ... through the script.

    Raises `InvalidNotation` with the character that cannot be read.
    """
    timeline: list[Step] = []
    number = 0
    for step in steps:
        if isinstance(step, str):
            step, number = parse_step(step, number)
        timeline.append(step)
    return tuple(timeline)


def raw(*values: bytes, input: str = "in") -> Send:
    """Send records with these bytes as their values, in this order, as no producer of ours would."""
    return Send(tuple(Raw(value, input) for value in values))


def after(*steps: Sequence[str]) -> tuple[Outcome, ...]:
    """Demand one outcome: the strings of each list are what that step of the script must show."""
    return (tuple(_demand(step) for step in steps),)


def either(*outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """Allow several outcomes, where no two engines agree or the script leaves it open."""
    return tuple(outcome for allowed in outcomes for outcome in allowed)


def _demand(strings: Sequence[str]) -> Demand:
    rows, figures = parse_demand(strings)
    return Demand(rows, figures)
