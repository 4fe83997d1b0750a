"""`python -m bench.readme RUN...`: write what recorded runs found into README.md, between its two marks.

The core expectations stand there, all of them in docs/results.md; and the verdicts go into docs/verdicts.json, of which
`make docs` makes docs/claims.md.

No figure there is typed by hand: the matrix comes from the runs' verdicts, the table from their benchmarks.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench import figures, matrix, recorded
from bench.plan import SCENARIOS
from bench.suite import read_verdicts
from engines import registry
from engines.errors import CorruptRun
from semantics.errors import WeirError
from semantics.verdict import Verdict

BEGIN = "<!-- begin: results, inserted by `make readme` from a recorded run -->"
END = "<!-- end: results -->"
WHOLE = """\
# Results

What holds where, of all expectations. Written by `make readme` from recorded runs. [What the expectations
say](expectations/README.md), [what the rules mean](rules.md)."""

VARIANTS = """\
## Variants

What each has played, and where its verdict, or the reason of it, is not that of its engine above."""


def results(folders: Sequence[Path]) -> tuple[str, str]:
    """Return README's section and docs/results.md, as these run folders tell them. Raises `CorruptRun`."""
    cells: dict[str, dict[str, Verdict]] = {}
    benched: dict[str, list[dict[str, Any]]] = {}
    manifests: list[dict[str, Any]] = []
    for folder in folders:
        try:
            manifests.append(msgspec.json.decode((folder / "run.json").read_bytes()))
            path, asked = folder / "bench.jsonl", manifests[-1]["arguments"]
            for line in path.read_bytes().splitlines() if path.exists() else ():
                record = msgspec.json.decode(line)
                benched.setdefault(_load(record.get("scenario", "running-count"), asked), []).append(record)
        except (OSError, msgspec.MsgspecError) as error:
            raise CorruptRun(f"{folder} is no run folder: {error}.") from error
        for engine, column in read_verdicts(folder).items():
            cells.setdefault(engine, {}).update(column)
    whole = {engine: column for engine, column in cells.items() if not registry.get(engine)[1]}
    machine, counted = _machine(manifests), _counts(whole)
    of_all = "Those are the core expectations. Of all ([docs/results.md](docs/results.md), with the reasons):"
    tables = [_table(load, records) for load, records in benched.items()]
    reasons = _list(matrix.deviations(whole))
    section = [machine, matrix.markdown(whole, core=True), f"{of_all}\n\n{counted}", *tables]
    page = [WHOLE, machine, counted, matrix.markdown(whole), reasons]
    if len(cells) > len(whole):
        page += [VARIANTS, _list(matrix.unlike(cells))]
    return "\n\n".join(section), "\n\n".join(part for part in page if part) + "\n"


def insert(text: str, section: str) -> str:
    """Return the page with the section between its marks. Raises `CorruptRun` if they are not there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise CorruptRun(f"README.md has no place for results: it needs the lines {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n{section}\n{END}{after}"


def main(arguments: Sequence[str]) -> int:
    """Rewrite README.md of the current folder; return the exit code."""
    if not arguments:
        print("usage: python -m bench.readme RUN [RUN ...]", file=sys.stderr)
        return 2
    page, folders = Path("README.md"), [Path(argument) for argument in arguments]
    try:
        section, whole = results(folders)
        page.write_text(insert(page.read_text(), section))
        Path("docs", "results.md").write_text(whole)
        recorded.save(recorded.record(folders))
    except WeirError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _machine(manifests: Sequence[dict[str, Any]]) -> str:
    manifest = manifests[-1]
    host, versions = manifest["host"], manifest["versions"]
    commits = ", ".join(dict.fromkeys(each["versions"]["weir"] for each in manifests))
    memory = round(host["memory_bytes"] / 2**30)
    return (
        f"From runs of {manifest['started'][:10]} on {host['cores']} cores and {memory} GiB ({host['system']} "
        f"{host['machine']}), Python {versions['python']}, commit {commits}."
    )


def _counts(cells: matrix.Cells) -> str:
    return _list([f"{engine}: {matrix.counts(column.values())}" for engine, column in cells.items()])


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _load(scenario: str, asked: dict[str, Any]) -> str:
    """Return the line above a table: runs under the same load stand together."""
    work = SCENARIOS.get(scenario)
    return (
        f"**{scenario}**: {f'{work.claim}; ' if work else ''}{asked.get('rate', 0):g} events/s,"
        f" {asked.get('duration_s', 0):g} s measured after the warm-up. {f'{work.latency}.' if work else ''}"
    ).rstrip()


def _table(load: str, records: Sequence[dict[str, Any]]) -> str:
    """Return the figures under one load, a row per engine."""
    engines = figures.grouped(records)
    several = max(map(len, engines)) > 1
    lines = [
        f"{load} Median and range of several runs." if several else load,
        "",
        f"| engine | {' | '.join(figures.HEADINGS)} |",
        f"|---|---|---|{'--:|' * (len(figures.HEADINGS) - 2)}",
    ]
    lines += [f"| {runs[0]['title']} | {' | '.join(figures.row(runs))} |" for runs in engines]
    return "\n".join([*lines, "", figures.machine(records)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
