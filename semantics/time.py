"""Event time: integer microseconds since 1970-01-01T00:00:00Z; never floats."""

from __future__ import annotations

from datetime import timedelta

T0_US = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z. Times in scripts are offsets from it. Not 1970: Spark's watermark starts there."""


def s(seconds: float) -> timedelta:
    """Return a duration of that many seconds, for scripts and pipelines."""
    return timedelta(seconds=seconds)


def us(duration: timedelta) -> int:
    """Return a duration as whole microseconds."""
    return duration // timedelta(microseconds=1)
