"""The end of a writer whose work is another's by now."""

from __future__ import annotations

import asyncio

from aiokafka.errors import ProducerFenced

from engines.faust.writer import Transactions


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
