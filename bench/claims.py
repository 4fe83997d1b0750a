"""docs/claims.md: common claims on streaming engines, and the finding on each.

A claim names what decides it, an expectation or a probe. Whether it is right follows from recorded verdicts
(`bench/recorded.py`) and recorded answers (`engines/probing.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, assert_never

from bench.recorded import Recorded
from engines.probing import Answer, in_words
from semantics.catalogue import find
from semantics.verdict import Value


class Finding(Enum):
    """What a record says of a claim."""

    WRONG = "wrong"
    RIGHT = "right"
    PARTLY = "partly"
    """Right in some of what was asked, wrong in the rest."""
    UNDECIDED = "undecided"
    """Nothing here decides it: not played, not supported, or played with another script."""


@dataclass(frozen=True, slots=True)
class Played:
    """An expectation on an engine. The claim is wrong if the verdict is `wrong_if`, and right if it is the opposite."""

    engine: str
    id: str
    wrong_if: Value = Value.HOLDS
    rule: str = ""
    """With DEVIATES: the rule that must explain it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A probe. The claim is wrong if the answer is `wrong_if`, and right if it is the opposite."""

    engine: str
    id: str
    wrong_if: bool


Evidence: TypeAlias = Played | Asked


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim. `where`: what kind of text says it."""

    id: str
    says: str
    where: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Records:
    """What was recorded: verdicts of runs, and answers of probes by engine."""

    verdicts: Recorded
    answers: Mapping[str, Mapping[str, Answer]]

    def weigh(self, evidence: Evidence) -> tuple[Finding, str]:
        """Return what one piece of evidence says of its claim, and what was seen."""
        match evidence:
            case Played():
                return self._played(evidence)
            case Asked(engine, id, wrong_if=wrong_if):
                answer = self.answers.get(engine, {}).get(id)
                if answer is None:
                    return Finding.UNDECIDED, "not recorded"
                return (Finding.WRONG if answer.yes is wrong_if else Finding.RIGHT), in_words(answer)
            case _:
                assert_never(evidence)

    def _played(self, evidence: Played) -> tuple[Finding, str]:
        cell = self.verdicts.verdict(evidence.engine, find(evidence.id))
        if cell is None:
            return Finding.UNDECIDED, "not recorded with this script"
        value = Value(cell.value)
        if value not in _OPPOSITE:
            return Finding.UNDECIDED, value.value
        if value is not evidence.wrong_if:
            return Finding.RIGHT, value.value
        if evidence.rule not in cell.reason:
            return Finding.UNDECIDED, f"{value.value}, but by {cell.reason}"
        return Finding.WRONG, value.value if value is Value.HOLDS else f"{value.value}: {cell.reason}"


_OPPOSITE = (Value.HOLDS, Value.DEVIATES)
"""Verdicts that decide anything: what is unsupported was not played, and what fails is no evidence."""

_INTRO = """\
What is commonly said of streaming engines, in our words, and what was found here. Nobody typed the findings in: each
follows from a recorded verdict of the catalogue or a recorded answer of a probe ([what Spark runs](spark-support.md)),
and changes with them. *Wrong* and *right* are of the claim, on that engine, in what the evidence asks; *undecided*
means that nothing recorded here tells.

Verdicts of {date}, recorded at {commits}; probes with {versions}. No finding rests on a prediction.

{counts}"""


def claims_page(claims: Mapping[str, Sequence[Claim]], records: Records, versions: str) -> str:
    """Return the page. `claims`: topic -> its claims; `versions`: with which the probes were recorded."""
    tables = [f"## {topic}\n\n{_table(members, records)}" for topic, members in claims.items()]
    every = [finding for members in claims.values() for c in members for finding, _ in _by_engine(c, records).values()]
    counts = ", ".join(f"{number} {finding.value}" for finding, number in Counter(every).most_common())
    about = records.verdicts
    intro = _INTRO.format(
        date=about.date,
        commits=f"commit{'s' if len(about.commits) > 1 else ''} {', '.join(about.commits)}",
        versions=versions,
        counts=f"{sum(map(len, claims.values()))} claims; on the engines that they are about: {counts}.",
    )
    return "\n\n".join(["# Commonly said", intro, *tables])


def _table(claims: Sequence[Claim], records: Records) -> str:
    lines = ["| | claim | said in | found |", "|---|---|---|---|"]
    for claim in claims:
        found = [
            f"**{engine}: {finding.value}.** {'; '.join(seen)}"
            for engine, (finding, seen) in _by_engine(claim, records).items()
        ]
        lines.append(f"| {claim.id} | {claim.says} | {claim.where} | {'<br>'.join(found)} |")
    return "\n".join(lines)


def _by_engine(claim: Claim, records: Records) -> dict[str, tuple[Finding, list[str]]]:
    """Return the finding on each engine, and what was seen, evidence by evidence."""
    engines = dict.fromkeys(evidence.engine for evidence in claim.evidence)
    found = {}
    for engine in engines:
        weighed = [(e, *records.weigh(e)) for e in claim.evidence if e.engine == engine]
        seen = [f"{_named(e)} {_plain(saw)}" for e, _, saw in weighed]
        found[engine] = (joined([finding for _, finding, _ in weighed]), seen)
    return found


def _named(evidence: Evidence) -> str:
    match evidence:
        case Played(id=id):
            return f"[{id}](expectations/{find(id).family.lower()}.md)"
        case Asked(id=id):
            return f"`{id}`"
        case _:
            assert_never(evidence)


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("<", "&lt;").replace("*", "\\*")


def joined(findings: Sequence[Finding]) -> Finding:
    """Return what several pieces of evidence say together: those that decide nothing do not count."""
    decided = set(findings) - {Finding.UNDECIDED}
    if not decided:
        return Finding.UNDECIDED
    return decided.pop() if len(decided) == 1 else Finding.PARTLY
