"""What pipelines emit. Four shapes, one for each way to end a pipeline. Times are offsets from T0 in microseconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

Value: TypeAlias = int | float | tuple[int | None, ...] | None
"""One aggregate: a whole number, an average, a collection. None: of nothing but nulls."""
Values: TypeAlias = tuple[tuple[str, Value], ...]
"""Aggregates by name, in the pipeline's order: (("n", 2), ("sum", 9))."""


@dataclass(frozen=True, slots=True)
class Ref:
    """One side of a pair: the event's id and time. In a demand, id "" means: not compared."""

    id: str
    time_us: int | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event that passed through. In a demand, id "" means: not compared."""

    key: str | None
    id: str
    value: int | None
    time_us: int | None


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A window's or session's aggregates."""

    key: str | None
    start_us: int
    end_us: int
    values: Values


@dataclass(frozen=True, slots=True)
class ValueRow:
    """A running aggregate's new value."""

    key: str | None
    values: Values


@dataclass(frozen=True, slots=True)
class PairRow:
    """A joined pair; a missing side is None."""

    key: str | None
    left: Ref | None
    right: Ref | None


Row: TypeAlias = EventRow | WindowRow | ValueRow | PairRow


def sort_key(row: Row) -> tuple[str, str, str]:
    """Order rows for printing: by key, then by what they say."""
    return type(row).__name__, row.key or "", repr(row)


def names_ids(row: Row) -> bool:
    """Return whether a demanded row names an id, so that ids are compared."""
    match row:
        case EventRow(id=id):
            return bool(id)
        case PairRow(left=left, right=right):
            return any(side is not None and bool(side.id) for side in (left, right))
    return False


def without_ids(row: Row) -> Row:
    """Return the row as it is compared where the demand names no id."""
    match row:
        case EventRow():
            return replace(row, id="")
        case PairRow(key, left, right):
            return PairRow(key, left and Ref("", left.time_us), right and Ref("", right.time_us))
    return row
