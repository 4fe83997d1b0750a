"""Garbage collection by hand, and what is left of it."""

from __future__ import annotations

import asyncio
import gc

from engines.faust import garbage


async def test_garbage_is_collected_by_hand_only_while_the_app_runs() -> None:
    ready = asyncio.Event()
    collecting = asyncio.create_task(garbage.collect(ready))
    await asyncio.sleep(0)
    assert not gc.isenabled()
    assert gc.get_freeze_count() == 0, "state is not loaded yet"
    ready.set()
    for _ in range(2):  # The event wakes the task, which then runs to its sleep.
        await asyncio.sleep(0)
    assert gc.get_freeze_count() > 0
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
