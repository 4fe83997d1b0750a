"""The only one that harms: kills what stands still at a crash point, verifies the effect, and says what it saw."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from engines.contract import Deployment
from engines.errors import EngineFailed
from semantics.history import Struck
from semantics.timeline import Crash


async def strike(deployment: Deployment, crash: Crash, *, step: int, within: timedelta) -> Struck:
    """Wait until the armed point is reached, SIGKILL every process that holds state, and return the evidence.

    If others are to take over, only those die that stand at the point.

    Raises `Deadline` if the point is not reached, `EngineFailed` if a process survives its SIGKILL.
    """
    reached = await deployment.reached(within=within)
    victims = reached.who if crash.takeover else deployment.processes()
    for victim in victims:
        await asyncio.to_thread(victim.kill)
    survivors = [f"{victim.role} (pid {victim.pid})" for victim in victims if victim.alive()]
    if survivors or not victims:
        raise EngineFailed(
            f"The kill at {crash.point.value} did not bite: {', '.join(survivors) or 'no process'} lives."
        )
    return Struck(
        step=step,
        point=crash.point.value,
        evidence=reached.evidence,
        killed=tuple(victim.pid for victim in victims),
        reconstructed=reached.reconstructed,
        hidden=reached.hidden,
    )
