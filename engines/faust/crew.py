"""The workers of a deployment: members of one group, each with its own name and its own disk, as on hosts apart."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from engines.contract import RunDirs
from engines.errors import EngineFailed
from engines.faust.plan import Plan
from engines.process import Child

READY_WITHIN = timedelta(seconds=60)
"""A worker is ready in a second; one that restores a large state, or takes over a dead member's place, needs longer."""
STOP_WITHIN = timedelta(seconds=10)
"""Committing what is open and leaving takes some 0.3 s."""
ANSWER_WITHIN = timedelta(seconds=10)


class Crew:
    """Processes that run one plan."""

    def __init__(self, plan: Plan, dirs: RunDirs) -> None:
        self._plan, self._dirs = plan, dirs
        self._workers: dict[int, Child] = {}
        """By number: a worker that starts again has the name and the disk of its predecessor."""
        self._named = 0

    @property
    def children(self) -> Sequence[Child]:
        """Those that were not stopped, the dead among them, by number: they start in any order."""
        return [self._workers[number] for number in sorted(self._workers)]

    def one(self) -> Child:
        """Return the first of them. Raises `EngineFailed` if all were stopped."""
        if not self._workers:
            raise EngineFailed("The workers were stopped: restart the deployment.")
        return self.children[0]

    async def start(self, count: int) -> None:
        """Start workers 0 to `count` - 1; return when each has its tasks open. Raises `EngineFailed`, `Deadline`."""
        await asyncio.gather(*(self._start(number) for number in range(count)))
        self._named = count

    async def scale(self, count: int) -> None:
        """Bury the dead; then let new ones join, or the last ones leave, until there are `count`."""
        for number in [number for number, child in self._workers.items() if not child.alive()]:
            self._workers.pop(number).kill()
        leaving = sorted(self._workers)[count:]
        await asyncio.gather(*(self._workers.pop(number).end(within=STOP_WITHIN) for number in leaving))
        joining = range(self._named, self._named + count - len(self._workers))
        await asyncio.gather(*(self._start(number) for number in joining))
        self._named = max(self._named, joining.stop)

    async def stop(self) -> None:
        """Stop all gracefully. Raises `EngineFailed` if one did not end well."""
        workers, self._workers = self._workers, {}
        await asyncio.gather(*(child.end(within=STOP_WITHIN) for child in workers.values()))

    async def end(self) -> None:
        """Stop all after an error: however they end, that error is the one to tell."""
        workers, self._workers = self._workers, {}
        await asyncio.gather(*(child.terminate(within=STOP_WITHIN) for child in workers.values()))

    async def ask(self, do: str, *, within: timedelta = ANSWER_WITHIN, **fields: Any) -> list[dict[str, Any]]:
        """Ask all; return their answers. Raises `EngineFailed`, `Deadline`."""
        self.one()
        return await asyncio.gather(*(child.request(do, within=within, **fields) for child in self.children))

    async def pass_time(self, duration: timedelta) -> None:
        """Let processing time pass for these workers, and for those that start later."""
        seconds, now_s = duration.total_seconds(), self._plan.now_s
        if now_s is None:
            await asyncio.sleep(seconds)
            return
        self._plan = replace(self._plan, now_s=now_s + seconds)
        await self.ask("pass_time", seconds=seconds)

    async def first(self, do: str, *, within: timedelta) -> tuple[Child, dict[str, Any]]:
        """Ask all; return who answered first, and the answer. Raises `EngineFailed`, `Deadline`."""
        self.one()
        asked = {asyncio.create_task(child.request(do, within=within)): child for child in self.children}
        try:
            [answered, *_], _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            return asked[answered], answered.result()
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _start(self, number: int) -> None:
        member = f"{self._plan.group}-{number}"
        plan = replace(self._plan, member=member, state_dir=str(Path(self._plan.state_dir) / str(number)))
        told = self._dirs.durable / f"plan-{number}.json"
        plan.write(told)
        argv = [sys.executable, "-m", "engines.faust.worker", str(told)]
        log = self._dirs.logs / f"faust-worker{f'-{number}' if number else ''}.log"
        role = f"faust worker{f' {number}' if number else ''}"
        self._workers[number] = child = await asyncio.to_thread(Child, role, argv, log=log, talk=True)
        await child.ready(within=READY_WITHIN)
