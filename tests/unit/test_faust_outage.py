"""A broker that is away: few attempts, few lines, and requests that are made again; other errors are as ever."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    KafkaConnectionError,
    KafkaTimeoutError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.sender import Sender
from aiokafka.producer.transaction_manager import TransactionManager
from faust.tables.recovery import Recovery

from engines.faust import outage
from engines.faust.outage import LONGEST_BACKOFF_S, OUTAGE, SAID_EVERY_S, Outage, patiently

UNKNOWN = UnknownTopicOrPartitionError()


class Hours:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hours:
    made = Hours()
    monkeypatch.setattr(time, "monotonic", made)
    return made


def line(text: str, *arguments: object, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord("aiokafka", level, "", 0, text, arguments, None)


def test_an_outage_is_logged_once_a_minute_and_when_it_ends(clock: Hours, caplog: pytest.LogCaptureFixture) -> None:
    outage, attempts, end = Outage(), 0, clock.now + 90
    while clock.now < end:
        attempts += 1
        clock.now += 0.001 + outage.failed(1)
    assert attempts < 90 / LONGEST_BACKOFF_S + 20
    outage.answered(1)
    outage.answered(1)
    assert [record.getMessage() for record in caplog.records] == [
        "Broker 1 is unreachable, 0 s so far (). Work waits for it.",
        "Broker 1 is unreachable, 60 s so far (). Work waits for it.",
        "Broker 1 answers again, after 90 s.",
    ]


def test_the_first_attempts_follow_at_once(clock: Hours) -> None:
    outage, began = Outage(), clock.now
    for _ in range(8):
        clock.now += 0.001 + outage.failed(1)
    assert clock.now - began < 0.1, "a broker that only restarts a listener costs no time"


def test_only_what_repeats_the_outage_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage()
    unready = line("Failed fetch messages from %s: %s", 1, NodeNotReadyError())
    assert outage.filter(unready), "no broker is away"
    assert not outage.filter(line("Unable connect to node with id %s: %s", 1, OSError("refused")))
    outage.failed(1)
    assert "(refused)" in caplog.text
    assert not outage.filter(unready)
    assert not outage.filter(line("Unable to update metadata from %s", [1]))
    assert outage.filter(line("Failed fetch messages from %s: %s", 1, TopicAuthorizationFailedError()))
    assert outage.filter(line("Marking the coordinator dead (node %s)for group %s.", 1, "g"))
    outage.answered(1)
    assert outage.filter(unready)


class Asked:
    """A request, and what becomes of it each time: an error, or an answer."""

    def __init__(self, *comes: object) -> None:
        self.comes = iter(comes)
        self.times = 0

    async def __call__(self, *_: object, **__: object) -> object:
        self.times += 1
        come = next(self.comes)
        if isinstance(come, Exception):
            raise come
        return come


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Install what waits for a broker, without waiting; at the end aiokafka is as it was."""
    for owner, name in (
        (AIOKafkaClient, "_get_conn"),
        (AIOKafkaClient, "bootstrap"),
        (AIOKafkaClient, "coordinator_lookup"),
        (AIOKafkaClient, "_wait_on_metadata"),
        (GroupCoordinator, "_perform_assignment"),
        (MessageBatch, "expired"),
        (Recovery, "_wait"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(outage, "ASK_AGAIN_S", 0)
    monkeypatch.setattr(OUTAGE, "failed_at", -math.inf)
    outage.install()
    yield monkeypatch
    OUTAGE._since.clear()
    OUTAGE._said.clear()


@pytest.mark.parametrize(
    "error", [KafkaConnectionError(), NodeNotReadyError(), CoordinatorLoadInProgressError(), KafkaTimeoutError()]
)
@pytest.mark.usefixtures("away")
async def test_a_request_without_an_answer_is_made_again(error: Exception) -> None:
    asked = Asked(error, error, "answer")
    assert await patiently(asked) == "answer"
    assert asked.times == 3


@pytest.mark.usefixtures("away")
async def test_a_refusal_is_an_answer() -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        await patiently(Asked(TopicAuthorizationFailedError(), "answer"))


async def test_a_topic_that_stays_unknown_is_told_unless_the_broker_was_away(away: pytest.MonkeyPatch) -> None:
    class DuringAnOutage(Asked):
        async def __call__(self, *_: object, **__: object) -> object:
            if not self.times:
                OUTAGE.failed(1)
            return await super().__call__()

    client: Any = None
    for asked in (Asked(UNKNOWN, "known"), DuringAnOutage(UNKNOWN, UNKNOWN, "known")):
        away.setattr(outage, "_await_topic", asked)
        with pytest.raises(UnknownTopicOrPartitionError):
            await AIOKafkaClient._wait_on_metadata(client, "t")
    away.setattr(outage, "_await_topic", DuringAnOutage(UNKNOWN, "known"))
    assert await AIOKafkaClient._wait_on_metadata(client, "t") == "known"


@pytest.mark.usefixtures("away")
async def test_a_request_that_stays_without_an_answer_is_told(clock: Hours, caplog: pytest.LogCaptureFixture) -> None:
    class Slow(Asked):
        async def __call__(self, *_: object, **__: object) -> object:
            clock.now += SAID_EVERY_S / 2
            return await super().__call__()

    await patiently(Slow(*[NodeNotReadyError()] * 3, "answer"))
    assert [record.getMessage() for record in caplog.records] == [
        "A request has no answer yet, 60 s so far, and is made again: NodeNotReadyError()"
    ]


class Client:
    """A client of which a test says what its requests come to."""

    hosts = (("127.0.0.1", 9092, None),)

    def __init__(self, **methods: Asked) -> None:
        self.cluster = ClusterMetadata()
        self._conns: dict[Any, Any] = {}
        vars(self).update(methods)


@pytest.mark.usefixtures("away")
async def test_a_producer_outlives_a_broken_search_for_its_coordinator() -> None:
    """aiokafka takes a connection that breaks in the middle of it for fatal."""
    send = Asked(KafkaConnectionError(), SimpleNamespace(error_code=0, coordinator_id=1))
    client: Any = Client(send=send, force_metadata_update=Asked(False), ready=Asked(True))
    client.get_random_node = lambda: 1
    client.coordinator_lookup = AIOKafkaClient.coordinator_lookup.__get__(client)
    sender = Sender(
        client, acks=-1, txn_manager=TransactionManager("t", 1), message_accumulator=None, retry_backoff_ms=0,
        request_timeout_ms=1,
    )  # fmt: skip
    assert await sender._find_coordinator(CoordinationType.TRANSACTION, "t") == 1
    assert send.times == 2


async def test_the_first_connection_is_waited_for_until_brokers_are_known(away: pytest.MonkeyPatch) -> None:
    """A broker that has just started may name no broker, not even itself."""
    closed = []

    class Starting(Asked):
        async def __call__(self, client: Any, *_: object, **__: object) -> object:  # type: ignore[override]
            await super().__call__()
            if self.times == 2:
                client._conns["bootstrap", 0] = SimpleNamespace(close=lambda: closed.append(1))
            if self.times == 3:
                client.cluster._brokers = {1: "broker"}
            return None

    bootstrap = Starting(KafkaConnectionError(), None, None)
    away.setattr(outage, "_bootstrap", bootstrap)
    away.setattr(outage, "LONGEST_BACKOFF_S", 0)
    client = Client()
    await AIOKafkaClient.bootstrap(client)
    assert bootstrap.times == 3
    assert closed == [1]
    assert not OUTAGE.lasts


async def test_partitions_are_shared_out_once_they_are_known(away: pytest.MonkeyPatch) -> None:
    client: Any = Client(force_metadata_update=Asked(False, True))
    coordinator = SimpleNamespace(_client=client, _subscription=SimpleNamespace(topics={"in"}))
    away.setattr(outage, "_assign", Asked("shared"))
    assert await outage._perform_assignment(coordinator, None) == "shared"
    assert client.force_metadata_update.times == 2
    client.cluster._partitions = {"in": {}}
    away.setattr(outage, "_assign", Asked("shared"))
    assert await outage._perform_assignment(coordinator, None) == "shared"
    assert client.force_metadata_update.times == 2


@pytest.mark.usefixtures("away")
async def test_a_batch_does_not_grow_old_during_an_outage(clock: Hours) -> None:
    batch = MessageBatch(TopicPartition("t", 0), None, 40, 0)
    clock.now += 60
    OUTAGE.failed(1)
    assert not batch.expired()
    clock.now += 41
    assert batch.expired()


@pytest.mark.usefixtures("away")
async def test_faust_waits_for_what_is_committed_as_long_as_it_takes() -> None:
    """Behind its limit Faust would take itself for stopped."""
    recovery = faust.App("outage", broker="kafka://127.0.0.1:1", web_enabled=False).tables.recovery
    waited = asyncio.Event()

    async def committed() -> None:
        await asyncio.sleep(0.02)
        waited.set()

    await recovery._wait(committed(), timeout=0.001)
    assert waited.is_set()
