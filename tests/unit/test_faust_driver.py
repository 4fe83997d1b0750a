"""When the fetcher lets records gather: at the end of the log, and never while more is known to lie there."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import consumer, fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment

from engines.faust import driver


@pytest.mark.parametrize(
    ("offsets", "behind"),
    [((5, 7), False), ((4, 7), True), ((5, 6), True), ((5,), False), ((0,), True)],
)
async def test_it_is_behind_where_more_was_there_than_it_asks_from(offsets: tuple[int, ...], behind: bool) -> None:
    places = [TopicPartition("t", partition) for partition in (0, 1)]
    assignment = Assignment(places)
    for place, highwater in zip(places, (5, 7), strict=True):
        assignment.state_value(place).highwater = highwater
    request = SimpleNamespace(topics=[("t", [(number, offset, 1) for number, offset in enumerate(offsets)])])
    gathering = object.__new__(driver._Gathering)
    assert gathering._behind(assignment, request) is behind


async def test_a_partition_never_fetched_before_is_not_known_to_have_more() -> None:
    assignment = Assignment([TopicPartition("t", 0)])
    gathering = object.__new__(driver._Gathering)
    assert not gathering._behind(assignment, SimpleNamespace(topics=[("t", [(0, 0, 1)])]))


def test_the_consumer_gathers_once_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in (
        (consumer, "Fetcher"),
        (fetcher, "PartitionRecords"),
        (fetcher, "FetchResult"),
        (GroupCoordinator, "_push_error_to_user"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    driver.install()
    assert consumer.Fetcher is driver._Gathering


class _Draining(driver.Consumer):
    """Has fetched something once, while the flow stands still."""

    should_stop, flow_active = False, False

    def __init__(self, client: AIOKafkaConsumer) -> None:
        self.perform_seek = client.seek_to_committed
        self.app = SimpleNamespace(deliver=None, consumer_generation_id=1)
        self.fetcher = SimpleNamespace(should_stop=False)

    async def _wait_next_records(self, _: float) -> tuple[dict[TopicPartition, driver.Chunk], None]:
        self.fetcher.should_stop = True
        return {}, None


async def test_an_assignment_that_ends_while_it_is_sought_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = TopicPartition("t", 0), TopicPartition("t", 1)
    client = AIOKafkaConsumer("t", group_id="g")
    client._fetcher = SimpleNamespace(seek_to=client._subscription.seek)
    draining = _Draining(client)
    await draining._drain_messages(draining.fetcher)
    assert client.assignment() == set(), "nothing was assigned yet"
    client._subscription.assign_from_subscribed({ours})

    async def committed(_: TopicPartition) -> int:
        client._subscription.assign_from_subscribed({theirs})
        return 5

    monkeypatch.setattr(client, "committed", committed)
    draining = _Draining(client)
    await draining._drain_messages(draining.fetcher)
    assert client.assignment() == {theirs}
    client._closed = True


@pytest.mark.parametrize("stopped", [True, False])
async def test_a_fetcher_that_is_stopped_ends_without_an_error(stopped: bool) -> None:
    class Waiting(_Draining):
        async def _wait_next_records(self, _: float) -> tuple[dict[TopicPartition, driver.Chunk], None]:
            self.fetcher.should_stop = stopped
            raise asyncio.CancelledError

    client = AIOKafkaConsumer("t", group_id="g")
    draining = Waiting(client)
    with contextlib.nullcontext() if stopped else pytest.raises(asyncio.CancelledError):
        await draining._drain_messages(draining.fetcher)
    client._closed = True
