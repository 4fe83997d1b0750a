"""Windows: how an aggregate, or a join, divides time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

from semantics.errors import InvalidPipeline
from semantics.expr import Expr, Kind
from semantics.pipeline.checks import ZERO, not_negative, positive, within, yields


@dataclass(frozen=True, slots=True)
class Tumbling:
    """Windows [k*size + offset, (k+1)*size + offset) since 1970-01-01T00:00:00Z, earlier times too.

    A window is final, and an event late for it, at watermark >= end + grace.
    """

    size: timedelta
    offset: timedelta = field(default=ZERO, kw_only=True)
    grace: timedelta = field(default=ZERO, kw_only=True)

    def __post_init__(self) -> None:
        positive(self.size, "a window's size")
        within(self.offset, self.size)
        not_negative(self.grace, "a window's grace")


@dataclass(frozen=True, slots=True)
class Hopping:
    """Windows of `size` that start every `slide`; an event belongs to all that hold it."""

    size: timedelta
    slide: timedelta
    offset: timedelta = field(default=ZERO, kw_only=True)
    grace: timedelta = field(default=ZERO, kw_only=True)

    def __post_init__(self) -> None:
        positive(self.size, "a window's size")
        positive(self.slide, "a window's slide")
        if self.slide > self.size:
            raise InvalidPipeline(
                f"A slide of {self.slide} leaves holes between windows of {self.size}: events would be lost."
            )
        within(self.offset, self.slide)
        not_negative(self.grace, "a window's grace")


@dataclass(frozen=True, slots=True)
class Session:
    """Spans [t, t+gap) of one key that overlap or touch are one session, while the earlier one is not final.

    A session is final at watermark >= end + grace. The gap may be each event's own: an expression that yields seconds.
    A session then ends at the highest t + gap; an event whose gap is not above zero, or null, counts as filtered.
    """

    gap: timedelta | Expr
    grace: timedelta = field(default=ZERO, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.gap, timedelta):
            positive(self.gap, "a session's gap")
        else:
            yields(self.gap, Kind.INTEGER, "A session's gap")
        not_negative(self.grace, "a session's grace")


Window: TypeAlias = Tumbling | Hopping | Session
