"""Garbage collection by hand: a collection in mid-chunk costs more than all else there, and chunks make no cycles."""

from __future__ import annotations

import asyncio
import gc

COLLECT_EVERY_S = 5.0
"""Seconds between two collections of cycles under load."""


def freeze() -> None:
    """Collect what the start has left, and exempt what is left of it from later collections."""
    gc.collect()
    gc.freeze()


async def collect(ready: asyncio.Event) -> None:
    """Collect cycles every few seconds, instead of whenever enough objects exist. `ready`: state is loaded.

    Automatic collection is off in the whole process meanwhile. When this task ends it is as it was before, and frozen
    objects are collected again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        await ready.wait()
        freeze()
        while True:
            await asyncio.sleep(COLLECT_EVERY_S)
            gc.collect()
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
