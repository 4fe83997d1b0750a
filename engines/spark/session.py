"""How Spark is set: one table of settings a profile, and the environment of its process. Pure; imports no pyspark.

Both profiles run the same semantics. What is ours and not Spark's default is said here, with the reason.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from engines.cache import cache_dir
from engines.contract import Profile
from engines.java import Java
from engines.spark.variants import SHIPPED

_COMMON = {
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.log.level": "ERROR",
    "spark.sql.session.timeZone": "UTC",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Late rows are summed over the batches since the last settle; the default remembers 100 of them.
    "spark.sql.streaming.numRecentProgressUpdates": "2000",
}
_TUNED = {
    # The default manager forks a dozen processes a micro-batch where Hadoop's native library is absent, as it
    # is in the Python package.
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    ),
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
}
_SHIPPED = {
    # The default of 200 starts as many tasks a batch: three seconds of nothing on two cores.
    "spark.sql.shuffle.partitions": "4",
}
_PROFILE = {
    Profile.SUITE: {
        "spark.sql.shuffle.partitions": "1",
        # Compiling a plan costs more than a script's few rows ever win back.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    },
    Profile.BENCH: {"spark.sql.shuffle.partitions": "2", "spark.driver.memory": "2g"},
}
C1 = ("-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=240m")
"""C1 alone has a code cache of 48 MB, which a suite fills: then the compiler stops for the rest of the JVM's life."""
JVM: dict[Profile, tuple[str, ...]] = {Profile.SUITE: ("-XX:+UseSerialGC", *C1, "-Xmn400m"), Profile.BENCH: ()}
_POLL_MS_A_JOB = 10
_POLL_MS_MOST = 200
"""Spark asks for new offsets every 10 ms a query. With many idle queries that alone fills a core: so all of them
together ask as often as one would, but each at least five times a second."""


def source_options(variant: str) -> dict[str, str]:
    """Return the options of the Kafka source."""
    own = {"startingOffsets": "earliest"}
    if variant != SHIPPED:
        # With the default of 500 ms each batch after a pause waits that long for a fetch that is already answered.
        own["kafka.fetch.max.wait.ms"] = "0"
    return own


def settings(
    profile: Profile,
    *,
    jobs: int,
    classpath: Sequence[Path],
    local_dir: Path,
    java: Java,
    variant: str = "",
    train: Path | None = None,
) -> dict[str, str]:
    """Return the Spark settings of one process. `train`: write the class archive there at its end."""
    shipped = variant == SHIPPED
    own = dict(_COMMON | (_SHIPPED if shipped else _TUNED | _PROFILE[profile]))
    own["spark.driver.extraClassPath"] = os.pathsep.join(map(str, classpath))
    own["spark.local.dir"] = str(local_dir)
    if profile is Profile.SUITE:
        own["spark.sql.streaming.pollingDelay"] = f"{min(_POLL_MS_MOST, _POLL_MS_A_JOB * jobs)}ms"
    flags = ["-Duser.timezone=UTC", temporary(local_dir), *(() if shipped else JVM[profile])]
    if profile is Profile.SUITE and not shipped:
        flags += _archive_flags(archive(classpath, java), java, train)
    own["spark.driver.extraJavaOptions"] = " ".join(flags)
    return own


def temporary(folder: Path | str) -> str:
    """Return the flag by which a JVM unpacks its native libraries there: one that is killed leaves them behind."""
    return f"-Djava.io.tmpdir={folder}"


def environment(java: Java) -> dict[str, str]:
    """Return the environment of the worker: this Python, that Java, and no other Spark of the user's."""
    foreign = ("SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS", "HADOOP_CONF_DIR", "JAVA_TOOL_OPTIONS")
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(part for part in (root, kept.get("PYTHONPATH", "")) if part)
    own = {"JAVA_HOME": str(java.home), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    return kept | own | {"PYTHONPATH": path}


def archive(classpath: Sequence[Path], java: Java) -> Path:
    """Return where the class archive for this Spark, class path and Java is, or would be."""
    key = "\n".join([version("pyspark"), sys.prefix, str(java.home), java.version, *map(str, classpath)])
    return cache_dir("cds") / f"spark-{hashlib.sha256(key.encode()).hexdigest()[:16]}.jsa"


def _archive_flags(path: Path, java: Java, train: Path | None) -> list[str]:
    # From Java 25 on the archive may also hold what was linked: another flag. Archives that do not fit are ignored.
    ahead = java.release >= 25
    if train is not None:
        return [f"-XX:{'AOTCacheOutput' if ahead else 'ArchiveClassesAtExit'}={train}", "-Xlog:disable"]
    if not path.exists():
        return []
    return [f"-XX:{'AOTCache' if ahead else 'SharedArchiveFile'}={path}", "-Xshare:auto", "-Xlog:disable"]
