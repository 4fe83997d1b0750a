"""Child processes: own group, die with us, answer requests, leave a log, are killed by handle.

A child never outlives us, not even our own SIGKILL: a small warden process (`engines/warden.py`) holds a pipe from us,
and when the pipe closes it kills every group and removes every directory that was entrusted to it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import psutil

from engines.errors import Deadline, EngineFailed

LOG_TAIL_LINES = 15


class _Warden:
    """Our end of the warden's pipe, started on first use."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def say(self, sign: str, kind: str, what: str) -> None:
        with self._lock:
            if self._process is None:
                script = str(Path(__file__).with_name("warden.py"))
                self._process = subprocess.Popen(
                    [sys.executable, script], stdin=subprocess.PIPE, start_new_session=True
                )
            pipe = self._process.stdin
            assert pipe is not None
            pipe.write(json.dumps([sign, kind, what]).encode() + b"\n")
            pipe.flush()


_warden = _Warden()


def scratch_dir(prefix: str) -> Path:
    """Make a temporary directory that is removed when we end, however we end."""
    path = tempfile.mkdtemp(prefix=f"weir-{prefix}-")
    _warden.say("+", "dir", path)
    return Path(path)


def remove_dir(path: Path) -> None:
    """Remove a directory made by `scratch_dir` now."""
    shutil.rmtree(path, ignore_errors=True)
    _warden.say("-", "dir", str(path))


class Child:
    """A process group of ours. With `talk`, requests and answers are JSON lines on its stdin and stdout.

    The child answers {"id": n, "ok": {...}} or {"id": n, "error": "...", "class": "..."} to {"id": n, "do": verb, ...},
    in any order; its first line is {"ready": {...}}. Its stdin closing means: end.
    """

    def __init__(
        self, role: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, talk: bool = False
    ) -> None:
        self.role = role
        self.log = log
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._ready: Future[dict[str, Any]] = Future()
        self._lock = threading.Lock()
        self._gone = False
        # The child waits for our word before it becomes the program: by then the warden knows it, so there is no
        # moment in which our own death could orphan it.
        with log.open("ab") as sink:
            self._popen = subprocess.Popen(
                ["/bin/sh", "-c", 'read -r _ && exec "$@"', "sh", *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if talk else sink,
                stderr=sink,
                env=None if env is None else dict(env),
                start_new_session=True,
            )
        self._handle = psutil.Process(self._popen.pid)
        self._identity = f"{self.pid} {self._handle.create_time()}"
        _warden.say("+", "group", self._identity)
        self._write(b"go\n")
        atexit.register(self.kill)
        if talk:
            stdout = self._popen.stdout
            assert stdout is not None
            threading.Thread(target=self._listen, args=(stdout,), name=f"{role}-answers", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def alive(self) -> bool:
        """Return whether the process itself runs."""
        return self._popen.poll() is None

    def cpu_seconds(self) -> float:
        """Return user + system CPU seconds of the live processes of the group so far."""
        total = 0.0
        for process in group(self.pid):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    async def ready(self, *, within: timedelta) -> dict[str, Any]:
        """Wait for the child's first line. Raises `EngineFailed` if it dies, `Deadline` if it takes too long."""
        return await self._await(self._ready, within, f"{self.role} to be ready")

    async def request(self, do: str, *, within: timedelta, **fields: Any) -> dict[str, Any]:
        """Send one request and wait for its answer. Raises `EngineFailed` with the log's tail, `Deadline`."""
        number = next(self._ids)
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._gone:
                raise EngineFailed(f"{self.role} is gone.{self.log_tail()}")
            self._waiting[number] = future
        self._write(json.dumps({"id": number, "do": do, **fields}).encode() + b"\n")
        try:
            return await self._await(future, within, f"{self.role} to answer {do!r}")
        finally:
            self._waiting.pop(number, None)

    async def terminate(self, *, within: timedelta) -> None:
        """SIGTERM the process, wait, then SIGKILL what is left of its group."""
        with contextlib.suppress(psutil.Error):
            self._handle.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._popen.wait, within.total_seconds())
        await asyncio.to_thread(self.kill)

    def kill(self) -> None:
        """SIGKILL the whole group, and return when it is gone."""
        members = group(self.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        psutil.wait_procs(members, timeout=10)
        if not self._gone:
            self._gone = True
            atexit.unregister(self.kill)
            with contextlib.suppress(BrokenPipeError):
                _warden.say("-", "group", self._identity)
        stdin = self._popen.stdin
        if stdin is not None:
            with contextlib.suppress(OSError):
                stdin.close()

    def pause(self) -> None:
        """SIGSTOP the whole group."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT the whole group."""
        os.killpg(self.pid, signal.SIGCONT)

    def log_tail(self) -> str:
        """Return the last lines of the log, indented, for an error message."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        except OSError:
            return ""
        return "".join(f"\n  {line}" for line in [f"last lines of {self.log}:", *lines])

    def _write(self, data: bytes) -> None:
        stdin = self._popen.stdin
        assert stdin is not None
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):
            stdin.write(data)
            stdin.flush()

    def _listen(self, stdout: IO[bytes]) -> None:
        for line in stdout:
            try:
                answer = json.loads(line)
            except ValueError:
                continue  # A library printed something; it is no answer.
            if "ready" in answer:
                self._ready.set_result(answer["ready"])
                continue
            future = self._waiting.get(answer.get("id"))
            if future is None or future.done():
                continue
            if "error" in answer:
                future.set_exception(EngineFailed(f"{self.role}: {answer.get('class', 'error')}: {answer['error']}"))
            else:
                future.set_result(answer["ok"])
        self._popen.wait()
        with self._lock:
            self._gone_quiet()

    def _gone_quiet(self) -> None:
        error = EngineFailed(f"{self.role} ended with exit code {self._popen.returncode}.{self.log_tail()}")
        for future in [self._ready, *self._waiting.values()]:
            if not future.done():
                future.set_exception(error)

    async def _await(self, future: Future[dict[str, Any]], within: timedelta, says: str) -> dict[str, Any]:
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), within.total_seconds())
        except TimeoutError:
            raise Deadline(f"Waited {within.total_seconds():g} s for {says}.{self.log_tail()}") from None


def group(pgid: int) -> list[psutil.Process]:
    """Return the live processes of a process group."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == pgid and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members
