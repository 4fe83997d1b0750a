"""The closed sets that a node chooses from."""

from __future__ import annotations

from enum import Enum


class Function(Enum):
    """Aggregate functions; the value is the result's name in rows and notation."""

    COUNT = "n"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    AVG = "avg"
    """The 64-bit float nearest to the exact sum divided by the count: it is rounded once, when it is shown."""
    FIRST = "first"
    """The value of the earliest event; of those at one time, the first to arrive."""
    LAST = "last"
    """The value of the latest event; of those at one time, the last to arrive."""
    COLLECT = "collect"
    """The values in the order of event time, then of arrival: the earliest `Aggregate.at_most`, none after them. So
    what is kept does not depend on the order of arrival, and state is bounded."""

    @property
    def timed(self) -> bool:
        """Return whether it asks when an event was."""
        return self in (Function.FIRST, Function.LAST, Function.COLLECT)


class Emit(Enum):
    """When an aggregate speaks."""

    FINAL = "final"
    """Once, when its window closes."""
    UPDATE = "update"
    """Changed rows as they change; nothing at close."""


class How(Enum):
    """Which unmatched rows of a join come out, padded with nulls."""

    INNER = "inner"
    LEFT = "left"
    RIGHT = "right"
    FULL = "full"
    SEMI = "semi"
    """No pairs: each left event once, as it is, as soon as it has a partner."""
    ANTI = "anti"
    """No pairs: each left event, as it is, once it can have no partner any more."""

    @property
    def pairs(self) -> bool:
        """Return whether rows are pairs; else they are left events."""
        return self not in (How.SEMI, How.ANTI)

    @property
    def keeps_left(self) -> bool:
        """Return whether unmatched left rows come out."""
        return self in (How.LEFT, How.FULL, How.ANTI)

    @property
    def keeps_right(self) -> bool:
        """Return whether unmatched right rows come out."""
        return self in (How.RIGHT, How.FULL)


class PairTime(Enum):
    """What time a pair has for the operator that follows. A row without partner has its own."""

    LATER = "later"
    """The later of both: that of the event that made it a pair, where nothing is out of order."""
    LEFT = "left"
    RIGHT = "right"


class AsOf(Enum):
    """Which version of a table an event meets."""

    ARRIVAL = "arrival"
    """The latest that has arrived: at once, and nothing is late. The table has no clock."""
    EVENT_TIME = "event-time"
    """The latest whose time is not after the event's: once the watermark is past the event's time, when no other one
    can come. An event, or a version, with time < watermark is late."""


class Timer(Enum):
    """Whose time a timer waits for."""

    EVENT_TIME = "event-time"
    """The watermark's."""
    PROCESSING_TIME = "processing-time"
    """The clock's on the wall, from when an event was processed on."""
