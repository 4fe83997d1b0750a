"""The faults bite: under the kills that `faust` survives exactly, `faust:at-least-once` must repeat rows.

Without this the green cells of EO would say nothing: a kill that hits no open transaction proves nothing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import registry
from engines.broker.log import KafkaLog
from engines.journal import Journal
from engines.player import Player
from semantics.catalogue import find
from semantics.history import History, Struck
from semantics.verdict import Value, Verdict, judge

pytestmark = pytest.mark.integration


async def played(broker: str, folder: Path, id: str) -> tuple[Verdict, History]:
    """Play an expectation at least once."""
    engine, variant = registry.require("faust:at-least-once")
    expectation = find(id)
    journal = Journal(folder / "history.jsonl")
    with KafkaLog(broker) as log:
        player = Player(engine, variant, log, logs=folder, journal=journal, prefix="control-")
        history = (await player.play([expectation]))[id]
    journal.close()
    return judge(expectation, player.declaration.rules, history), history


@pytest.mark.parametrize("id", ["EO-01", "EO-03", "EO-06"])
async def test_at_least_once_repeats_under_the_same_kills(broker: str, tmp_path: Path, id: str) -> None:
    verdict, history = await played(broker, tmp_path, id)
    assert [entry for entry in history.entries if isinstance(entry, Struck)], "no process was killed"
    assert (verdict.value, verdict.rules) == (Value.DEVIATES, (("sink",),)), verdict.reason


async def test_without_a_kill_at_least_once_is_exact_behind_a_new_key(broker: str, tmp_path: Path) -> None:
    verdict, _ = await played(broker, tmp_path, "NK-01")
    assert verdict.value is Value.HOLDS, verdict.reason
