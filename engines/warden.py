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

import psutil


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
    for identity in reversed(kept["group"]):
        pid, started = identity.split()
        with contextlib.suppress(psutil.NoSuchProcess):
            # A leader that is gone may have left its group behind; a reused pid has another start time.
            if psutil.Process(int(pid)).create_time() != float(started):
                continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(int(pid), signal.SIGKILL)
    for path in kept["dir"]:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
