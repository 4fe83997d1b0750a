"""The other end of `engines.process.Child(talk=True)`: requests in JSON lines on stdin, answers on the first stdout."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import IO, Any, TypeAlias

import msgspec

Answer: TypeAlias = dict[str, Any]
_LONGEST = 1 << 26


class Answering:
    """Says that the child is ready, and answers what it is asked. Made first of all in a process."""

    def __init__(self) -> None:
        # Only our answers may go to the pipe that is stdout: whatever else a library prints goes to the log.
        self._answers: IO[bytes] = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        # About eight files a task; the usual soft limit of 1024 would end at 125 tasks.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._asked: set[asyncio.Task[None]] = set()

    async def serve(self, ready: Answer, do: Callable[[Answer], Awaitable[Answer]]) -> None:
        """Say `ready`, then have requests done, side by side, until stdin ends; then ask the process to end."""
        self._say({"ready": ready})
        reader = asyncio.StreamReader(limit=_LONGEST)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            asked = asyncio.create_task(self._answer(msgspec.json.decode(line), do))
            self._asked.add(asked)
            asked.add_done_callback(self._asked.discard)
        os.kill(os.getpid(), signal.SIGTERM)

    async def _answer(self, request: Answer, do: Callable[[Answer], Awaitable[Answer]]) -> None:
        number = request["id"]
        try:
            self._say({"id": number, "ok": await do(request)})
        except Exception as error:
            self._say({"id": number, "error": str(error), "class": type(error).__name__})

    def _say(self, answer: Answer) -> None:
        self._answers.write(msgspec.json.encode(answer) + b"\n")
        self._answers.flush()
