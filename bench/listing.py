"""`python -m bench list`: the catalogue, with predictions from each engine's declaration. Nothing is played."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench import matrix
from bench.foretold import Foretold, foretell
from engines import registry
from engines.contract import Declaration
from semantics.catalogue import FAMILIES, all_expectations
from semantics.errors import UnknownName, did_you_mean
from semantics.verdict import Value

WIDTH = 160
"""Of the table in a file or a pipe."""


def main(*, family: str | None, engines: Sequence[str]) -> int:
    """Print the table; return the exit code. Raises `UnknownName`."""
    if family is not None and family not in FAMILIES:
        raise UnknownName(f"No family {family!r}.{did_you_mean(family, FAMILIES)}")
    declared = {name: _declaration(name) for name in dict.fromkeys(engines or registry.names())}
    table = Table(caption=f"{matrix.LEGEND}   * core; predicted from declarations, not played", caption_justify="left")
    table.add_column("id", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("claim", ratio=2)
    for name in declared:
        table.add_column(f"{name}: predicted", ratio=1)
    for expectation in all_expectations():
        if family in (None, expectation.family):
            cells = [_cell(foretell(expectation, declaration)) for declaration in declared.values()]
            table.add_row(expectation.id, "*" if expectation.core else "", expectation.claim, *cells)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table, markup=False)
    return 0


def _declaration(name: str) -> Declaration:
    engine, variant = registry.get(name)
    return engine.declaration(variant)


def _cell(foretold: Foretold) -> str:
    glyphs = " or ".join(matrix.GLYPHS[value] for value in foretold.values)
    return f"{glyphs} {foretold.reason}" if Value.DEVIATES in foretold.values else glyphs
