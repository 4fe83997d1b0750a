"""A wire between a worker and its broker, cut in the middle of requests, or for as long as a test likes."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from unittest import mock

from engines.broker import kraft

_WORKERS = ("aiokafka", "faust")
"""How the client ids of a worker begin; the harness is never cut off."""


class Api(IntEnum):
    """Requests of Kafka's protocol."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    API_VERSIONS = 18
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28
    DESCRIBE_CONFIGS = 32


class Wire:
    """Passes requests and answers on, in a thread of its own. A context manager. `target`: the broker's port."""

    def __init__(self) -> None:
        self.target = self.port = 0
        self.uncut: Counter[int] = Counter()
        """How many requests of each kind are yet to cut all connections."""
        self.refused: Api | None = None
        """A request of a group, of which the next answer is turned into an unknown error."""
        self._answered = self._closed = False
        self._links: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()), name="wire")
        self._up: Future[asyncio.AbstractEventLoop] = Future()
        self._over = asyncio.Event()

    def __enter__(self) -> Wire:
        self._thread.start()
        self._up.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._up.result().call_soon_threadsafe(self._over.set)
        self._thread.join()

    def cut(self, *apis: Api, answered: bool) -> None:
        """Cut the worker off at the next request of each kind: before the broker has it, or once it has answered.

        A kind that is named twice cuts twice.
        """
        self._answered, self.uncut = answered, Counter(map(int, apis))

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Cut the worker off, and let it not connect."""
        self._closed = True
        self._up.result().call_soon_threadsafe(self._drop)
        try:
            yield
        finally:
            self._closed = False

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set_result(asyncio.get_running_loop())
        await self._over.wait()
        server.close()

    def _drop(self) -> None:
        for link in self._links:
            link.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked: list[tuple[int, bool]] = []
        """Requests that are not answered yet, and whether the answer is to be lost."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            first = await _frame(reader)
            worker = _client(first).startswith(_WORKERS)
            back, forth = await asyncio.open_connection("127.0.0.1", self.target)
            links = {writer, forth}
            if worker:
                self._links |= links
                if self._closed:
                    self._drop()
            answering = asyncio.create_task(self._answer(back, writer, asked))
            try:
                await self._ask(first, reader, forth, asked, worker=worker)
            finally:
                answering.cancel()
                self._links -= links
                for link in links:
                    link.transport.abort()
        writer.transport.abort()

    async def _ask(
        self,
        frame: bytes,
        reader: asyncio.StreamReader,
        forth: asyncio.StreamWriter,
        asked: list[tuple[int, bool]],
        *,
        worker: bool,
    ) -> None:
        while True:
            strikes = worker and self.uncut[_api(frame)] > 0
            if strikes:
                self.uncut[_api(frame)] -= 1
                if not self._answered:
                    self._drop()
                    return
            asked.append((_api(frame), strikes))
            forth.write(frame)
            await forth.drain()
            frame = await _frame(reader)

    async def _answer(
        self, back: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[tuple[int, bool]]
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await _frame(back)
                api, strikes = asked.pop(0)
                if strikes:
                    self._drop()
                    return
                if api == self.refused:
                    self.refused = None
                    # Behind the size, the request's number and the throttle time.
                    frame = frame[:12] + struct.pack(">h", -1) + frame[14:]
                writer.write(frame)
                await writer.drain()
        writer.transport.abort()


@contextmanager
def wired(logs: Path) -> Iterator[Wire]:
    """Yield a wire with a broker behind it, which tells everybody that it is to be found there."""
    found = kraft.server_properties

    def properties(*, port: int, controller_port: int, data: Path) -> dict[str, str]:
        wire.target = port
        told = found(port=port, controller_port=controller_port, data=data)
        return told | {"advertised.listeners": f"DIRECT://127.0.0.1:{wire.port}"}

    with Wire() as wire, mock.patch.object(kraft, "server_properties", properties), kraft.Broker(logs=logs):
        yield wire


async def _frame(reader: asyncio.StreamReader) -> bytes:
    size = await reader.readexactly(4)
    return size + await reader.readexactly(struct.unpack(">i", size)[0])


def _api(frame: bytes) -> int:
    return int(struct.unpack_from(">h", frame, 4)[0])


def _client(frame: bytes) -> str:
    [size] = struct.unpack_from(">h", frame, 12)
    return frame[14 : 14 + max(size, 0)].decode()
