"""Settings for a cluster: none without one, jars for the executors with one, an address that can be one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import EnvironmentNotReady
from engines.spark.cluster import MASTER, clustered, on_cluster
from engines.spark.declaration import declaration

CONF = {"spark.master": "local[2]", "spark.sql.shuffle.partitions": "1", "spark.local.dir": "/local", "x": "y"}
JARS = [Path("/j/a.jar"), Path("/j/b.jar")]


def test_without_a_master_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MASTER, raising=False)
    assert on_cluster(CONF, JARS) == CONF
    assert not clustered()
    assert "master" not in declaration().versions


def test_executors_get_the_jars_and_state_more_than_one_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MASTER, "spark://127.0.0.1:7077")
    conf = on_cluster(CONF, JARS)
    assert conf["spark.master"] == "spark://127.0.0.1:7077"
    assert conf["spark.jars"] == "/j/a.jar,/j/b.jar"
    assert conf["spark.sql.shuffle.partitions"] == "2"
    assert conf["spark.driver.host"] == conf["spark.driver.bindAddress"] == "127.0.0.1"
    assert conf["x"] == "y"
    assert on_cluster(CONF | {"spark.sql.shuffle.partitions": "4"}, JARS)["spark.sql.shuffle.partitions"] == "4"


def test_executors_unpack_their_libraries_where_they_go_with_the_run_if_they_are_ours() -> None:
    assert (
        "-Djava.io.tmpdir=/local" in on_cluster(CONF, JARS, "spark://127.0.0.1:7077")["spark.executor.extraJavaOptions"]
    )


def test_the_record_says_that_it_was_a_cluster_and_not_whose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MASTER, "spark://127.0.0.1:7077")
    assert declaration().versions["master"] == "standalone cluster"


@pytest.mark.parametrize(
    "address", ["one.example:7077", "spark://one.example", "yarn", "spark://a:1,b:2", "spark://me:canary@a:1"]
)
def test_what_is_no_master_is_refused_with_the_form(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MASTER, address)
    with pytest.raises(EnvironmentNotReady, match="spark://HOST:PORT") as caught:
        on_cluster(CONF, JARS)
    assert address not in str(caught.value)
