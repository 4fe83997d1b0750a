"""The few expressions that a pipeline may contain; every engine translates them.

An expression reads one event's fields: `key` and `id` (strings, the key may be null), `value` (64-bit integer); a
join's condition those of both sides, `left.value == right.value`.
Comparisons with null are false, as a filter sees them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from semantics.errors import InvalidPipeline


class Op(Enum):
    """The closed set of operators; the value is how it prints."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    EQUAL = "=="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="
    AND = "and"
    OR = "or"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the event: `key`, `id` or `value`; in a join's condition, of the event on that side."""

    name: str
    side: str = ""

    def __post_init__(self) -> None:
        if self.name not in ("key", "id", "value"):
            raise InvalidPipeline(f"An event has no field {self.name!r}; it has key, id and value.")
        if self.side not in ("", "left", "right"):
            raise InvalidPipeline(f"A join has no side {self.side!r}; it has left and right.")

    def __str__(self) -> str:
        return f"{self.side}.{self.name}" if self.side else self.name


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: a string or a 64-bit integer."""

    value: int | str

    def __str__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, slots=True)
class Binary:
    """`left op right`."""

    op: Op
    left: Expr
    right: Expr

    def __str__(self) -> str:
        return f"({self.left} {self.op.value} {self.right})"


Expr: TypeAlias = Field | Literal | Binary
Operand: TypeAlias = Field | Literal | Binary | int | str


class Kind(Enum):
    """What an expression yields."""

    TEXT = "a string"
    INTEGER = "an integer"
    TRUTH = "a truth value"


def kind(expression: Expr) -> Kind:
    """Return what an expression yields. Raises `InvalidPipeline` if an operator does not fit its operands."""
    match expression:
        case Field("value"):
            return Kind.INTEGER
        case Field():
            return Kind.TEXT
        case Literal(value):
            return Kind.TEXT if isinstance(value, str) else Kind.INTEGER
        case Binary(op, left, right):
            kinds = {kind(left), kind(right)}
            match op:
                case Op.ADD | Op.SUBTRACT | Op.MULTIPLY:
                    takes, yields = kinds == {Kind.INTEGER}, Kind.INTEGER
                case Op.AND | Op.OR:
                    takes, yields = kinds == {Kind.TRUTH}, Kind.TRUTH
                case _:
                    takes, yields = kinds in ({Kind.INTEGER}, {Kind.TEXT}), Kind.TRUTH
            if not takes:
                raise InvalidPipeline(
                    f"{op.value!r} does not take {' and '.join(k.value for k in kinds)}: {expression}."
                )
            return yields


def sides(expression: Expr) -> frozenset[str]:
    """Return whose fields an expression reads: "left", "right", or "" for those of the one event that there is."""
    match expression:
        case Field(side=side):
            return frozenset((side,))
        case Literal():
            return frozenset()
        case Binary(_, left, right):
            return sides(left) | sides(right)


def own_conditions(where: Expr | None, side: str) -> tuple[Expr, ...]:
    """Return those of the conditions joined by `and` that ask for nothing but one side's fields."""
    match where:
        case None:
            return ()
        case Binary(Op.AND, left, right):
            return own_conditions(left, side) + own_conditions(right, side)
        case _:
            return (where,) if sides(where) == {side} else ()


def lower_bounds(where: Expr | None, side: str) -> tuple[tuple[int, bool], ...]:
    """Return below which numbers the conditions on one side alone say that its value cannot lie, and if not at them."""
    found = []
    for condition in own_conditions(where, side):
        match condition:
            case Binary(Op.GREATER | Op.GREATER_EQUAL as op, Field("value"), Literal(int(number))):
                found.append((number, op is Op.GREATER))
            case Binary(Op.LESS | Op.LESS_EQUAL as op, Literal(int(number)), Field("value")):
                found.append((number, op is Op.LESS))
    return tuple(found)


KEY = Field("key")
ID = Field("id")
VALUE = Field("value")
LEFT_VALUE = Field("value", "left")
RIGHT_VALUE = Field("value", "right")


def expr(left: Operand, op: str, right: Operand) -> Binary:
    """Build `left op right`; bare integers and strings become literals: `expr(VALUE, ">", 3)`."""
    try:
        operator = Op(op)
    except ValueError:
        raise InvalidPipeline(f"{op!r} is no operator; there are {' '.join(o.value for o in Op)}.") from None
    return Binary(operator, _lift(left), _lift(right))


def _lift(operand: Operand) -> Expr:
    return Literal(operand) if isinstance(operand, int | str) else operand
