"""What a node asks of its arguments. All raise `InvalidPipeline`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from semantics.errors import InvalidPipeline
from semantics.expr import Expr, Kind, kind, sides

ZERO = timedelta(0)


def yields(expression: Expr, wanted: Kind, what: str, of: Collection[str] = ("",)) -> None:
    """Ask that an expression is of a kind, and reads those sides only."""
    found = kind(expression)
    if found is not wanted:
        raise InvalidPipeline(f"{what} must be {wanted.value}, and {expression} is {found.value}.")
    if not sides(expression) <= {*of}:
        whose = "says left. or right. before each field" if "left" in of else "has one event to read: no left, no right"
        raise InvalidPipeline(f"{what} {whose}: {expression}.")


def within(offset: timedelta, period: timedelta) -> None:
    """Ask that a window's offset is less than its period."""
    if not ZERO <= offset < period:
        raise InvalidPipeline(f"A window's offset lies in [0, {period}): {offset} is the same as {offset % period}.")


def not_negative(duration: timedelta, what: str) -> None:
    """Ask that a duration is zero or more."""
    if duration < ZERO:
        raise InvalidPipeline(f"{what} must not be negative, and is {duration}.")


def positive(duration: timedelta, what: str) -> None:
    """Ask that a duration is more than zero."""
    if duration <= timedelta(0):
        raise InvalidPipeline(f"{what} must be above zero, not {duration}.")
