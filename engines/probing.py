"""Support by probing: an engine is asked for every combination of a few dimensions, and what it says is recorded.

A probe is a question with yes or no for an answer: "do you run this?" (an operator in an output mode, with a watermark
or without), or a fact ("is this bounded?"). Beside the answers stands what the engine's own guide says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from engines.errors import CorruptRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question. Dimensions that an area does not have are empty; Facts have `operator` and `question` alone."""

    area: str
    operator: str
    form: str = ""
    """A join's time bound, a static join's sides, the query under a trigger."""
    watermark: str = ""
    mode: str = ""
    question: str = ""
    """Of a fact: the sentence to which yes or no is the answer."""

    @property
    def id(self) -> str:
        """Return "join/left_outer/range/right/append": the dimensions that are not empty."""
        return "/".join(
            part for part in (self.area, self.operator, self.form, self.watermark, self.mode) if part
        ).replace(" ", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the engine did. `yes`: it ran, or the question is answered so."""

    yes: bool
    when: str = ""
    """Of a refusal: `start`, or `run` where the query had been started."""
    error: str = ""
    """Of a refusal: the engine's own class of error."""
    saw: str = ""
    """Of a refusal: its first sentence. Of a fact: what the answer rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a page of the engine's guide says, in our words, and of which probes."""

    id: str
    page: str
    section: str
    says: str
    yes: bool
    covers: Callable[[Probe], bool]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Answers as recorded: with which versions, and by probe id."""

    versions: dict[str, str]
    answers: dict[str, Answer]


class Prober(Protocol):
    """An engine that can be probed."""

    engine: str
    title: str
    how: str
    """With which source, sink and trigger it asks."""
    areas: Mapping[str, str]
    """Area -> its title, for those that are a matrix."""
    probes: Sequence[Probe]
    statements: Sequence[Statement]
    record: Path
    """Where the answers of the pinned version lie."""

    def versions(self) -> Mapping[str, str]: ...

    async def ask(self, probes: Sequence[Probe], logs: Path, say: Callable[[str], None]) -> Mapping[str, Answer]:
        """Play these probes; return the answers by id. Raises `EnvironmentNotReady`, `EngineFailed`, `Deadline`."""
        ...


def load(path: Path) -> Record:
    """Read the recorded answers. Raises `CorruptRun`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError) as error:
        raise CorruptRun(f"{path} cannot be read: {error}. Probe again, with --record.") from error


def save(path: Path, record: Record) -> None:
    """Write the answers, one a line, so that a new version's differences can be read."""
    lines = [f"  {_json(id)}: {_json(_brief(answer))}" for id, answer in sorted(record.answers.items())]
    head = f'{{"versions": {_json(record.versions)}, "answers": {{\n'
    path.write_text(head + ",\n".join(lines) + "\n}}\n")


def differences(probes: Sequence[Probe], before: Mapping[str, Answer], now: Mapping[str, Answer]) -> list[str]:
    """Return a sentence for each probe whose answer is not as recorded, or that was not recorded."""
    found = []
    for probe in probes:
        was, answer = before.get(probe.id), now[probe.id]
        if was is None:
            found.append(f"{probe.id}: not recorded; now {in_words(answer)}")
        elif (was.yes, was.error, was.when) != (answer.yes, answer.error, answer.when):
            found.append(f"{probe.id}: recorded as {in_words(was)}; now {in_words(answer)}")
    return found


def in_words(answer: Answer) -> str:
    """Return an answer in one line."""
    if answer.yes:
        return f"yes: {answer.saw}" if answer.saw else "yes"
    return ": ".join(part for part in ("no", answer.error, answer.saw) if part)


def contradicted(statement: Statement, probes: Sequence[Probe], answers: Mapping[str, Answer]) -> list[Probe]:
    """Return the probes of which the guide says one thing and the engine does the other."""
    return [p for p in probes if p.id in answers and statement.covers(p) and answers[p.id].yes is not statement.yes]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _brief(answer: Answer) -> dict[str, object]:
    whole: dict[str, object] = msgspec.to_builtins(answer)
    return {name: value for name, value in whole.items() if name == "yes" or value}
