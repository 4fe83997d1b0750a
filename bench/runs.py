"""The run folder: `runs/<utc>-<hash>/`, the one record that every report, check and comparison reads.

- run.json: what was run, where, with which versions and seed; `status` is "partial" until the run ended
- *.jsonl: records, one a line, each with its schema version; only ever appended, so a crash loses nothing
- *.npy, a folder for each engine: raw samples
- logs/: what the processes said
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import confluent_kafka
import msgspec
import psutil

from engines.errors import EnvironmentNotReady

SCHEMA = 1


@dataclass(slots=True)
class Run:
    """An open run folder."""

    path: Path
    manifest: dict[str, Any]

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def append(self, name: str, record: dict[str, Any]) -> None:
        """Append one record to `<name>.jsonl`, and hand it to the operating system."""
        with (self.path / f"{name}.jsonl").open("ab") as file:
            file.write(msgspec.json.encode({"schema": SCHEMA, **record}) + b"\n")

    def close(self, **facts: Any) -> None:
        """Mark the run as complete, and seal its records: what is altered later is found by `unsealed`."""
        self.manifest |= {"status": "complete", "sealed": _seals(self.path), **facts}
        _write(self.path, self.manifest)


def create(output: Path, arguments: dict[str, Any], *, seed: int) -> Run:
    """Make a new run folder below `output`, marked partial. Raises `EnvironmentNotReady` if nothing can be written.

    `arguments` are recorded as they are: pass only what is known to hold no secret.
    """
    started = datetime.datetime.now(datetime.UTC)
    manifest = {
        "schema": SCHEMA,
        "status": "partial",
        "started": started.isoformat(timespec="seconds"),
        "arguments": arguments,
        "seed": seed,
        "versions": versions(),
        "host": host(),
    }
    # The start to the microsecond and our pid: two runs of the same second have different names.
    mark = hashlib.sha256(msgspec.json.encode([manifest, started.isoformat(), os.getpid()])).hexdigest()[:6]
    path = output / f"{started:%Y%m%dT%H%M%SZ}-{mark}"
    try:
        (path / "logs").mkdir(parents=True)
        _write(path, manifest)
    except OSError as error:
        raise EnvironmentNotReady(
            f"Cannot write to {output}: {error.strerror}. Choose another folder with --output."
        ) from error
    return Run(path, manifest)


def unsealed(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """Return a sentence for each record that is not as it was when the run ended; nothing for one without a seal."""
    now = _seals(folder)
    return [
        f"{name} was altered after the run had ended: {now[name]['lines'] if name in now else 'no'} lines, "
        f"{seal['lines']} when it was sealed"
        for name, seal in manifest.get("sealed", {}).items()
        if now.get(name) != seal
    ]


def versions() -> dict[str, str]:
    """Return what the harness itself runs on; engines add their own."""
    return {
        "weir": _own_version(),
        "python": platform.python_version(),
        "confluent-kafka": version("confluent-kafka"),
        "librdkafka": str(confluent_kafka.libversion()[0]),
    }


def host() -> dict[str, Any]:
    """Return the machine, without its name or anybody's."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "cores": len(psutil.Process().cpu_affinity()) if sys.platform == "linux" else psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_before": round(os.getloadavg()[0], 2),
    }


def _own_version() -> str:
    """Return the commit of a checkout, else the version that was installed."""
    root = Path(__file__).resolve().parent.parent
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        asked = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude", "*"]
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    with contextlib.suppress(PackageNotFoundError):
        return version("weir")
    return "unknown"


def _seals(folder: Path) -> dict[str, dict[str, Any]]:
    records = {path.name: path.read_bytes() for path in sorted(folder.glob("*.jsonl"))}
    return {
        name: {"lines": data.count(b"\n"), "sha256": hashlib.sha256(data).hexdigest()} for name, data in records.items()
    }


def _write(path: Path, manifest: dict[str, Any]) -> None:
    draft = path / "run.json.new"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    draft.replace(path / "run.json")
