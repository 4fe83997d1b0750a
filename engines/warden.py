"""Kills the process groups and removes the directories entrusted to it when its stdin closes: our end, however it came.

Run by `engines/process.py` as a script. Lines are JSON: [sign, "group" | "dir", what]; "+" entrusts, "-" takes back.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Collection

import psutil

CLOCK_STEP_S = 2.0
"""How far two readings of a process's start time may differ: it is derived from the boot time, which clock
corrections move. No pid comes round again in so short a time."""
GONE_WITHIN_S = 10.0
"""A killed process goes in milliseconds, but one that waits for a slow disk only afterwards."""


def group(pgid: int) -> list[psutil.Process]:
    """Return the live processes of a process group."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == pgid and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def await_gone(processes: Collection[psutil.Process]) -> None:
    """Wait until all have ended. One that nobody has reaped has ended: in a container, nobody may ever reap it."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while any(runs(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.005)


def runs(process: psutil.Process) -> bool:
    """Return whether it is alive; a zombie is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kill(identity: str) -> list[psutil.Process]:
    """SIGKILL a group, and return who was in it. Its leader may be gone: the number stays the group's till the last."""
    pid, started = identity.split()
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
        members = group(int(pid))
        leaders = [member for member in members if member.pid == int(pid)]
        if all(abs(leader.create_time() - float(started)) < CLOCK_STEP_S for leader in leaders):
            os.killpg(int(pid), signal.SIGKILL)
            return members
    return []


def main() -> None:
    """Keep the two sets until the pipe closes, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    kept: dict[str, dict[str, None]] = {"group": {}, "dir": {}}
    for line in sys.stdin:
        sign, kind, what = json.loads(line)
        if sign == "+":
            kept[kind][what] = None
        else:
            kept[kind].pop(what, None)
    # A dying process may still write: its files go after it.
    await_gone([member for identity in reversed(kept["group"]) for member in _kill(identity)])
    for path in kept["dir"]:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
