"""A writer that the broker refuses: its work is another's by now, or its transaction has expired."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError, ProducerFenced, UnknownError

from engines.faust.writer import Transactions, _told


async def test_what_is_refused_while_it_ends_was_lost_before() -> None:
    """A request may be on its way while another one was refused; the task is lost already, and the worker goes on."""
    writer = Transactions("127.0.0.1:1", "task", "group")

    async def sending() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ProducerFenced from None

    sender = writer._producer._sender
    sender._sender_task = asyncio.create_task(sending())
    await asyncio.sleep(0)
    await writer.stop()
    assert isinstance(sender.sender_task.exception(), ProducerFenced)


@pytest.mark.parametrize(
    ("refusal", "is_lost"), [(ProducerFenced, True), (UnknownError, True), (MessageSizeTooLargeError, False)]
)
async def test_a_refusal_that_ended_the_sender_tells_whether_the_task_is_lost(
    refusal: type[KafkaError], is_lost: bool
) -> None:
    """aiokafka's sender ends with an error of its own, whose cause is the broker's."""
    writer = Transactions("127.0.0.1:1", "task", "group")

    async def sending() -> None:
        raise KafkaError("Unexpected error during batch delivery") from refusal()

    writer._producer._sender._sender_task = sender = asyncio.create_task(sending())
    await asyncio.wait([sender])
    assert writer.fenced(KafkaError()) is is_lost
    await writer.stop()


@pytest.mark.parametrize(("error", "logged"), [(ProducerFenced(), False), (KafkaConnectionError(), True)])
async def test_a_refusal_is_logged_once(caplog: pytest.LogCaptureFixture, error: Exception, logged: bool) -> None:
    """It ends all batches and the transaction; the task waits for one of them."""
    caplog.handler.addFilter(_told)
    future = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    del future
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * logged
