"""Figures as bars: one picture a measure, all engines below each other, from zero, each with its number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.report.picture import Box, Picture, Shape, Text, width
from bench.text import plain

BAR = 18
LONG = 420
"""Pixels of the longest bar."""
_STATE = {"disk_bytes": "on disk", "restore_bytes": "to restore"}
"""Without `live_bytes`: each engine counts them in its own encoding, so two engines cannot be compared by them."""


def latency(results: Sequence[Mapping[str, Any]]) -> Picture:
    """Draw the percentiles of visible latency, in milliseconds; `results` are records of bench.jsonl with figures."""
    names = list(results[0]["figures"]["latency_ns"])
    rows = {name: [_scaled(result["figures"]["latency_ns"].get(name), 1e6) for result in results] for name in names}
    return _bars("visible latency in ms", rows, list(map(_name, results)), "ms")


def state(results: Sequence[Mapping[str, Any]]) -> Picture:
    """Draw how big the state was at the end, in KiB."""
    rows = {
        label: [_scaled(result["figures"]["state"].get(name), 1024) for result in results]
        for name, label in _STATE.items()
    }
    return _bars("state at the end in KiB", rows, list(map(_name, results)), "KiB")


def _name(result: Mapping[str, Any]) -> str:
    """Return the engine, and which run of several it was."""
    number = result.get("run", 1)
    return str(result["engine"]) if number == 1 else f"{result['engine']}, run {number}"


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
