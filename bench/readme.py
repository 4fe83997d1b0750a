"""`python -m bench.readme RUN...`: write what recorded runs found into README.md, between its two marks.

The core expectations stand there, all of them in docs/results.md; and the verdicts go into docs/verdicts.json, of which
`make docs` makes docs/claims.md.

No figure there is typed by hand: the matrix comes from the runs' verdicts, the table from their benchmarks.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench import matrix, recorded
from bench.figures import figures, insert, machine, read
from bench.suite import read_verdicts
from semantics.errors import WeirError
from semantics.verdict import Verdict

BEGIN = "<!-- begin: results, inserted by `make readme` from a recorded run -->"
END = "<!-- end: results -->"
WHOLE = """\
# Results

What holds where, of all expectations. Written by `make readme` from recorded runs. [What the expectations
say](expectations/README.md), [what the rules mean](rules.md)."""


def results(folders: Sequence[Path]) -> tuple[str, str]:
    """Return README's section and docs/results.md, as these run folders tell them. Raises `CorruptRun`."""
    cells: dict[str, dict[str, Verdict]] = {}
    manifests, benched = read(folders)
    for folder in folders:
        for engine, column in read_verdicts(folder).items():
            cells.setdefault(engine, {}).update(column)
    about, counted = machine(manifests), _counts(cells)
    of_all = "Those are the core expectations. Of all ([docs/results.md](docs/results.md), with the reasons):"
    tables = [figures(benched, manifests[-1])] if benched else []
    reasons = "\n".join(f"- {line}" for line in matrix.deviations(cells))
    section = [about, matrix.markdown(cells, core=True), f"{of_all}\n\n{counted}", *tables]
    page = [WHOLE, about, counted, matrix.markdown(cells), reasons]
    return "\n\n".join(section), "\n\n".join(part for part in page if part) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Rewrite README.md of the current folder; return the exit code."""
    if not arguments:
        print("usage: python -m bench.readme RUN [RUN ...]", file=sys.stderr)
        return 2
    page, folders = Path("README.md"), [Path(argument) for argument in arguments]
    try:
        section, whole = results(folders)
        page.write_text(insert(page.read_text(), section, BEGIN, END))
        Path("docs", "results.md").write_text(whole)
        recorded.save(recorded.record(folders))
    except WeirError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _counts(cells: matrix.Cells) -> str:
    return "\n".join(f"- {engine}: {matrix.counts(column.values())}" for engine, column in cells.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
