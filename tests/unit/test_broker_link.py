"""A broker that is not there, or not one, is told at once and in plain words."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta

import pytest
from confluent_kafka import KafkaError

from engines.broker.kraft import ExternalBroker, free_ports
from engines.broker.link import Link
from engines.broker.log import BATCH_BYTES, KafkaLog
from engines.contract import Message
from engines.errors import BrokerRefused, BrokerUnavailable, Deadline
from semantics.errors import InvalidTimeline


@pytest.fixture
def mute() -> Iterator[str]:
    """Listen, and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_nobody_listens() -> None:
    (port,) = free_ports(1)
    with pytest.raises(BrokerUnavailable, match=f"No broker answers at 127.0.0.1:{port}"):
        ExternalBroker(f"127.0.0.1:{port}")


def test_one_of_several_addresses_is_enough(mute: str) -> None:
    (port,) = free_ports(1)
    Link(f"127.0.0.1:{port},{mute}").knock()


def test_someone_else_listens(mute: str) -> None:
    with pytest.raises(BrokerUnavailable, match=r"did not answer as a Kafka broker"):
        Link(mute).meet(timedelta(seconds=1.5))


@pytest.mark.parametrize("address", ["", "localhost", "localhost:", ":9092", "a b:1", "http://localhost:9092"])
def test_an_address_that_is_none_is_refused_with_the_form(address: str) -> None:
    with pytest.raises(BrokerUnavailable, match="write HOST:PORT"):
        ExternalBroker(address)


def test_waiting_ends_when_nobody_listens_any_more() -> None:
    (port,) = free_ports(1)
    slices = Link(f"127.0.0.1:{port}").slices(timedelta(days=1), "an answer")
    assert next(slices) > 0
    with pytest.raises(BrokerUnavailable):
        next(slices)


def test_waiting_ends_at_the_deadline_and_says_for_what(mute: str) -> None:
    never: Future[None] = Future()
    with pytest.raises(Deadline, match=r"Waited 0\.01 s for an answer at 127"):
        Link(mute).result(never, timedelta(milliseconds=10), "an answer")


def test_the_clients_errors_become_ours(mute: str) -> None:
    assert isinstance(Link(mute).refusal(KafkaError(KafkaError._TRANSPORT), "x"), BrokerUnavailable)
    no = Link(mute).refusal(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), "topic a")
    assert isinstance(no, BrokerRefused)
    assert "topic a" in str(no)


def test_whatever_the_client_says_a_closed_port_is_a_dead_broker() -> None:
    (port,) = free_ports(1)
    assert isinstance(Link(f"127.0.0.1:{port}").refusal(KafkaError(KafkaError._NOENT), "x"), BrokerUnavailable)


def test_a_step_that_would_be_cut_is_refused_before_anything_is_sent(mute: str) -> None:
    half = Message(None, b"x" * (BATCH_BYTES // 2))
    with KafkaLog(mute) as log, pytest.raises(InvalidTimeline, match="split the step"):
        log.append({("topic", 0): [half, half]})


def test_nothing_to_do_asks_nobody(mute: str) -> None:
    with KafkaLog(mute) as log:
        assert log.append({("topic", 0): []}) == {}
        assert log.ends([]) == {}
        assert log.read({("topic", 0): (5, 5)}) == {("topic", 0): []}


def test_ports_are_free_and_different() -> None:
    assert len(set(free_ports(20))) == 20
