"""Quix Streams as a peer, in an environment of its own: it wants another confluent-kafka than Weir.

`python -m bench.micro.quix` makes that environment from requirements/quix.txt, in the user's cache.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.micro.peers import COMMIT_MS, Process, Running
from bench.micro.work import Work
from engines.cache import cache_dir
from engines.contract import Job, Log, RunDirs

VERSION = "3.28.1"
LOCK = Path(__file__).parents[2] / "requirements" / "quix.txt"
_PROGRAM = Path(__file__).with_name("quix_peer.py")
_WORKS = ("running-count", "tumbling", "filter")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuixStreams:
    """Quix Streams, exactly-once, the same commit interval."""

    name: str = "quix-streams"
    title: str = f"Quix Streams {VERSION}"
    # Some twenty thousand events a second: what it costs shows soon.
    events: int = 50_000
    warmup: int = 20_000
    coalesces: bool = False
    reads_uncommitted: bool = False

    def lacks(self, work: Work) -> str:
        if work.name not in _WORKS:
            return "not written for it"
        return "" if _python().exists() else "its environment is missing: `python -m bench.micro.quix` makes it"

    def start(self, work: Work, job: Job, log: Log, dirs: RunDirs) -> AbstractAsyncContextManager[Running]:
        [topic] = job.inputs.values()
        told = {
            "work": work.name,
            "group": job.name,
            "bootstrap": log.bootstrap,
            "input": topic,
            "output": job.output,
            "state": dirs.state,
            "commit_ms": COMMIT_MS,
            "span_ms": work.span_ms,
            "delay_ms": work.delay_ms,
        }
        argv = [str(_python()), str(_PROGRAM), *(f"{name}={value}" for name, value in told.items())]
        return Process(self.name, argv, job, log, dirs)


def _python() -> Path:
    """Return the interpreter of the environment, which belongs to the lock's contents and to this Python."""
    made_of = f"{sys.version}{LOCK.read_text()}"
    return cache_dir("quix") / hashlib.sha256(made_of.encode()).hexdigest()[:12] / "bin" / "python"


def _install(python: Path) -> None:
    """Make the environment; it is in its place only once it is whole."""
    final = python.parent.parent
    unfinished = final.with_suffix(".unfinished")
    venv.create(unfinished, clear=True, with_pip=True)
    pip: Sequence[str] = ("-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK))
    subprocess.run([unfinished / "bin" / "python", *pip], check=True)
    unfinished.rename(final)


if __name__ == "__main__":
    if not _python().exists():
        _install(_python())
    print(f"Quix Streams {VERSION} is in {_python().parent.parent}.")
