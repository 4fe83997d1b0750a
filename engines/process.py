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
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import psutil

from engines.errors import Deadline, EngineFailed
from engines.warden import GONE_WITHIN_S, await_gone, group

LOG_TAIL_LINES = 15
_TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(\S.*)", re.MULTILINE)
# The usual soft limit of 256 or 1024 files is too low for many jobs in one process; the hard one nearly never is.
_PRELUDE = """
ulimit -S -n 65536 2>/dev/null || ulimit -S -n "$(ulimit -H -n)" 2>/dev/null
read -r _ && exec "$@"
"""


class _Warden:
    """Our end of the warden's pipe, started on first use."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def entrust(self, kind: str, what: str) -> None:
        """Have it removed at our end. Raises `EngineFailed` if nobody watches any more."""
        try:
            self._say("+", kind, what)
        except BrokenPipeError:
            raise EngineFailed(
                "The process that cleans up after us is gone, so nothing is started. Begin again."
            ) from None

    def take_back(self, kind: str, what: str) -> None:
        """Leave it alone: it is gone already."""
        with contextlib.suppress(BrokenPipeError):
            self._say("-", kind, what)

    def _end(self) -> None:
        """Close the pipe and wait for the cleaning up, so that nothing of ours is left when our exit is seen."""
        process = self._process
        assert process is not None
        with contextlib.suppress(BrokenPipeError):
            process.communicate()

    def _say(self, sign: str, kind: str, what: str) -> None:
        with self._lock:
            if self._process is None:
                script = str(Path(__file__).with_name("warden.py"))
                # Its stdout is not ours: a reader of our output must not wait for it.
                self._process = subprocess.Popen(
                    [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
                )
                atexit.register(self._end)
            pipe = self._process.stdin
            assert pipe is not None
            pipe.write(json.dumps([sign, kind, what]).encode() + b"\n")
            pipe.flush()


_warden = _Warden()


def scratch_dir(prefix: str) -> Path:
    """Make a temporary directory that is removed when we end, however we end."""
    path = tempfile.mkdtemp(prefix=f"weir-{prefix}-")
    _warden.entrust("dir", path)
    return Path(path)


def remove_dir(path: Path) -> None:
    """Remove a directory made by `scratch_dir` now."""
    shutil.rmtree(path, ignore_errors=True)
    _warden.take_back("dir", str(path))


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended that was asked to."""

    code: int | None
    """Its exit code, negative for a signal; None if not even SIGKILL has ended it yet."""
    forced: bool
    """It had not ended in time, so it was killed."""

    @property
    def clean(self) -> bool:
        """Whether it ended by itself and said that all went well."""
        return self.code == 0 and not self.forced

    def __str__(self) -> str:
        if self.forced:
            return "only by SIGKILL: it did not end in time"
        return "not at all" if self.code is None else _how(self.code)


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
        self._questions: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        """What a thread writes to stdin, where a full pipe of a stopped child may hold it; None is the end."""
        self._silent = False
        """Nobody reads answers any more: the process has ended."""
        self._forked: set[int] = set()
        """Processes of the last reading of memory that had not called exec."""
        self._gone = False
        """Its group is known to be gone."""
        # The child waits for our word before it becomes the program: by then the warden knows it, so there is no
        # moment in which our own death could orphan it.
        with log.open("ab") as sink:
            self._log_from = sink.tell()
            self._popen = subprocess.Popen(
                ["/bin/sh", "-c", _PRELUDE, "sh", *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if talk else sink,
                stderr=sink,
                env=None if env is None else dict(env),
                start_new_session=True,
            )
        self._handle = psutil.Process(self._popen.pid)
        self._identity = f"{self.pid} {self._handle.create_time()}"
        try:
            _warden.entrust("group", self._identity)
        except EngineFailed:
            self.kill()
            raise
        self._write(b"go\n")
        atexit.register(self.kill)
        if talk:
            stdout = self._popen.stdout
            assert stdout is not None
            threading.Thread(target=self._listen, args=(stdout,), name=f"{role}-answers", daemon=True).start()
            threading.Thread(target=self._ask, name=f"{role}-questions", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def gone(self) -> bool:
        """Whether it was killed or stopped through this handle: nothing of it is left."""
        return self._gone

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

    def resident_bytes(self) -> int:
        """Return the resident memory of the live processes of the group now.

        Until a forked process calls exec, it shows the pages of its parent. So a process with the command line of its
        parent is counted from the second reading on: by then it is a worker that was forked on purpose.
        """
        members: dict[int, tuple[int, list[str], int]] = {}
        for process in group(self.pid):
            with contextlib.suppress(psutil.Error):
                members[process.pid] = process.ppid(), process.cmdline(), int(process.memory_info().rss)
        forked = {pid for pid, (parent, line, _) in members.items() if parent in members and members[parent][1] == line}
        fresh, self._forked = forked - self._forked, forked
        return sum(size for pid, (_, _, size) in members.items() if pid not in fresh)

    async def ready(self, *, within: timedelta) -> dict[str, Any]:
        """Wait for the child's first line. Raises `EngineFailed` if it dies, `Deadline` if it takes too long."""
        return await self._await(self._ready, within, f"{self.role} to be ready")

    async def request(self, do: str, *, within: timedelta, **fields: Any) -> dict[str, Any]:
        """Send one request and wait for its answer. Raises `EngineFailed` with the log's tail, `Deadline`."""
        number = next(self._ids)
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._silent or self._gone:
                raise self.ended()
            self._waiting[number] = future
        self._questions.put(json.dumps({"id": number, "do": do, **fields}).encode() + b"\n")
        try:
            return await self._await(future, within, f"{self.role} to answer {do!r}")
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    async def terminate(self, *, within: timedelta) -> Ended:
        """SIGTERM the process, wait, then SIGKILL what is left of its group; return how the process ended."""
        return await asyncio.to_thread(self.stop, within=within)

    def stop(self, *, within: timedelta) -> Ended:
        """`terminate`, for those who do not run in an event loop."""
        forced = False
        with contextlib.suppress(psutil.Error):
            self._handle.terminate()
        try:
            self._popen.wait(within.total_seconds())
        except subprocess.TimeoutExpired:
            forced = True
        self.kill()
        return Ended(self._popen.poll(), forced)

    async def end(self, *, within: timedelta) -> None:
        """`terminate`, and raise `EngineFailed` unless it ended by itself with exit code 0. Nothing if it is gone."""
        if self._gone:
            return
        ended = await self.terminate(within=within)
        if not ended.clean:
            raise EngineFailed(f"{self.role} was to stop and ended {ended}.{self.log_tail()}", self._exception())

    def kill(self) -> None:
        """SIGKILL the whole group, and return when it is gone. Nothing if it is gone already.

        A process that waits for its disk may outlive even that, for a while: then the warden stays in charge of it.
        """
        if self._gone:
            return
        # A number is nobody else's while a member of the group lives, but after that it may be a stranger's.
        reused = psutil.pid_exists(self.pid) and not self._handle.is_running()
        if not reused:
            members = group(self.pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(GONE_WITHIN_S)
            await_gone(members)
            if group(self.pid):
                return
        self._gone = True
        self._questions.put(None)
        atexit.unregister(self.kill)
        _warden.take_back("group", self._identity)
        stdin = self._popen.stdin
        assert stdin is not None
        with contextlib.suppress(OSError):
            stdin.close()

    def pause(self) -> None:
        """SIGSTOP the whole group."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT the whole group."""
        os.killpg(self.pid, signal.SIGCONT)

    def ended(self) -> EngineFailed:
        """Wait for the process to end, and return the error that says how it did."""
        return EngineFailed(f"{self.role} ended {_how(self._popen.wait())}.{self.log_tail()}", self._exception())

    def log_tail(self) -> str:
        """Return the last lines of the log, indented, for an error message."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        except OSError:
            return ""
        return "".join(f"\n  {line}" for line in [f"last lines of {self.log}:", *lines])

    def _exception(self) -> str:
        """Return the exception of the process's last traceback in the log; empty if a signal ended the process."""
        code = self._popen.poll()
        if code is None or code <= 0:
            return ""
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            return exception_in(log.read().decode(errors="replace"))

    def _write(self, data: bytes) -> None:
        stdin = self._popen.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            stdin.write(data)
            stdin.flush()

    def _ask(self) -> None:
        while (question := self._questions.get()) is not None:
            self._write(question)

    def _listen(self, stdout: IO[bytes]) -> None:
        with stdout:
            for line in stdout:
                try:
                    answer = json.loads(line)
                except ValueError:
                    continue  # A library printed something; it is no answer.
                if isinstance(answer, dict):
                    self._take(answer)
        self._popen.wait()
        with self._lock:
            self._silent = True
            for future in [self._ready, *self._waiting.values()]:
                _settle(future, self.ended())

    def _take(self, answer: Mapping[str, Any]) -> None:
        if "ready" in answer:
            _settle(self._ready, answer["ready"])
            return
        with self._lock:
            future = self._waiting.get(answer.get("id", 0))
        if future is None:
            return  # Whoever asked has given up.
        if "error" in answer:
            exception = f"{answer.get('class', 'error')}: {answer['error']}"
            _settle(future, EngineFailed(f"{self.role}: {exception}{self.log_tail()}", exception))
        else:
            _settle(future, answer["ok"])

    async def _await(self, future: Future[dict[str, Any]], within: timedelta, says: str) -> dict[str, Any]:
        try:
            async with asyncio.timeout(within.total_seconds()):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise Deadline(f"Waited {within.total_seconds():g} s for {says}.{self.log_tail()}") from None


def exception_in(text: str) -> str:
    """Return the exception that the last Python traceback of a text ends with, its first line; empty if none does."""
    found = _TRACEBACK.findall(text)
    return found[-1] if found else ""


def _settle(future: Future[dict[str, Any]], answer: dict[str, Any] | EngineFailed) -> None:
    # Whoever waits may give up at this very moment: then nobody wants the answer.
    with contextlib.suppress(InvalidStateError):
        if isinstance(answer, EngineFailed):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def _how(code: int) -> str:
    return f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
