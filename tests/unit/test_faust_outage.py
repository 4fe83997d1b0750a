"""A broker that is away: few attempts, few lines; other errors are logged as ever."""

from __future__ import annotations

import logging
import time

import pytest
from aiokafka.errors import NodeNotReadyError, TopicAuthorizationFailedError

from engines.faust.outage import LONGEST_BACKOFF_S, Outage


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
