"""The catalogue has teeth: each planted bug is caught, by expectations that are named here."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import registry
from engines.journal import Journal
from engines.memory import MemoryLog
from engines.player import Player
from semantics.catalogue import all_expectations
from semantics.rules import CONTRACT
from semantics.timeline import Crash
from semantics.verdict import Value, judge

CAUGHT_BY = {
    "watermark-falls": {"WM-01"},
    "end-inclusive": {"TW-01"},
    "late-by-event-time": {"WM-04"},
    "session-start-lost": {"SW-03"},
    "bridge-one-neighbour": {"SW-03"},
    "join-bound-exclusive": {"SSJ-01"},
    "null-beside-match": {"SSJ-05"},
    "lost-update": {"EO-13"},
}
PLAYABLE = [e for e in all_expectations() if not any(isinstance(step, Crash) for step in e.timeline)]


async def verdicts(variant: str, folder: Path) -> dict[str, Value]:
    engine, variant = registry.get(f"reference:{variant}" if variant else "reference")
    journal = Journal(folder / "history.jsonl")
    player = Player(engine, variant, MemoryLog(), logs=folder, journal=journal)
    histories = await player.play(PLAYABLE)
    journal.close()
    return {e.id: judge(e, CONTRACT, histories[e.id]).value for e in PLAYABLE}


async def test_the_sound_reference_holds_everywhere(tmp_path: Path) -> None:
    found = await verdicts("", tmp_path)
    assert set(found.values()) == {Value.HOLDS}


def test_every_planted_bug_is_named() -> None:
    assert {variant for variant in registry.get("reference")[0].variants if variant} == set(CAUGHT_BY)


@pytest.mark.parametrize("bug", CAUGHT_BY)
async def test_a_planted_bug_is_caught(bug: str, tmp_path: Path) -> None:
    found = await verdicts(bug, tmp_path)
    broken = {id for id, value in found.items() if value is Value.BROKEN}
    assert broken >= CAUGHT_BY[bug]
    assert set(found.values()) <= {Value.HOLDS, Value.BROKEN}
