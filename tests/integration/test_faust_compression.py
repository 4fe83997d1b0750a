"""Compressed input on a real broker: the Faust engine reads every codec that Kafka's producers write."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer

from engines.broker.log import KafkaLog
from engines.contract import Job, RunDirs, Settings, Status
from engines.faust.engine import ENGINE
from engines.wire import encode_event, row_decoder
from semantics.pipeline import Aggregate, Emit, Source
from semantics.rows import ValueRow
from semantics.timeline import Event

pytestmark = pytest.mark.integration

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
COUNT = Aggregate(Source(), emit=Emit.UPDATE)
RECORDS = 500
"""A batch that is smaller when compressed: librdkafka sends others as they are."""


def write(broker: str, topic: str, codec: str) -> None:
    """Write one batch of events whose key is the codec's name."""
    producer = Producer({"bootstrap.servers": broker, "compression.type": codec, "linger.ms": 60_000})
    for number in range(RECORDS):
        message = encode_event(Event(codec, number))
        producer.produce(topic, message.value, message.key, partition=0)
    assert producer.flush(30) == 0


async def test_input_of_every_codec_is_read(broker: str, tmp_path: Path) -> None:
    job = Job("codecs", COUNT, {"in": "codecs-in"}, "codecs-out", "codecs-dead", 1)
    dirs = RunDirs(logs=tmp_path / "logs", durable=tmp_path / "durable", state=tmp_path / "state")
    for path in (dirs.logs, dirs.durable, dirs.state):
        path.mkdir()
    with KafkaLog(broker) as log:
        log.create({"codecs-in": 1, "codecs-out": 1, "codecs-dead": 1})
        for codec in CODECS:
            write(broker, "codecs-in", codec)
        async with await ENGINE.deploy([job], log=log, dirs=dirs, settings=Settings()) as deployment:
            asked = {job.name: {("codecs-in", 0): len(CODECS) * RECORDS}}
            [answer] = (await deployment.settle(asked, within=timedelta(seconds=30))).values()
            assert answer.status is Status.SETTLED, answer.detail
            [rows] = log.read({place: (0, end) for place, end in answer.ends.items()}).values()
    last = {row.key: row for row in (row_decoder(COUNT)(message.value or b"") for message in rows)}
    assert last == {codec: ValueRow(codec, (("n", RECORDS),)) for codec in CODECS}
