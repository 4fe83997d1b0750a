"""`python -m bench.readme RUN...`: write results of recorded runs into README.md, between its two marks.

README.md has the core expectations, docs/results.md all of them. Verdicts go into docs/verdicts.json, for `make docs`.

No figure is typed by hand: the matrix comes from the runs' verdicts, the table from their benchmarks. Results of
several commits are marked so, column by column.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import figures, matrix, recorded, runs
from bench.check import histories
from bench.plan import SCENARIOS
from bench.recorded import Recorded
from bench.story import RECONSTRUCTED
from bench.suite import read_verdicts
from bench.text import escaped, plain
from engines import registry
from engines.errors import CorruptRun
from semantics.catalogue import all_expectations
from semantics.errors import UnknownName, WeirError
from semantics.history import Struck
from semantics.verdict import Value, Verdict

BEGIN = "<!-- begin: results, inserted by `make readme` from a recorded run -->"
END = "<!-- end: results -->"
WHOLE = """\
# Results

What holds where, of all expectations. Written by `make readme` from recorded runs. The column `faust` is the runtime
that was written to this contract, by the same people: read [The bias, said aloud](../README.md#the-bias-said-aloud)
first. [The expectations](expectations/README.md), [the rules](rules.md)."""

REASONS = """\
## Reasons

A reason names the fewest declared rules whose return to the contract would give what is demanded. Other rules may
differ as well."""

VARIANTS = """\
## Variants

The verdicts of each variant that differ from those of its engine, or have another reason. *Played* counts all."""


def results(folders: Sequence[Path], kept: Recorded | None = None) -> tuple[str, str]:
    """Return README's section and docs/results.md. Raises `CorruptRun`.

    `kept`: verdicts of variants that these run folders do not hold.
    """
    cells: dict[str, dict[str, Verdict]] = {}
    commits: dict[str, dict[str, str]] = {}
    benched: dict[str, list[figures.Record]] = {}
    manifests: list[dict[str, Any]] = []
    measured: dict[str, None] = {}
    for folder in folders:
        try:
            manifests.append(runs.manifest(folder))
        except UnknownName as error:
            raise CorruptRun(f"{folder} is no run folder: it has no run.json.") from error
        for record in figures.read(folder):
            load = _load(record.get("scenario", "running-count"), manifests[-1]["arguments"])
            benched.setdefault(load, []).append(record)
            measured[_commit(manifests[-1])] = None
        for engine, column in read_verdicts(folder).items():
            cells.setdefault(engine, {}).update(column)
            commits.setdefault(engine, {}).update(dict.fromkeys(column, _commit(manifests[-1])))
    for name, column, of in _older(kept):
        mine = cells.setdefault(name, {})
        commits.setdefault(name, {}).update(dict.fromkeys(column.keys() - mine.keys(), of))
        cells[name] = column | mine
    whole = {engine: column for engine, column in cells.items() if not registry.get(engine)[1]}
    machine, counted = f"{_machine(manifests)} {_commits({name: commits[name] for name in whole})}", _counts(whole)
    of_all = "Those are the core expectations. Of all ([docs/results.md](docs/results.md), with the reasons):"
    tables = [_table(load, records) for load, records in benched.items()]
    if tables:
        tables.append(f"Measured at commit {', '.join(measured)}.")
    reasons = f"{REASONS}\n\n{_list([*matrix.deviations(whole), *_reconstructed(folders)])}"
    section = [machine, matrix.markdown(whole, core=True), f"{of_all}\n\n{counted}", *tables]
    page = [WHOLE, machine, counted, matrix.markdown(whole), reasons]
    if len(cells) > len(whole):
        variants = {name: column for name, column in commits.items() if name not in whole}
        page += [VARIANTS, _commits(variants), _list(matrix.unlike(cells))]
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
        kept = recorded.record(folders, recorded.load())
        section, whole = results(folders, kept)
        page.write_text(insert(page.read_text(), section))
        Path("docs", "results.md").write_text(whole)
        recorded.save(kept)
    except WeirError as error:
        print(f"error: {escaped(str(error))}", file=sys.stderr)
        return 1
    return 0


def _older(kept: Recorded | None) -> Iterator[tuple[str, dict[str, Verdict], str]]:
    """Yield variants with verdicts of earlier runs, as far as their scripts are today's, and the commits of those."""
    if kept is None:
        return
    for name, commits in kept.older.items():
        found = {expectation.id: kept.verdict(name, expectation) for expectation in all_expectations()}
        column = {id: Verdict(value=Value(cell.value), reason=cell.reason) for id, cell in found.items() if cell}
        yield name, column, ", ".join(commits)


def _machine(manifests: Sequence[dict[str, Any]]) -> str:
    """Return dates and machines of the runs."""
    days = sorted({manifest["started"][:10] for manifest in manifests})
    places = dict.fromkeys(_place(manifest["host"], manifest["versions"]) for manifest in manifests)
    return f"From runs of {' to '.join(dict.fromkeys((days[0], days[-1])))} on {'; '.join(places)}."


def _place(host: dict[str, Any], versions: dict[str, Any]) -> str:
    memory = round(host["memory_bytes"] / 2**30)
    return f"{host['cores']} cores and {memory} GiB ({host['system']} {host['machine']}), Python {versions['python']}"


def _commit(manifest: dict[str, Any]) -> str:
    return str(manifest["versions"]["weir"])


def _commits(columns: Mapping[str, Mapping[str, str]]) -> str:
    """Return the one commit of all verdicts, or those of each column. `columns`: engine -> expectation id -> commit."""
    of = {name: dict.fromkeys(column.values()) for name, column in columns.items()}
    every = dict.fromkeys(commit for commits in of.values() for commit in commits)
    if len(every) == 1:
        return f"All verdicts are of commit {next(iter(every))}."
    each = "; ".join(f"{name} {', '.join(commits)}" for name, commits in of.items())
    return f"**The verdicts are of several commits**, a later run's in place of an earlier one's: {each}."


def _reconstructed(folders: Sequence[Path]) -> Iterator[str]:
    """Yield a line for each engine with reconstructed kills, with the expectations' ids."""
    played = {(h.engine, h.expectation): h for folder in folders for h in histories(folder)}
    found: dict[str, list[str]] = {}
    for (engine, id), history in played.items():
        if any(isinstance(entry, Struck) and entry.reconstructed for entry in history.entries):
            found.setdefault(engine, []).append(id)
    for engine, ids in found.items():
        yield f"{engine} killed{RECONSTRUCTED}: {', '.join(ids)}"


def _counts(cells: matrix.Cells) -> str:
    return _list([f"{engine}: {matrix.counts(column.values())}" for engine, column in cells.items()])


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {plain(line, len(line))}" for line in lines)


def _load(scenario: str, asked: dict[str, Any]) -> str:
    """Return the line above a table: runs under the same load stand together."""
    work = SCENARIOS.get(scenario)
    return (
        f"**{scenario}**: {f'{work.claim}; ' if work else ''}{asked.get('rate', 0):g} events/s,"
        f" {asked.get('duration_s', 0):g} s measured after the warm-up. {f'{work.latency}.' if work else ''}"
    ).rstrip()


def _table(load: str, records: Sequence[figures.Record]) -> str:
    """Return the figures under one load, a row per engine."""
    engines = figures.grouped(records)
    several = max(map(len, engines)) > 1
    lines = [
        f"{load} Median and range of several runs." if several else load,
        "",
        f"| engine | {' | '.join(figures.HEADINGS)} |",
        f"|---|---|---|{'--:|' * (len(figures.HEADINGS) - 2)}",
    ]
    lines += [f"| {plain(runs[0]['title'])} | {' | '.join(map(plain, figures.row(runs)))} |" for runs in engines]
    return "\n".join([*lines, "", figures.machine(records)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
