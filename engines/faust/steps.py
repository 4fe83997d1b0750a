"""Stateless steps and expressions, as functions of an event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import add, eq, ge, gt, le, lt, mul, ne, sub
from typing import Any, TypeAlias, assert_never

from engines.faust.operators import Event
from semantics.expr import Binary, Expr, Field, Literal, Op
from semantics.pipeline import Filter, KeyBy, Select, Step

Transform: TypeAlias = Callable[[Event], bool]
"""Changes an event in place, and says whether it is still there."""
_OPERATORS: dict[Op, Callable[[Any, Any], Any]] = {
    Op.ADD: add, Op.SUBTRACT: sub, Op.MULTIPLY: mul, Op.EQUAL: eq, Op.NOT_EQUAL: ne,
    Op.LESS: lt, Op.LESS_EQUAL: le, Op.GREATER: gt, Op.GREATER_EQUAL: ge,
}  # fmt: skip
_FIELDS: dict[str, Callable[[Event], Any]] = {
    "key": lambda event: event.k,
    "id": lambda event: event.i or "",
    "value": lambda event: event.v,
}


def transform(chain: Sequence[Step]) -> Callable[[Event], bool] | None:
    """Return the function that changes an event in place as the chain does, and says whether it is still there."""
    if not chain:
        return None
    actions: list[Callable[[Event], Any]] = []
    for step in chain:
        match step:
            case Filter(_, where):
                actions.append(evaluate(where))
            case Select(_, value):
                actions.append(_setting("v", evaluate(value)))
            case KeyBy(_, key):
                actions.append(_setting("k", evaluate(key)))
            case _:
                raise NotImplementedError(f"{type(step).__name__}: the declaration does not let it through")

    def act(event: Event) -> bool:
        return all(action(event) for action in actions)

    return act


def _setting(field: str, value: Callable[[Event], Any]) -> Callable[[Event], bool]:
    def action(event: Event) -> bool:
        setattr(event, field, value(event))
        return True

    return action


def evaluate(expression: Expr) -> Callable[[Any], Any]:
    """Return the function that evaluates an expression on an event, or on a pair; an operation on null is false."""
    match expression:
        case Field(name, ""):
            return _FIELDS[name]
        case Field(name, side):
            of, field = int(side == "right"), _FIELDS[name]
            return lambda pair: field(pair[of])
        case Literal(value):
            return lambda _: value
        case Binary(op, left, right):
            a, b = evaluate(left), evaluate(right)
            if op is Op.AND:
                return lambda event: a(event) and b(event)
            if op is Op.OR:
                return lambda event: a(event) or b(event)
            apply = _OPERATORS[op]

            def binary(event: Any) -> Any:
                x, y = a(event), b(event)
                return False if x is None or y is None else apply(x, y)

            return binary
        case _:
            assert_never(expression)
