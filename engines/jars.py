"""The jars of broker and Spark connector: exact coordinates and sha256 in `jars.lock`, fetched once, checked always.

`python -m engines.jars` fetches what is missing or changed. Ivy, which comes inside pyspark, does the fetching, without
following any dependency: the lock is the whole list. Every class path handed out has just been hashed, all of it:
that costs a tenth of a second before a JVM that takes seconds, and no stamp can miss a flipped bit.
"""

from __future__ import annotations

import functools
import hashlib
import html
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from engines import java
from engines.cache import cache_dir
from engines.errors import EnvironmentNotReady

LOCK = Path(__file__).with_name("jars.lock")
REPAIR = "`python -m engines.jars`"
FETCH_STREAMS = "`python -m engines.jars --streams`"


class Section(Enum):
    """Whom the jars are for; the headings of the lock."""

    BROKER = "broker"
    SPARK = "spark"
    STREAMS = "streams"
    """Kafka Streams, which only a comparison of costs needs: 75 MB that `make setup` does not fetch."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str
    size_bytes: int

    @property
    def file(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


@functools.cache
def lock() -> Mapping[Section, tuple[Jar, ...]]:
    """Read the lock: lines `group:artifact:version sha256 bytes` under `[section]`; `#` starts a comment."""
    found: dict[Section, list[Jar]] = {section: [] for section in Section}
    section = Section.BROKER
    for line in LOCK.read_text().splitlines():
        if line.startswith("["):
            section = Section(line.strip("[]"))
        elif line and not line.startswith("#"):
            coordinates, sha256, size = line.split()
            group, artifact, version = coordinates.split(":")
            found[section].append(Jar(group, artifact, version, sha256, int(size)))
    return {section: tuple(jars) for section, jars in found.items()}


def broker_classpath() -> tuple[Path, ...]:
    """Return the jars of $KAFKA_HOME if it is set, else the locked ones. Raises `EnvironmentNotReady`."""
    home = os.environ.get("KAFKA_HOME")
    if not home:
        return _checked(lock()[Section.BROKER])
    jars = tuple(sorted(Path(home).glob("libs/*.jar")))
    if not any(jar.name.startswith("kafka-server-") for jar in jars):
        raise EnvironmentNotReady(
            f"KAFKA_HOME is {home}, but {home}/libs holds no broker. Point it at an unpacked Kafka, or unset it."
        )
    return jars


def spark_classpath() -> tuple[Path, ...]:
    """Return the jars of Spark's Kafka connector. Raises `EnvironmentNotReady`."""
    return _checked(lock()[Section.SPARK])


def streams_classpath() -> tuple[Path, ...]:
    """Return the jars of Kafka Streams, the broker's among them. Raises `EnvironmentNotReady`."""
    if missing := faults(lock()[Section.STREAMS]):
        jar, fault = next(iter(missing.items()))
        raise EnvironmentNotReady(f"{jar.file} {fault}: {FETCH_STREAMS}.")
    return _checked(lock()[Section.BROKER] + lock()[Section.STREAMS])


def faults(jars: Iterable[Jar]) -> dict[Jar, str]:
    """Return the jars of the cache that cannot be used, each with the reason."""
    folder = cache_dir("jars")
    return {jar: fault for jar in jars if (fault := _fault(folder / jar.file, jar))}


def fetch(jars: Iterable[Jar]) -> None:
    """Fetch into the cache those of `jars` that are missing or changed. Raises `EnvironmentNotReady`."""
    wanted = tuple(faults(jars))
    if not wanted:
        return
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=cache_dir("jars")) as name:
        work = Path(name)
        _run_ivy(work, wanted)
        for jar in wanted:
            got = work / "lib" / jar.file
            if fault := _fault(got, jar):
                raise EnvironmentNotReady(
                    f"{jar.file} came, but {fault}; it was not kept. If a mirror is in use, check it; then {REPAIR}."
                )
            # Only whole and proved jars ever have their final name, whoever else fetches at the same time.
            got.replace(cache_dir("jars") / jar.file)


def _checked(jars: tuple[Jar, ...]) -> tuple[Path, ...]:
    bad = faults(jars)
    if bad:
        jar, fault = next(iter(bad.items()))
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise EnvironmentNotReady(f"{cache_dir('jars') / jar.file} {fault}{more}. Repair: {REPAIR} (or `make setup`).")
    return tuple(cache_dir("jars") / jar.file for jar in jars)


def _fault(path: Path, jar: Jar) -> str:
    try:
        if path.stat().st_size != jar.size_bytes:
            return f"has {path.stat().st_size} bytes, not the {jar.size_bytes} of the lock"
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "" if sha256 == jar.sha256 else f"has sha256 {sha256[:12]}…, not the {jar.sha256[:12]}… of the lock"


def _ivy() -> Path:
    package = importlib.util.find_spec("pyspark")
    if package is None or package.origin is None:
        raise EnvironmentNotReady("pyspark, whose Ivy fetches the jars, is not installed: `make setup`.")
    return next((Path(package.origin).parent / "jars").glob("ivy-*.jar"))


def _run_ivy(work: Path, jars: tuple[Jar, ...]) -> None:
    # Without POMs nothing is resolved: one request a jar. Two versions of one jar do not conflict: they are for two
    # class paths. Spark's variable for a mirror serves here as well.
    mirror = os.environ.get("DEFAULT_ARTIFACT_REPOSITORY")
    root = f' root="{html.escape(mirror)}"' if mirror else ""
    modules = "".join(
        f'<dependency org="{jar.group}" name="{jar.artifact}" rev="{jar.version}" transitive="false"/>' for jar in jars
    )
    (work / "ivy.xml").write_text(
        f'<ivy-module version="2.0"><info organisation="weir" module="jars"/>'
        f"<dependencies>{modules}</dependencies></ivy-module>"
    )
    (work / "settings.xml").write_text(
        '<ivysettings><property name="ivy.checksums" value=""/>'
        '<settings defaultResolver="jars" defaultConflictManager="all"/>'
        f'<resolvers><ibiblio name="jars" m2compatible="true" usepoms="false"{root}/></resolvers></ivysettings>'
    )
    argv = [str(java.find().path), "-jar", str(_ivy()), "-settings", f"{work}/settings.xml", "-ivy", f"{work}/ivy.xml"]
    argv += ["-cache", f"{work}/cache", "-retrieve", f"{work}/lib/[artifact]-[revision].[ext]"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as ivy:
        assert ivy.stdout is not None
        said, done = [], 0
        for line in ivy.stdout:
            said.append(line.strip())
            if got := re.search(r"\[SUCCESSFUL \] \S+#(\S+);(\S+)!", line):
                done += 1
                print(f"jars: {done} of {len(jars)}  {got[1]} {got[2]}", file=sys.stderr, flush=True)
    if ivy.returncode or done < len(jars):
        why = "\n  ".join(
            [line for line in said if line.startswith(("::", "SERVER ERROR", "==== "))][-12:] or said[-12:]
        )
        raise EnvironmentNotReady(
            f"{len(jars) - done} of {len(jars)} jars could not be fetched. Check the network (a mirror goes into"
            f" DEFAULT_ARTIFACT_REPOSITORY), then {REPAIR}. Ivy said:\n  {why}"
        )


def main() -> int:
    """Fetch the jars of the lock; return the exit code, 4 if that failed.

    `--streams`: those of Kafka Streams too; `--quiet`: say nothing if all are there.
    """
    sections = [section for section in Section if section is not Section.STREAMS or "--streams" in sys.argv[1:]]
    wanted = tuple(dict.fromkeys(jar for section in sections for jar in lock()[section]))
    try:
        fetch(wanted)
    except EnvironmentNotReady as error:
        print(error, file=sys.stderr)
        return 4
    if "--quiet" not in sys.argv[1:]:
        print(f"{len(wanted)} jars in {cache_dir('jars')} are those of the lock.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
