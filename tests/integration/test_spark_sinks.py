"""What each sink promises, under kills: the transactional one repeats nothing anywhere, the folklore after a commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import registry
from engines.broker.log import KafkaLog
from engines.journal import Journal
from engines.player import Player
from semantics.catalogue import find
from semantics.history import Struck
from semantics.verdict import Value, Verdict, judge

pytestmark = pytest.mark.integration


async def verdicts(broker: str, folder: Path, variant: str, *ids: str) -> dict[str, Verdict]:
    engine, _ = registry.require(f"spark:{variant}")
    journal = Journal(folder / "history.jsonl")
    expectations = [find(id) for id in ids]
    with KafkaLog(broker) as log:
        player = Player(engine, variant, log, logs=folder, journal=journal, prefix="sinks-")
        histories = await player.play(expectations)
    journal.close()
    for id, history in histories.items():
        assert [entry for entry in history.entries if isinstance(entry, Struck)], f"{id}: no process was killed"
    return {each.id: judge(each, player.declaration.rules, histories[each.id]) for each in expectations}


async def test_a_token_in_the_transaction_is_exactly_once(broker: str, tmp_path: Path) -> None:
    # EO-09: killed with half of a transaction written; 10: with it committed, and Spark does not know.
    seen = await verdicts(broker, tmp_path, "txn-sink", "EO-09", "EO-10")
    assert {verdict.value for verdict in seen.values()} == {Value.HOLDS}, seen


async def test_a_transactional_id_a_batch_repeats_what_was_committed(broker: str, tmp_path: Path) -> None:
    seen = await verdicts(broker, tmp_path, "folklore", "EO-10")
    assert (seen["EO-10"].value, seen["EO-10"].rules) == (Value.DEVIATES, (("sink",),)), seen
