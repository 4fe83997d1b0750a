"""A picture as a list of shapes, drawn by one template: text is escaped there, and nothing else is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from bench.text import plain

LETTER = 7.3
"""Width of a letter in pixels, in the pictures' fixed-width type of 12 pixels."""


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; `anchor` is SVG's: start, middle, end."""

    x: float
    y: float
    text: str
    style: str = ""
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float
    style: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A circle of 4 pixels."""

    x: float
    y: float
    style: str


@dataclass(frozen=True, slots=True)
class Track:
    """A line through these points."""

    points: tuple[tuple[float, float], ...]
    style: str


Shape: TypeAlias = Text | Box | Dot | Track


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Shapes in pixels, the later ones on top. `says` is read to those who cannot see it."""

    width: float
    height: float
    says: str
    shapes: tuple[Shape, ...]


def width(text: str) -> float:
    """Return how wide a text is drawn."""
    return len(plain(text)) * LETTER
