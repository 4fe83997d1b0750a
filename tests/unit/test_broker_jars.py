"""The lock is whole, and a jar that is not the locked one never reaches a class path."""

from __future__ import annotations

import hashlib
import os
import tomllib
from pathlib import Path

import pytest

from engines import jars
from engines.cache import cache_dir
from engines.errors import EnvironmentNotReady
from engines.jars import Jar, Section

CONTENT = b"PK\x03\x04 a jar, as far as a hash can tell"


@pytest.fixture
def jar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Jar:
    """Return the one jar of a lock for both sections; it lies in the cache."""
    jar = Jar("org.example", "one", "1.0", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    monkeypatch.setenv("WEIR_CACHE", str(tmp_path))
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    monkeypatch.setattr(jars, "lock", lambda: dict.fromkeys(Section, (jar,)))
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "one-1.0.jar").write_bytes(CONTENT)
    return jar


def test_the_lock_names_broker_and_connector_exactly() -> None:
    broker, spark = jars.lock()[Section.BROKER], jars.lock()[Section.SPARK]
    assert {"kafka_2.13-4.3.1.jar", "slf4j-api-1.7.36.jar", "slf4j-simple-1.7.36.jar"} <= {jar.file for jar in broker}
    assert {jar.file for jar in spark} == {
        "spark-sql-kafka-0-10_2.13-4.2.0.jar",
        "spark-token-provider-kafka-0-10_2.13-4.2.0.jar",
        "kafka-clients-3.9.2.jar",
        "commons-pool2-2.13.1.jar",
    }
    with (jars.LOCK.parents[1] / "pyproject.toml").open("rb") as file:
        pinned = tomllib.load(file)["project"]["optional-dependencies"]["spark"]
    assert [f"pyspark=={jar.version}" for jar in spark if jar.group == "org.apache.spark"] == pinned * 2
    for section in (broker, spark):
        assert len({jar.file for jar in section}) == len(section)
        assert all(len(jar.sha256) == 64 and jar.size_bytes > 0 for jar in section)


def test_a_jar_as_locked_is_handed_out(jar: Jar, tmp_path: Path) -> None:
    assert jars.broker_classpath() == jars.spark_classpath() == (tmp_path / "jars" / jar.file,)


def test_a_flipped_bit_is_found_though_size_and_time_are_the_same(jar: Jar, tmp_path: Path) -> None:
    path = tmp_path / "jars" / jar.file
    before = path.stat()
    path.write_bytes(bytes([CONTENT[0] ^ 1]) + CONTENT[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(EnvironmentNotReady, match=r"one-1\.0\.jar has sha256 .*python -m engines\.jars"):
        jars.broker_classpath()


def test_a_truncated_jar_is_found(jar: Jar, tmp_path: Path) -> None:
    (tmp_path / "jars" / jar.file).write_bytes(CONTENT[:-1])
    with pytest.raises(EnvironmentNotReady, match=rf"has {len(CONTENT) - 1} bytes, not the {len(CONTENT)}"):
        jars.spark_classpath()


def test_a_missing_jar_is_named_with_the_command_that_brings_it(jar: Jar, tmp_path: Path) -> None:
    (tmp_path / "jars" / jar.file).unlink()
    with pytest.raises(EnvironmentNotReady, match=r"one-1\.0\.jar is missing.*python -m engines\.jars"):
        jars.spark_classpath()


def test_kafka_home_serves_instead(jar: Jar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "kafka"
    (home / "libs").mkdir(parents=True)
    monkeypatch.setenv("KAFKA_HOME", str(home))
    with pytest.raises(EnvironmentNotReady, match="holds no broker"):
        jars.broker_classpath()
    (home / "libs" / "kafka-server-4.3.1.jar").touch()
    assert jars.broker_classpath() == (home / "libs" / "kafka-server-4.3.1.jar",)
    assert jars.spark_classpath() == (tmp_path / "jars" / jar.file,)


def test_a_cache_that_cannot_be_is_told_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WEIR_CACHE", str(tmp_path / "file"))
    with pytest.raises(EnvironmentNotReady, match="Set WEIR_CACHE to a folder"):
        cache_dir("jars")


def test_a_user_without_a_home_is_told_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEIR_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 5)  # No passwd entry has it.
    with pytest.raises(EnvironmentNotReady, match=r"no home folder is known\. Set WEIR_CACHE to a folder"):
        cache_dir("jars")
