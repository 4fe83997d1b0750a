"""`python -m bench check RUN`: judge a recorded run again, from its history alone; no engine, no broker, no Java.

The same history must give the same verdict. Whatever was altered, dropped or cut off since the run ended is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench import matrix, runs
from bench.suite import Result, judged, read_scripts, read_verdicts, script_of
from bench.text import LONGEST_PROSE, plain
from engines import journal, registry
from engines.errors import CorruptRun
from semantics.catalogue import find
from semantics.errors import UnknownName
from semantics.expectation import Expectation
from semantics.history import History, NotRun, Refused, Restarted, Scaled, Sent, Undecided
from semantics.pipeline import sources
from semantics.timeline import Crash, Flush, Restart, Scale, Send, Timeline, partitions
from semantics.verdict import Value, Verdict

HISTORY = "history.jsonl"
NOTHING = 3
"""The exit code of a check that found nothing to judge: not a pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of judging again."""

    results: Mapping[str, Mapping[str, Result]]
    """Engine -> expectation id -> its cell, judged now."""
    differences: tuple[str, ...]
    """Sentences: verdicts that are not as recorded, and files that are not as they were when the run ended."""
    seal_lacks: str = ""
    """What the seal of the run does not cover; empty if it covers all."""

    @property
    def exit_code(self) -> int:
        """1 if anything differs, or a cell fails."""
        fails = any(cell.verdict.value.fails for column in self.results.values() for cell in column.values())
        return 1 if fails or self.differences else 0


def main(folder: Path) -> int:
    """Print what judging again says; return the exit code. Raises `UnknownName` if there is no such run."""
    try:
        checked = check(folder)
    except CorruptRun as error:
        _say(f"corrupt run: {error}")
        return 1
    for name, column in checked.results.items():
        _say(f"{name}: {matrix.counts(cell.verdict for cell in column.values())}")
    if checked.seal_lacks:
        _say(f"{checked.seal_lacks}: what was altered there cannot be told")
    for line in checked.differences:
        _say(f"differs: {line}")
    cells = sum(map(len, checked.results.values()))
    if not cells and not checked.differences:
        print("No expectation was played in this run: there is nothing to judge.")
        return NOTHING
    print(f"{cells} cells judged again: " + ("not as recorded." if checked.differences else "the same verdicts."))
    return checked.exit_code


def _say(line: str) -> None:
    """Print a line that may hold text of the run folder."""
    print(plain(line, LONGEST_PROSE))


def check(folder: Path) -> Checked:
    """Judge every history of the run folder again, and compare. Raises `CorruptRun`, `UnknownName`."""
    about = runs.manifest(folder)
    differences, unjudged = runs.unsealed(folder, about), list[str]()
    recorded, played = read_verdicts(folder), read_scripts(folder)
    results: dict[str, dict[str, Result]] = {name: {} for name in recorded}
    met: set[tuple[str, str]] = set()
    for history in histories(folder):
        cell = history.engine, history.expectation
        met.add(cell)
        try:
            engine, variant = registry.get(history.engine)
            expectation = find(history.expectation)
        except UnknownName as error:
            differences.append(f"{' '.join(cell)} cannot be judged by this version: {error}")
            continue
        if reason := flaw(expectation, history, played.get(cell)):
            differences.append(f"{' '.join(cell)} cannot be judged: {reason}")
            continue
        result = judged(expectation, history.engine, engine.declaration(variant), history)
        results.setdefault(history.engine, {})[expectation.id] = result
        before = recorded.get(history.engine, {}).get(expectation.id)
        if before is None:
            unjudged.append(" ".join(cell))
        elif not _same(before, result.verdict):
            differences.append(f"{' '.join(cell)}: {_difference(before, result.verdict)}")
    if unjudged:
        ended = "it did not come to its end" if about["status"] != "complete" else "verdicts are missing"
        differences.append(f"{ended}: played, but never judged: {', '.join(unjudged)}")
    gone = [(name, id) for name, column in recorded.items() for id in column if (name, id) not in met]
    differences += [f"{name} {id}: a verdict was recorded, but its history is gone" for name, id in gone]
    return Checked(results=results, differences=tuple(differences), seal_lacks=runs.seal_lacks(about))


def histories(folder: Path) -> list[History]:
    """Return the histories of a run; none if no expectation was played. Raises `CorruptRun` with the line."""
    try:
        return journal.read(folder / HISTORY)
    except FileNotFoundError:
        return []


def flaw(expectation: Expectation, history: History, played: list[str] | None) -> str:
    """Return why a history cannot be judged by the catalogue of today; empty if it can.

    Its script must be the one that was `played` (None: the record does not tell), and what it sent be what that says.
    What else is missing, the judge misses himself.
    """
    if played not in (None, script_of(expectation)):
        return "the catalogue has another script now than the one that was played"
    steps = range(len(expectation.timeline))
    strays = [entry for entry in history.entries if getattr(entry, "step", 0) not in steps]
    if strays:
        return f"an entry is of a step that the script does not have: {strays[0]}"
    if any(isinstance(entry, NotRun | Refused | Undecided) for entry in history.entries):
        return ""
    found = {(type(entry), entry.step) for entry in history.entries if isinstance(entry, Restarted | Scaled)}
    for kind, step in _changes(expectation.timeline):
        if (kind, step) not in found:
            return f"step {step + 1} has no entry {kind.__name__!r}: lines of {HISTORY} are missing"
    appended: dict[int, int] = defaultdict(int)
    for entry in history.entries:
        if isinstance(entry, Sent):
            appended[entry.step] += entry.end - entry.first
    for step, count in _events(expectation):
        if appended[step] != count:
            return f"step {step + 1} sends {count} records, and {appended[step]} stand in {HISTORY}"
    return ""


def _changes(timeline: Timeline) -> Iterator[tuple[type[Restarted | Scaled], int]]:
    """Yield the steps in which processes start or go; a crash strikes while the step after it is processed."""
    for number, step in enumerate(timeline):
        match step:
            case Crash(takeover=others):
                yield Scaled if others else Restarted, number + 1
            case Restart():
                yield Restarted, number
            case Scale():
                yield Scaled, number


def _events(expectation: Expectation) -> Iterator[tuple[int, int]]:
    for number, step in enumerate(expectation.timeline):
        match step:
            case Send(events):
                yield number, len(events)
            case Flush():
                yield number, len(sources(expectation.pipeline)) * partitions(expectation.timeline)


def _same(before: Verdict, now: Verdict) -> bool:
    """Compare two verdicts. The reason of HOLDS is left out: the claim, and claims are reworded."""
    return before == (replace(now, reason=before.reason) if now.value is Value.HOLDS else now)


def _difference(before: Verdict, now: Verdict) -> str:
    return f"recorded as {before.value.value} ({before.reason}), judged {now.value.value.upper()} ({now.reason})"
