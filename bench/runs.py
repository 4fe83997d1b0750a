"""The run folder: `runs/<utc>-<hash>/`, the one record that every report, check and comparison reads.

- run.json: what was run, where, with which versions and seed; `status` is "partial" until the run ended; then `sealed`
  holds a digest of each record and of run.json itself. A seal finds alterations; it proves no author.
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
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import confluent_kafka
import msgspec
import psutil

from bench.text import plain
from engines import files
from engines.errors import CorruptRun, DiskFull, EnvironmentNotReady
from semantics.errors import UnknownName, did_you_mean

SCHEMA = 1
MANIFEST = "run.json"
T = TypeVar("T")


class Seal(msgspec.Struct):
    """The digest of a file as the run ended; `lines` of a record."""

    sha256: str
    lines: int = 0


class _Host(msgspec.Struct):
    """The machine, as far as its facts are read again."""

    system: str
    machine: str
    memory_bytes: int
    cores: int | None = None


class _Arguments(msgspec.Struct):
    """The arguments with which somebody calculates."""

    rate: float | None = None
    duration_s: float | None = None


class _Engine(msgspec.Struct):
    """Facts of one engine."""

    versions: dict[str, str] = {}


class _Manifest(msgspec.Struct):
    """The shape of run.json."""

    schema: int
    status: str
    started: str
    seed: int
    arguments: _Arguments
    versions: dict[str, str]
    host: _Host
    engines: dict[str, _Engine] = {}
    sealed: dict[str, Seal] = {}


@dataclass(slots=True)
class Run:
    """An open run folder."""

    path: Path
    manifest: dict[str, Any]

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def append(self, name: str, record: dict[str, Any]) -> None:
        """Append one record to `<name>.jsonl`, and hand it to the operating system. Raises `DiskFull`."""
        path = self.path / f"{name}.jsonl"
        with files.writing(path), path.open("ab") as file:
            file.write(msgspec.json.encode({"schema": SCHEMA, **record}) + b"\n")

    def close(self, **facts: Any) -> None:
        """Mark the run as complete, and seal it: what is altered later is found by `unsealed`. Raises `DiskFull`."""
        self.manifest |= {"status": "complete", **facts}
        self.manifest["sealed"] = _seals(self.path, self.manifest)
        _write(self.path, self.manifest)

    def discard(self, *, logs: bool = False) -> None:
        """Remove the folder if nothing ran: it holds no record and no log. `logs`: logs are removed as well."""
        found = [path for path in self.path.rglob("*") if path.name != MANIFEST and path.is_file()]
        if not any(path.stat().st_size for path in found if not (logs and path.is_relative_to(self.logs))):
            shutil.rmtree(self.path)


def create(output: Path, arguments: dict[str, Any], *, seed: int) -> Run:
    """Make a new run folder below `output`, marked partial. Raises `DiskFull`, `EnvironmentNotReady`.

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
        with files.writing(output, "Choose another folder with --output."):
            (path / "logs").mkdir(parents=True)
        _write(path, manifest)
    except (DiskFull, EnvironmentNotReady):
        shutil.rmtree(path, ignore_errors=True)
        raise
    return Run(path, manifest)


def manifest(folder: Path) -> dict[str, Any]:
    """Return run.json, all types as they must be. Raises `UnknownName` if there is no such folder, `CorruptRun`."""
    path = folder / MANIFEST
    try:
        read = files.decode(files.read(path), dict[str, Any], str(path))
        # Nothing of run.json is dropped for having no place in the shape.
        if msgspec.convert(read, _Manifest).schema != SCHEMA:
            raise CorruptRun(f"{path}: another schema than {SCHEMA}.")
        _digest(read)
    except FileNotFoundError:
        near: list[str] = []
        with contextlib.suppress(OSError):
            near = [other.name for other in folder.parent.iterdir() if (other / MANIFEST).is_file()]
        raise UnknownName(f"No run folder {folder}: it has no {MANIFEST}.{did_you_mean(folder.name, near)}") from None
    except (ValueError, OverflowError, RecursionError) as error:
        raise CorruptRun(f"{path}: {error}.") from error
    return read


def records(folder: Path, name: str, kind: type[T]) -> list[T]:
    """Return the records of `<name>.jsonl`, none if there is no such file. Raises `CorruptRun` with the line."""
    path = folder / f"{name}.jsonl"
    return [files.decode(line, kind, f"{path}, line {number}") for number, line in enumerate(files.lines(path), 1)]


def unsealed(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each file that is not as it was when the run ended. Raises `CorruptRun`.

    Of a run without a seal there is nothing to tell, see `seal_lacks`.
    """
    sealed, now = manifest.get("sealed", {}), _seals(folder, manifest)
    if not sealed:
        return []
    if MANIFEST not in sealed:
        del now[MANIFEST]
    names = [name for name in sorted(sealed | now) if sealed.get(name) != now.get(name)]
    return [f"{plain(name)} {_altered(sealed.get(name), now.get(name))}" for name in names]


def seal_lacks(manifest: Mapping[str, Any]) -> str:
    """Return what the seal of an ended run does not cover; empty if it covers all, or the run did not end."""
    if manifest["status"] != "complete" or MANIFEST in manifest.get("sealed", {}):
        return ""
    return f"sealed without {MANIFEST}" if manifest.get("sealed") else "not sealed"


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


def _altered(seal: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    if seal is None:
        return "was added after the run had ended"
    if "lines" not in seal:
        return "was altered after the run had ended"
    lines = "no" if now is None else now["lines"]
    return f"was altered after the run had ended: {lines} lines, {seal['lines']} when it was sealed"


def _seals(folder: Path, manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = {path.name: files.read(path) for path in sorted(folder.glob("*.jsonl"))}
    seals: dict[str, dict[str, Any]] = {
        name: {"lines": data.count(b"\n"), "sha256": hashlib.sha256(data).hexdigest()} for name, data in found.items()
    }
    return seals | {MANIFEST: {"sha256": _digest(manifest)}}


def _digest(manifest: Mapping[str, Any]) -> str:
    """Return the digest of run.json without its seal, however it is laid out."""
    told = msgspec.json.encode({name: value for name, value in manifest.items() if name != "sealed"})
    return hashlib.sha256(told).hexdigest()


def _write(path: Path, manifest: dict[str, Any]) -> None:
    files.replace(path / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
