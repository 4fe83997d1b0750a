"""The template, and what guards it: autoescape for everything, no control codes, and an undefined name is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.report.picture import Box, Dot, Picture, Text, Track
from bench.text import plain, safe


def render(view: Mapping[str, Any]) -> bytes:
    """Return the page, UTF-8."""
    return _environment().get_template("report.html.jinja").render(view).encode("utf-8", "backslashreplace")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=True,
        finalize=safe,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "told": _told}
    for kind in (Box, Dot, Picture, Text, Track):
        environment.tests[kind.__name__.lower()] = lambda shape, kind=kind: isinstance(shape, kind)
    return environment


def _told(value: Any) -> str:
    """Return an argument as its user would write it; what was left open, each engine's declaration decides."""
    match value:
        case None:
            return "as declared"
        case list():
            return ", ".join(map(_shown, value))
        case _:
            return _shown(value)


def _shown(value: Any) -> str:
    try:
        return str(value)
    except (RecursionError, ValueError):
        return "too deep or too long to show"
