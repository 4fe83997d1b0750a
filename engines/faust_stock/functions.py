"""Aggregate functions on the lists that a Table keeps as JSON: a part each, and none before the first event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from semantics.pipeline import Aggregate, Function


def raised(aggregate: Aggregate, parts: list[Any], event: Mapping[str, Any]) -> list[Any]:
    """Return a row's parts after one more event; `parts` is empty before the first."""
    more = [_part(function, event) for function in aggregate.functions]
    if not parts:
        return more
    return [_joined(f, a, b, aggregate.at_most) for f, a, b in zip(aggregate.functions, parts, more, strict=True)]


def shown(aggregate: Aggregate, parts: list[Any]) -> dict[str, Any]:
    """Return a row's aggregates by name."""
    return {function.value: _shown(function, part) for function, part in zip(aggregate.functions, parts, strict=True)}


def _part(function: Function, event: Mapping[str, Any]) -> Any:
    match function:
        case Function.COUNT:
            return 1
        case Function.SUM | Function.MIN | Function.MAX:
            return event["v"]
        case Function.AVG:
            return [event["v"], 1]
        case Function.FIRST | Function.LAST:
            return [event["t"], event["v"]]
        case Function.COLLECT:
            return [[event["t"], event["v"]]]
        case _:
            assert_never(function)


def _joined(function: Function, had: Any, more: Any, at_most: int) -> Any:
    match function:
        case Function.COUNT | Function.SUM:
            return had + more
        case Function.MIN:
            return min(had, more)
        case Function.MAX:
            return max(had, more)
        case Function.AVG:
            return [had[0] + more[0], had[1] + more[1]]
        case Function.FIRST:
            return more if more[0] < had[0] else had
        case Function.LAST:
            return more if more[0] >= had[0] else had
        case Function.COLLECT:
            return sorted([*had, *more], key=lambda dated: dated[0])[:at_most]
        case _:
            assert_never(function)


def _shown(function: Function, part: Any) -> Any:
    match function:
        case Function.AVG:
            return part[0] / part[1]
        case Function.FIRST | Function.LAST:
            return part[1]
        case Function.COLLECT:
            return [value for _, value in part]
        case _:
            return part
