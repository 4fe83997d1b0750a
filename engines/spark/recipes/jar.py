"""Compiles the Scala of this folder into one jar, once: with Scala's own compiler, which comes inside pyspark.

So it needs no JDK, nothing that is fetched, and no Python in the data path. Five seconds; afterwards the cache has it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
from importlib.metadata import version
from pathlib import Path

from engines import jars, java
from engines.cache import cache_dir
from engines.errors import EnvironmentNotReady

_SOURCES = sorted(Path(__file__).parent.glob("*.scala"))
_WITHIN_S = 300.0
"""It takes 5 s; a machine that is busy with other engines has needed half a minute."""


def classpath() -> tuple[Path, ...]:
    """Return the jars of the Kafka connector, and ours. Raises `EnvironmentNotReady`."""
    return (*jars.spark_classpath(), compiled())


def compiled() -> Path:
    """Return the jar of recipes, and make it if it is not there. Raises `EnvironmentNotReady`."""
    key = hashlib.sha256(version("pyspark").encode())
    for source in _SOURCES:
        key.update(source.read_bytes())
    jar = cache_dir("recipes") / f"recipes-{key.hexdigest()[:16]}.jar"
    if not jar.exists():
        draft = jar.with_name(f"draft-{os.getpid()}.jar")
        try:
            _compile(draft)
            # Only a whole jar ever has its final name, whoever else compiles at the same time.
            draft.replace(jar)
        finally:
            draft.unlink(missing_ok=True)
    return jar


def _compile(jar: Path) -> None:
    package = importlib.util.find_spec("pyspark")
    if package is None or package.origin is None:
        raise EnvironmentNotReady("pyspark is not installed: `make setup`, or pip install 'weir[spark]'.")
    spark = Path(package.origin).parent / "jars" / "*"
    argv = [str(java.find().path), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", str(spark)]
    argv += ["scala.tools.nsc.Main", "-usejavacp", "-Werror", "-d", str(jar), *map(str, _SOURCES)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_WITHIN_S)
    except subprocess.TimeoutExpired as error:
        raise EnvironmentNotReady(f"Spark's recipes were not compiled in {_WITHIN_S:g} s: try again.") from error
    if done.returncode:
        raise EnvironmentNotReady(f"Spark's recipes do not compile:\n{done.stdout}{done.stderr}")
