"""`python -m bench.pages`: the pages in docs/ that are written by the catalogue itself, so that they cannot be wrong.

A page for each family of expectations, one for the rules, one for the teeth, one for what probing an engine found, one
for what is commonly said. A test writes them again and compares.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import recorded
from bench.claimed import CLAIMS
from bench.claims import Records, claims_page
from bench.drawing import draw
from bench.foretold import Foretold, declarations, foretell
from bench.support import support_page
from bench.tables import rules_page, teeth_page
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

_FORETOLD = """\
What an engine is expected to do follows from the rules that it declares ([rules](../rules.md)); what it was seen to do
stands in the record of a run. [Teeth](../teeth.md) says which mistakes the catalogue catches."""


async def pages() -> dict[Path, str]:
    """Return every page's text by its path below docs/. Plays the catalogue on the reference for the teeth."""
    declared = dict(declarations())
    made = {Path("expectations") / f"{family.lower()}.md": _family(family, declared) for family in FAMILIES}
    made[Path("expectations") / "README.md"] = _index(declared)
    made[Path("rules.md")] = rules_page(declared)
    made[Path("teeth.md")] = await teeth_page()
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
    made = asyncio.run(pages())
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


def _index(declared: Mapping[str, Declaration]) -> str:
    lines = ["# Expectations", "", f"| family | | expectations | core | {' | '.join(declared)} |"]
    lines.append(f"|---|---|--:|--:|{'---|' * len(declared)}")
    for family, title in FAMILIES.items():
        members = _members(family)
        cells = [_counted([foretell(member, declaration) for member in members]) for declaration in declared.values()]
        core = sum(member.core for member in members)
        link = f"[{family}]({family.lower()}.md)"
        lines.append(f"| {link} | {title} | {len(members)} | {core} | {' | '.join(cells)} |")
    total = all_expectations()
    lines.append(f"| | | {len(total)} | {sum(member.core for member in total)} |{' |' * len(declared)}")
    return "\n".join([*lines, "", _FORETOLD])


def _counted(foretold: Sequence[Foretold]) -> str:
    """Return "20 hold, 3 deviate, 2 hold or deviate"."""
    words = {Value.HOLDS: "hold", Value.DEVIATES: "deviate", Value.REFUSES: "refused"}
    numbers = Counter(" or ".join(words.get(value, value.value) for value in each.values) for each in foretold)
    return ", ".join(f"{number} {word}" for word, number in numbers.most_common())


def _family(family: str, declared: Mapping[str, Declaration]) -> str:
    stories = [_story(member, declared) for member in _members(family)]
    return "\n\n".join([f"# {family}: {FAMILIES[family]}", _READ, *stories])


def _story(expectation: Expectation, declared: Mapping[str, Declaration]) -> str:
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
    lines += [_agrees(name, foretell(expectation, declaration)) for name, declaration in declared.items()]
    return "\n".join(lines)


def _agrees(engine: str, foretold: Foretold) -> str:
    values = " or ".join(value.value for value in foretold.values)
    reason = f" ({foretold.reason})" if foretold.reason else ""
    return f"- {engine}: {values}{reason}{f'. A recipe: {foretold.recipe}' if foretold.recipe else ''}"


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
