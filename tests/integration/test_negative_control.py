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
from semantics.history import Struck
from semantics.verdict import Value, judge

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("id", ["EO-01", "EO-03", "EO-06"])
async def test_at_least_once_repeats_under_the_same_kills(broker: str, tmp_path: Path, id: str) -> None:
    engine, variant = registry.require("faust:at-least-once")
    expectation = find(id)
    journal = Journal(tmp_path / "history.jsonl")
    with KafkaLog(broker) as log:
        player = Player(engine, variant, log, logs=tmp_path, journal=journal, prefix="control-")
        history = (await player.play([expectation]))[id]
    journal.close()
    verdict = judge(expectation, player.declaration.rules, history)
    assert [entry for entry in history.entries if isinstance(entry, Struck)], "no process was killed"
    assert (verdict.value, verdict.rules) == (Value.DEVIATES, (("sink",),)), verdict.reason
