"""Looks at everything that Weir needs on this machine, and names the remedy for what is missing."""

from __future__ import annotations

import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from engines import jars, java, registry
from engines.broker.kraft import free_ports
from engines.cache import cache_dir
from semantics.errors import WeirError

MEMORY_GIB = 4
"""Broker 0.4, one Spark JVM 1.2, a Faust worker 0.2, the harness 0.2, and room for the page cache."""
DISK_GIB = 2
"""Jars and libraries 0.7, a class-data archive 0.2, and the topics and state of a run."""
OPEN_FILES = 4096
"""Forty jobs a deployment hold some 15 files each, a broker three a topic."""
NOT_READY = 4


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: whether it will do, what was found, and what to do if it will not."""

    name: str
    ok: bool
    found: str
    remedy: str


def checks() -> list[Check]:
    """Look at everything; no check stops the others."""
    return [
        _python(),
        _asked("Java", lambda: f"{java.find().version} from {java.find().source}"),
        _asked(
            "jars", lambda: f"{len(jars.broker_classpath())} for the broker, {len(jars.spark_classpath())} for Spark"
        ),
        _memory(),
        _disk(cache_dir("jars"), "the cache"),
        _disk(Path.cwd(), "the run folders"),
        _disk(Path(tempfile.gettempdir()), "topics and state"),
        _files(),
        _asked("ports", lambda: f"{', '.join(map(str, free_ports(3)))} of 127.0.0.1 are free"),
        *_engines(),
    ]


def main() -> int:
    """Print the checks; return the exit code, 4 if one failed."""
    table = Table("", "", "found", "remedy", box=None)
    found = checks()
    for check in found:
        table.add_row("ok" if check.ok else "[red]NO[/]", check.name, check.found, "" if check.ok else check.remedy)
    Console().print(table)
    return 0 if all(check.ok for check in found) else NOT_READY


def _python() -> Check:
    ok = (3, 11) <= sys.version_info < (3, 14)
    return Check("Python", ok, platform.python_version(), "Install Python 3.11, 3.12 or 3.13, then `make setup`.")


def _asked(name: str, look: Callable[[], str]) -> Check:
    """Look at something that answers for itself: its error holds the remedy."""
    try:
        return Check(name, True, look(), "")
    except (WeirError, OSError) as error:
        return Check(name, False, "not ready", str(error))


def _memory() -> Check:
    free = psutil.virtual_memory().available / 2**30
    remedy = f"Close something: broker, one JVM of Spark and the harness want {MEMORY_GIB} GiB."
    return Check("memory", free >= MEMORY_GIB, f"{free:.1f} GiB available", remedy)


def _disk(path: Path, use: str) -> Check:
    free = shutil.disk_usage(path).free / 2**30
    remedy = (
        f"Make room: {use} want {DISK_GIB} GiB. WEIR_CACHE moves the cache, --output the run folders, TMPDIR the rest."
    )
    return Check(f"disk for {use}", free >= DISK_GIB, f"{free:.0f} GiB free at {path}", remedy)


def _files() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ok = soft == resource.RLIM_INFINITY or soft >= OPEN_FILES
    return Check(
        "open files", ok, f"limit {soft} (hard {hard})", f"`ulimit -n {OPEN_FILES}` in this shell, then again."
    )


def _engines() -> Iterator[Check]:
    for name in registry.names():
        try:
            missing = registry.get(name)[0].missing()
        except (WeirError, ImportError) as error:
            missing = f"{error}. `make setup` installs what engines need."
        yield Check(f"engine {name}", not missing, "not here" if missing else "can run", missing)


if __name__ == "__main__":
    sys.exit(main())
