"""Figures as bars: one picture a measure, all engines below each other, from zero, each with its number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import msgspec

from bench.memory import Memory
from bench.report.picture import Box, Picture, Shape, Text, width
from bench.text import plain

BAR = 18
LONG = 420
"""Pixels of the longest bar."""
_STATE = {"disk_bytes": "on disk", "restore_bytes": "to restore"}
"""Without `live_bytes`: each engine counts them in its own encoding, so two engines cannot be compared by them."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class State(msgspec.Struct):
    """Sizes of the state; None: the engine does not tell."""

    rows: Count | None = None
    disk_bytes: Count | None = None
    restore_bytes: Count | None = None


class Figures(msgspec.Struct):
    """Figures of a record, as far as the page shows them."""

    samples: Count
    latency_ns: dict[str, Count | None]
    cpu_s_per_million: float | None
    state: State
    memory: Memory | None = None


class Benched(msgspec.Struct):
    """The shape of a line of bench.jsonl."""

    engine: str
    title: str
    outcome: str
    reason: str
    figures: Figures | None
    scenario: str = ""


def latency(measured: Sequence[tuple[str, Figures]]) -> Picture:
    """Draw the percentiles of visible latency, in milliseconds; `measured`: engines with their figures."""
    names = list(measured[0][1].latency_ns)
    rows = {name: [_scaled(figures.latency_ns.get(name), 1e6) for _, figures in measured] for name in names}
    return _bars("visible latency in ms", rows, [engine for engine, _ in measured], "ms")


def state(measured: Sequence[tuple[str, Figures]]) -> Picture:
    """Draw how big the state was at the end, in KiB."""
    rows = {
        label: [_scaled(getattr(figures.state, name), 1024) for _, figures in measured]
        for name, label in _STATE.items()
    }
    return _bars("state at the end in KiB", rows, [engine for engine, _ in measured], "KiB")


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _bars(title: str, rows: Mapping[str, Sequence[float | None]], engines: Sequence[str], unit: str) -> Picture:
    most = max((value for values in rows.values() for value in values if value is not None), default=0) or 1
    names = [plain(engine, 30) for engine in engines]
    left = max(map(width, rows)) + 16
    bars_at = left + max(map(width, names)) + 12
    shapes: list[Shape] = [Text(0, 14, title, "dim")]
    at = 26
    for label, values in rows.items():
        shapes.append(Text(0, at + 13, label))
        for number, (name, value) in enumerate(zip(names, values, strict=True)):
            shapes += [Text(left, at + 13, name, "dim"), *_bar(bars_at, at, value, most, unit, number)]
            at += BAR
        at += 8
    says = f"{title}: " + "; ".join(_said(label, values, names, unit) for label, values in rows.items())
    return Picture(width=round(bars_at + LONG + 110), height=at, says=says, shapes=tuple(shapes))


def _bar(x: float, y: float, value: float | None, most: float, unit: str, number: int) -> Iterator[Shape]:
    if value is None:
        yield Text(x, y + 13, "not told", "dim")
        return
    long = max(value / most * LONG, 1)
    yield Box(x, y + 2, round(long, 1), BAR - 5, f"engine{number % 4}")
    yield Text(x + long + 6, y + 13, f"{_number(value)} {unit}")


def _said(label: str, values: Sequence[float | None], names: Sequence[str], unit: str) -> str:
    each = (f"{n} {'not told' if v is None else f'{_number(v)} {unit}'}" for n, v in zip(names, values, strict=True))
    return f"{label} {', '.join(each)}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
