"""`python -m bench.pages`: the pages in docs/ that are written by the catalogue itself, so that they cannot be wrong.

A page for each family of expectations, and pages of rules, of planted bugs, of probes of an engine, of common claims. A
test writes them again and compares.

An expectation's page lists recorded verdicts (docs/verdicts.json) and predictions apart. Every prediction carries the
word *predicted*.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import recorded
from bench.claimed import CLAIMS
from bench.claims import Records, claims_page
from bench.drawing import draw
from bench.foretold import declarations, foretell, recipe
from bench.recorded import Recorded
from bench.support import support_page
from bench.tables import catches, rules_page, teeth_page
from bench.words import describe
from engines import probing, registry
from engines.contract import Declaration
from engines.probing import Prober
from semantics.catalogue import FAMILIES, all_expectations
from semantics.expectation import Demand, Expectation
from semantics.notation import print_figure, print_row, print_step
from semantics.verdict import Value

ROOT = Path(__file__).resolve().parent.parent / "docs"
MADE = "<!-- Written by `make docs` from the catalogue: change that, not this page. -->"
_READ = """\
In the drawings every instant of the script has a column; they are not to scale. A step's events arrive line by line,
from left to right. The arrow is the watermark when the step has settled, `[==)` a window or session, `o--o` a pair, `*`
an event that passed. The notation is explained in [semantics/notation.py](../../semantics/notation.py), the meaning in
[semantics/README.md](../../semantics/README.md)."""

_INDEX = """\
# Expectations

The column `faust` is the runtime that was written to this contract, by the same people: read
[The bias, said aloud](../../README.md#the-bias-said-aloud) first. [Teeth](../teeth.md) lists which mistakes the
catalogue catches."""

_RECORDED = """\
## Recorded

Verdicts of runs, last recorded on {date} ([verdicts.json](../verdicts.json)). An empty cell was not played.
*Unsupported* and *not implemented* were not run."""

_PREDICTED = """\
## Predicted, not played

Predictions for expectations that a variant has not played. They follow from the [rules](../rules.md) that Weir declares
on the engine's behalf. No run has shown them."""

_NOT_RUN = (Value.UNSUPPORTED, Value.NOT_IMPLEMENTED)


def pages(caught: Mapping[str, Sequence[str]]) -> dict[Path, str]:
    """Return every page's text by its path below docs/. `caught`: as `catches` returns it."""
    declared, verdicts = dict(declarations()), recorded.load()
    made = {Path("expectations") / f"{family.lower()}.md": _family(family, declared, verdicts) for family in FAMILIES}
    made[Path("expectations") / "README.md"] = _index(declared, verdicts)
    made[Path("rules.md")] = rules_page(declared)
    made[Path("teeth.md")] = teeth_page(caught)
    probers = [prober for name in registry.names() if (prober := registry.prober(name))]
    made |= {Path(f"{prober.engine}-support.md"): support_page(prober) for prober in probers}
    made[Path("claims.md")] = _claims(probers)
    return {path: f"{MADE}\n\n{text.strip()}\n" for path, text in made.items()}


def stale(made: Mapping[Path, str], root: Path = ROOT) -> list[str]:
    """Return the pages that differ from what the catalogue says, and those that nothing writes any more."""
    there = {path.relative_to(root) for path in root.rglob("*.md")} if root.exists() else set()
    ours = {path for path in there if (root / path).read_text().startswith(MADE)}
    wrong = [path for path, text in made.items() if path not in there or (root / path).read_text() != text]
    return sorted(map(str, {*wrong, *(ours - made.keys())}))


def main() -> int:
    """Write the pages, and remove those that nothing writes any more."""
    made = pages(asyncio.run(catches()))
    for name in stale(made):
        path = ROOT / name
        if Path(name) in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[Path(name)])
        else:
            path.unlink()
        print(path.relative_to(ROOT.parent))
    return 0


def _claims(probers: Sequence[Prober]) -> str:
    probed = {prober.engine: probing.load(prober.record) for prober in probers}
    versions = {f"{name} {version}" for record in probed.values() for name, version in record.versions.items()}
    records = Records(recorded.load(), {engine: record.answers for engine, record in probed.items()})
    return claims_page(CLAIMS, records, ", ".join(sorted(versions)))


def _index(declared: Mapping[str, Declaration], verdicts: Recorded) -> str:
    played = {
        name: {e.id: (Value(cell.value),) for e in all_expectations() if (cell := verdicts.verdict(name, e))}
        for name in verdicts.cells
    }
    foretold = {
        name: {e.id: foretell(e, declaration).values for e in all_expectations() if e.id not in played.get(name, {})}
        for name, declaration in declared.items()
    }
    parts = [_INDEX, _RECORDED.format(date=verdicts.date), _counts(played)]
    if any(foretold.values()):
        parts += [_PREDICTED, _counts({name: column for name, column in foretold.items() if column}, "predicted: ")]
    return "\n\n".join(parts)


def _counts(columns: Mapping[str, Mapping[str, tuple[Value, ...]]], said: str = "") -> str:
    """Return a table of verdicts by family and engine. `columns`: engine -> expectation id -> possible verdicts."""
    lines = [f"| family | | expectations | core | {' | '.join(columns)} |", f"|---|---|--:|--:|{'---|' * len(columns)}"]
    for family, title in FAMILIES.items():
        members = _members(family)
        found = [[column[member.id] for member in members if member.id in column] for column in columns.values()]
        cells = [f"{said}{_counted(values)}" if values else "" for values in found]
        core = sum(member.core for member in members)
        link = f"[{family}]({family.lower()}.md)"
        lines.append(f"| {link} | {title} | {len(members)} | {core} | {' | '.join(cells)} |")
    total = all_expectations()
    lines.append(f"| | | {len(total)} | {sum(member.core for member in total)} |{' |' * len(columns)}")
    return "\n".join(lines)


def _counted(possible: Sequence[tuple[Value, ...]]) -> str:
    """Return "20 hold, 3 deviate, 2 hold or deviate"."""
    words = {Value.HOLDS: "hold", Value.DEVIATES: "deviate", Value.REFUSES: "refused"}
    numbers = Counter(" or ".join(words.get(value, value.value) for value in each) for each in possible)
    return ", ".join(f"{number} {word}" for word, number in numbers.most_common())


def _family(family: str, declared: Mapping[str, Declaration], verdicts: Recorded) -> str:
    stories = [_story(member, declared, verdicts) for member in _members(family)]
    return "\n\n".join([f"# {family}: {FAMILIES[family]}", _READ, *stories])


def _story(expectation: Expectation, declared: Mapping[str, Declaration], verdicts: Recorded) -> str:
    lines = [
        f"## {expectation.id}: {expectation.claim}",
        "",
        f"{'Core. ' if expectation.core else ''}{expectation.because}",
        "",
        f"Pipeline: {describe(expectation.pipeline)}.",
        "",
        "| step | script | demanded |",
        "|--:|---|---|",
    ]
    for number, step in enumerate(expectation.timeline):
        demands = dict.fromkeys(_demanded(outcome[number]) for outcome in expectation.demand)
        lines.append(f"| {number + 1} | {_code(print_step(step))} | {' or '.join(demands)} |")
    lines += ["", "```text", draw(expectation), "```", ""]
    lines += answers(expectation, declared, verdicts)
    return "\n".join(lines)


def answers(expectation: Expectation, declared: Mapping[str, Declaration], verdicts: Recorded) -> Iterator[str]:
    """Yield recorded verdicts, then the predictions for engines without a recorded verdict of this script."""
    seen = {name: cell for name in verdicts.cells if (cell := verdicts.verdict(name, expectation))}
    if seen:
        yield from (f"Recorded ([verdicts.json](../verdicts.json), {verdicts.date}):", "")
        texts = {}
        for name, cell in seen.items():
            engine, variant = registry.get(name)
            ran = "not run, " if Value(cell.value) in _NOT_RUN else "played, "
            texts[name] = ran + _said(cell.value, cell.reason, recipe(expectation, engine.declaration(variant)))
        yield from _grouped(texts)
    unseen = {name: foretell(expectation, declaration) for name, declaration in declared.items() if name not in seen}
    if unseen:
        yield from (*([""] if seen else []), "Predicted from declarations, not played:", "")
        yield from _grouped(
            {
                name: "predicted " + _said(" or ".join(value.value for value in each.values), each.reason, each.recipe)
                for name, each in unseen.items()
            }
        )


def _said(verdict: str, reason: str, recipe: str) -> str:
    return f"{verdict}{f' ({reason})' if reason else ''}{f'. A recipe: {recipe}' if recipe else ''}"


def _grouped(texts: Mapping[str, str]) -> Iterator[str]:
    """Yield a list item for each text, with the engines of which it is true."""
    for text in dict.fromkeys(texts.values()):
        yield f"- {', '.join(name for name, own in texts.items() if own == text)}: {text}"


def _demanded(demand: Demand) -> str:
    figures = [f"{name}:{print_figure(name, figure)}" for name, figure in demand.figures.items()]
    return " ".join(_code(text) for text in [*map(print_row, demand.rows), *figures]) or "nothing"


def _code(text: str) -> str:
    """Return text as code in a table; a bar would end the cell, a line break the row."""
    return f"`{text}`".replace("|", "\\|").replace("\n", " ")


def _members(family: str) -> list[Expectation]:
    return [expectation for expectation in all_expectations() if expectation.family == family]


if __name__ == "__main__":
    sys.exit(main())
