"""`python -m bench explain SW-07 --engine spark`: one cell in words, all three answers, and the rules of its reason.

Without a run the verdict is *predicted* from the engine's declaration. Observations come from a recorded run only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.check import histories
from bench.foretold import foretell
from bench.runs import manifest
from bench.story import Scene, Story, tell
from bench.suite import judged
from bench.text import LONGEST_PROSE, plain
from bench.words import describe
from engines import registry
from engines.contract import Declaration
from engines.errors import CorruptRun
from semantics.catalogue import find
from semantics.errors import UnknownName
from semantics.expectation import Expectation
from semantics.history import History
from semantics.verdict import Value, Verdict, explain, undemanded


def main(id: str, name: str, *, run: Path | None, output: Path) -> int:
    """Print the cell; return the exit code. Raises `UnknownName`, `CorruptRun`."""
    expectation = find(id)
    engine, variant = registry.get(name)
    declaration = engine.declaration(variant)
    folder, history = (newest if run is None else from_run)(run or output, name, expectation)
    if history is None:
        says, verdict = foreseen(expectation, declaration)
    else:
        verdict = judged(expectation, name, declaration, history).verdict
        says = verdict.value.value
    for line in lines(tell(expectation, name, declaration, verdict, history), says):
        print(plain(line, LONGEST_PROSE))
    print()
    if folder is None:
        print(f"observed: no run in {output} holds this cell; the verdict is predicted from the declaration")
    else:
        print(plain(f"observed in {folder}", LONGEST_PROSE))
    return 0


def from_run(folder: Path, name: str, expectation: Expectation) -> tuple[Path, History]:
    """Return the cell's history from this run. Raises `UnknownName` if it does not hold it."""
    manifest(folder)
    for history in histories(folder):
        if (history.engine, history.expectation) == (name, expectation.id):
            return folder, history
    raise UnknownName(f"{folder} does not hold {expectation.id} on {name}; `check` lists what it holds.")


def newest(output: Path, name: str, expectation: Expectation) -> tuple[Path | None, History | None]:
    """Return the newest run below `output` that holds the cell, and its history; a corrupt run is passed over, aloud.

    Names of run folders begin with their time.
    """
    for folder in sorted((path.parent for path in output.glob("*/run.json")), reverse=True):
        try:
            return from_run(folder, name, expectation)
        except UnknownName:
            continue
        except CorruptRun as error:
            print(plain(f"passed over {folder.name}: {error}", LONGEST_PROSE), file=sys.stderr)
    return None, None


def foreseen(expectation: Expectation, declaration: Declaration) -> tuple[str, Verdict]:
    """Return the predicted verdict, in words and as a value. Nothing is played.

    If the script leaves several open, the verdict is the one that does not simply hold.
    """
    foretold = foretell(expectation, declaration)
    says = f"{' or '.join(value.value for value in foretold.values)} (predicted, not played)"
    found: tuple[tuple[str, ...], ...] = ()
    if undemanded(expectation, declaration.rules):
        found = explain(expectation, declaration.rules)
    elif foretold.values == (Value.HOLDS, Value.DEVIATES):
        # The prediction holds; what a kill repeats is beyond it.
        found = (("sink",),)
    value = foretold.values[-1]
    return says, Verdict(value=value, reason=foretold.reason, rules=found if value is Value.DEVIATES else ())


def lines(story: Story, says: str) -> Iterator[str]:
    """Yield the story as text, with the verdict in words."""
    expectation = story.expectation
    yield f"{expectation.id} on {story.title} ({story.engine}): {says}"
    yield f"  claim  {expectation.claim}"
    yield f"  job    {describe(expectation.pipeline)}"
    yield ""
    for number, scene in enumerate(story.scenes, 1):
        yield f"{'=>' if scene.wrong else '  '} step {number}: {scene.text}"
        yield from (f"     {answer:<10} {text}" for answer, text in answers(scene))
    if story.demands > 1:
        yield f"   The demand allows {story.demands} outcomes; the nearest one is shown."
    yield from (f"   {note}" for note in story.notes)
    yield ""
    yield from _why(story)
    yield "why it matters"
    yield f"  {expectation.because}"
    yield "repeat with"
    yield f"  {story.repeat}"


def answers(scene: Scene) -> Iterator[tuple[str, str]]:
    """Yield "demanded", "predicted" and, if there is one, "observed", each with its rows and figures."""
    demanded = _answer(scene, [row.demanded for row in scene.lines], [f.demanded for f in scene.figures])
    before = " ".join(row.text for row in scene.lines for _ in range(row.allowed))
    yield "demanded", f"{demanded} (before that, perhaps: {before})" if before else demanded
    predicted = _answer(scene, [row.predicted for row in scene.lines], [f.predicted for f in scene.figures])
    yield "predicted", f"{predicted} (each at least once)" if scene.repeats else predicted
    if scene.observed:
        counts = [row.observed or 0 for row in scene.lines]
        yield "observed", _answer(scene, counts, [figure.observed or "" for figure in scene.figures])


def _answer(scene: Scene, counts: Sequence[int], figures: Sequence[str]) -> str:
    rows = [line.text for line, count in zip(scene.lines, counts, strict=True) for _ in range(count)]
    named = [f"{figure.name}:{value}" for figure, value in zip(scene.figures, figures, strict=True)]
    return " ".join([*(rows or ["nothing"]), *named])


def _why(story: Story) -> Iterator[str]:
    if story.verdict.value is Value.HOLDS:
        return
    if story.reasons:
        yield "why it deviates" if story.played else "why it is predicted to deviate"
        yield "  The fewest rules whose return to the contract would give what is demanded:"
    else:
        yield story.verdict.value.value if story.played else f"predicted: {story.verdict.value.value}"
        yield from (f"  {line}" for line in story.verdict.reason.split("\n"))
    for number, found in enumerate(story.reasons):
        if number:
            yield "  or, which does so as well:"
        for reason in found:
            yield f"  {reason.rule} = {reason.value}; the contract: {reason.contract}"
            yield f"    decides  {reason.decides}"
            if reason.means:
                yield f"    means    {reason.means}"
            yield f"    source   {reason.source}"
            if reason.remedy:
                yield f"    way out  {reason.remedy}"
