"""What each sink promises, under kills: the transactional one repeats nothing anywhere, the folklore after a commit.

And what the other variant, with the settings that Spark comes with, refuses.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from engines import registry
from engines.broker.log import KafkaLog
from engines.journal import Journal
from engines.player import Player
from engines.spark.gate import Gate
from engines.spark.sinks import TransactionalSink
from semantics.catalogue import find
from semantics.history import Struck
from semantics.timeline import Crash
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
    for each in expectations:
        if any(isinstance(step, Crash) for step in each.timeline):
            struck = [entry for entry in histories[each.id].entries if isinstance(entry, Struck)]
            assert struck, f"{each.id}: no process was killed"
    declared = player.declaration
    refusals = {each.id: declared.can(each.pipeline, each.timeline).error for each in expectations}
    return {e.id: judge(e, declared.rules, histories[e.id], refusal=refusals[e.id]) for e in expectations}


class Frame:
    """What `foreachBatch` hands over: rows, and a way to the query's id."""

    def __init__(self, lineage: str, *values: str) -> None:
        self.lineage, self.values = lineage, values
        self.sparkSession = self.sparkContext = self

    def getLocalProperty(self, _: str) -> str:  # noqa: N802 - Spark's own word
        return self.lineage

    def collect(self) -> list[tuple[str, str]]:
        return [("k", value) for value in self.values]


def test_a_successor_reads_the_token_back_and_fences_the_one_before(broker: str) -> None:
    with KafkaLog(broker) as log:
        log.create({"fence-out": 1})

        def seen() -> list[bytes | None]:
            end = log.ends([("fence-out", 0)], committed=False)
            read = log.read({place: (0, at) for place, at in end.items()})
            return [message.value for messages in read.values() for message in messages]

        first, second, stranger = (TransactionalSink(Gate(), "fence", broker, "fence-out") for _ in range(3))
        first(Frame("query", "0"), 0)
        second(Frame("query", "0 again"), 0)
        assert seen() == [b"0"], "the token was written with the batch, and read back"
        second(Frame("query", "1"), 1)
        with pytest.raises(KafkaException) as fenced:
            first(Frame("query", "1 by a zombie"), 1)
        assert fenced.value.args[0].code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH)
        stranger(Frame("another query", "2"), 0)
        assert seen() == [b"0", b"1", b"2"], "a query that begins anew has no token"


@pytest.mark.extra
async def test_a_token_in_the_transaction_is_exactly_once(broker: str, tmp_path: Path) -> None:
    # EO-09: killed with half of a transaction written; 10: with it committed, and Spark does not know.
    seen = await verdicts(broker, tmp_path, "txn-sink", "EO-09", "EO-10")
    assert {verdict.value for verdict in seen.values()} == {Value.HOLDS}, seen


@pytest.mark.extra
async def test_a_transactional_id_a_batch_repeats_what_was_committed(broker: str, tmp_path: Path) -> None:
    # EO-03: killed before its transaction was committed, so that nobody has seen any of it.
    seen = await verdicts(broker, tmp_path, "folklore", "EO-03", "EO-10")
    assert seen["EO-03"].value is Value.HOLDS, seen
    assert (seen["EO-10"].value, seen["EO-10"].rules) == (Value.DEVIATES, (("sink",),)), seen


@pytest.mark.extra
async def test_with_the_store_that_spark_comes_with_a_recipe_is_refused_and_its_neighbour_goes_on(
    broker: str, tmp_path: Path
) -> None:
    seen = await verdicts(broker, tmp_path, "shipped", "CDC-01", "TW-02")
    assert {id: verdict.value for id, verdict in seen.items()} == {"CDC-01": Value.REFUSES, "TW-02": Value.HOLDS}, seen
    assert not any(verdict.again for verdict in seen.values()), "they share a deployment, and it lives"
