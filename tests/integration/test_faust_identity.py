"""Topics that are not what they were: deleted and created again, grown, on another cluster, written by a stranger."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka.admin import NewPartitions  # type: ignore[attr-defined]

from engines.broker.kraft import Broker
from engines.broker.log import KafkaLog
from engines.contract import Message
from engines.process import Child
from tests.integration.faust_program import Running

pytestmark = pytest.mark.integration


def stop(worker: Child) -> None:
    assert worker.stop(within=timedelta(seconds=10)).clean


def processed(running: Running) -> Child:
    """Return a worker that has counted a to 2 and b to 1."""
    worker = running.start()
    running.send("aba")
    running.await_counts(a=2, b=1)
    return worker


def test_an_input_that_was_made_anew_is_refused(running: Running) -> None:
    stop(processed(running))
    running.replace_topic(f"{running.name}-in")
    running.send("aaaaaaaa")
    for _ in range(2):
        running.refused(f"Topic {running.name}-in was deleted and created again")
    assert running.counts() == {"a": [1, 2], "b": [1]}


def test_a_repartition_topic_that_was_made_anew_is_refused(running: Running) -> None:
    stop(processed(running))
    [deleted] = running.admin.delete_topics([running.repartition]).values()
    deleted.result(timeout=30)
    running.send("a")
    running.refused(f"Topic {running.repartition} was deleted and created again")


def test_an_input_that_is_made_anew_while_it_is_read_ends_the_worker(running: Running) -> None:
    worker = processed(running)
    running.replace_topic(f"{running.name}-in")
    running.send("a")
    running.ended(worker, f"Topic {running.name}-in was deleted and created again")
    assert running.counts()["a"][:2] == [1, 2]
    running.refused(f"Topic {running.name}-in was deleted and created again")


def test_partitions_that_are_added_while_a_worker_runs_end_it(running: Running) -> None:
    worker = processed(running)
    [grown] = running.admin.create_partitions([NewPartitions(f"{running.name}-in", 3)]).values()
    grown.result(timeout=30)
    running.ended(worker, f"Topic {running.name}-in has 3 partitions; the job was told 2")
    running.refused(f"Topic {running.name}-in has 3 partitions; the job was told 2")


def test_state_of_another_kafka_is_read_anew(running: Running, tmp_path: Path) -> None:
    stop(processed(running))
    with Broker(logs=tmp_path / "other") as other, KafkaLog(other.bootstrap) as log:
        elsewhere = Running(other.bootstrap, log, tmp_path)
        worker = elsewhere.start()
        elsewhere.send("abb")
        elsewhere.await_counts(a=1, b=2)
        stop(worker)
        assert elsewhere.counts() == {"a": [1], "b": [1, 2]}
        assert "it is another topic" in worker.log.read_text()


def test_a_strangers_record_on_a_changelog_is_named(running: Running) -> None:
    stop(processed(running))
    place = running.changelog, 0
    end = running.log.append({place: [Message(b"a stranger", b"{}")]})[place]
    shutil.rmtree(running.folder / "state")
    for _ in range(2):
        running.refused(f"{running.changelog}/0 has a record at offset {end - 1} that this job did not write")
